#include "smtpd/auth/auth.h"

#include <unistd.h>

#include "smtpd/auth/exchanges.h"

struct auth {
    struct role *role;
    struct exchanges *exchanges;
};

/* The supervisor has checked the text; what is wrong all the same leaves the users as they were. */
static void load_users(struct auth *auth)
{
    struct span text = role_content(auth->role, CONTENT_USERS, 0);
    struct settings_errors errors;
    struct users *users = NULL;

    if (role_settings(auth->role)->users_file[0] == '\0')
        text = (struct span){ NULL, 0 };
    settings_errors_init(&errors);
    if (!text.data || users_parse(text, "users-file", &errors, &users))
        exchanges_use(auth->exchanges, &users);
    settings_errors_clear(&errors);
}

static void on_content(void *ctx, enum role_content kind, unsigned index)
{
    (void)index;
    if (kind == CONTENT_USERS)
        load_users(ctx);
}

static void take_settings(struct auth *auth)
{
    load_users(auth);
    exchanges_ask_dovecot(auth->exchanges, role_settings(auth->role)->dovecot_socket);
}

static void on_settings(void *ctx)
{
    take_settings(ctx);
}

static void on_peer(void *ctx, enum role_id peer, unsigned instance, int fd)
{
    struct auth *auth = ctx;

    (void)instance;
    if (peer == ROLE_SMTPD)
        exchanges_attach(auth->exchanges, fd);
    else
        close(fd);
}

static const struct role_events events = {
    .peer = on_peer,
    .settings = on_settings,
    .content = on_content,
};

int auth_main(struct role *role)
{
    struct auth auth = { .role = role, .exchanges = exchanges_new(role_loop(role)) };
    int status;

    take_settings(&auth);
    status = role_serve(role, &events, &auth);
    exchanges_free(&auth.exchanges);
    return status;
}
