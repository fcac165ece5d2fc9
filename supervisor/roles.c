#include "supervisor/roles.h"

#include "lib/base/clock.h"
#include "policy/policy.h"
#include "queue/deliver/deliver.h"
#include "queue/queue.h"
#include "queue/sign/sign.h"
#include "smtpd/auth/auth.h"
#include "smtpd/pickup/pickup.h"
#include "smtpd/smtpd.h"
#include "supervisor/sandbox.h"
#include "tlsrpt/tlsrpt.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Half the cores, at least one (design.md section 2). */
static unsigned half_the_cores(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    return cores > 3 ? (unsigned)cores / 2 : 1;
}

static unsigned smtpd_instances(const struct settings *s)
{
    return s->smtpd_processes > 0 ? s->smtpd_processes : half_the_cores();
}

static unsigned deliver_instances(const struct settings *s)
{
    return s->deliver_processes > 0 ? s->deliver_processes : half_the_cores();
}

/* clang-format off */
static const struct role_row role_rows[] = {
    { .id = ROLE_QUEUE, .title = "waxseal-queue", .entry = queue_main, .folder = "queue" },
    { .id = ROLE_POLICY, .title = "waxseal-policy", .entry = policy_main, .exposure = 3,
      .folder = "policy", .has_socketmap = true, .has_ca_bundle = true, .has_resolv_conf = true },
    { .id = ROLE_TLSRPT, .title = "waxseal-tlsrpt", .entry = tlsrpt_main, .exposure = 2,
      .folder = "tlsrpt", .has_tlsrpt_socket = true, .has_ca_bundle = true,
      .has_resolv_conf = true },
    { .id = ROLE_DELIVER, .title = "waxseal-deliver", .entry = deliver_main, .exposure = 4,
      .instances = deliver_instances, .has_successors = true,
      .has_ca_bundle = true, .has_resolv_conf = true, .has_credentials = true,
      .drain_reload_ms = 10 * MINUTE_MS },
    { .id = ROLE_AUTH, .title = "waxseal-auth", .entry = auth_main, .exposure = 1,
      .has_users = true },
    { .id = ROLE_SMTPD, .title = "waxseal-smtpd", .entry = smtpd_main, .exposure = 4,
      .instances = smtpd_instances, .has_successors = true, .has_listeners = true,
      .has_aliases = true, .drain_reload_ms = MINUTE_MS },
    { .id = ROLE_PICKUP, .title = "waxseal-pickup", .entry = pickup_main, .exposure = 4,
      .folder = "drop", .folder_mode = 01733, .has_aliases = true },
    { .id = ROLE_SIGN, .title = "waxseal-sign", .entry = sign_main, .exposure = 1,
      .has_dkim_keys = true },
};
/* clang-format on */

static const enum role_id peers[][2] = {
    { ROLE_SMTPD, ROLE_QUEUE },    { ROLE_DELIVER, ROLE_QUEUE }, { ROLE_DELIVER, ROLE_POLICY },
    { ROLE_DELIVER, ROLE_TLSRPT }, { ROLE_POLICY, ROLE_TLSRPT }, { ROLE_SMTPD, ROLE_AUTH },
    { ROLE_PICKUP, ROLE_QUEUE },   { ROLE_TLSRPT, ROLE_QUEUE },  { ROLE_SIGN, ROLE_QUEUE },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

size_t roles_table(const struct role_row **out_rows)
{
    *out_rows = role_rows;
    return COUNT(role_rows);
}

const struct role_row *role_row_of(enum role_id id)
{
    for (size_t i = 0; i < COUNT(role_rows); i++)
        if (role_rows[i].id == id)
            return &role_rows[i];
    return NULL;
}

bool roles_are_peers(enum role_id a, enum role_id b)
{
    for (size_t i = 0; i < COUNT(peers); i++)
        if ((peers[i][0] == a && peers[i][1] == b) || (peers[i][0] == b && peers[i][1] == a))
            return true;
    return false;
}

int role_main(const char *name, int fd)
{
    for (size_t i = 0; i < COUNT(role_rows); i++) {
        if (strcmp(role_name(role_rows[i].id), name) != 0)
            continue;
        sandbox_confine(role_rows[i].title);
        struct role *role = role_open(fd);
        int exit_status = role_rows[i].entry(role);
        role_free(&role);
        return exit_status;
    }
    fprintf(stderr, "waxseal: there is no role %s\n", name);
    return ROLE_EXIT_TROUBLE;
}
