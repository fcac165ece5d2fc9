#include "supervisor/handover.h"

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "smtpd/smtpd.h"
#include "supervisor/certificates.h"
#include "supervisor/dkim_keys.h"
#include "supervisor/listeners.h"
#include "supervisor/mail_names.h"
#include "supervisor/strangers.h"
#include "supervisor/ticket_keys.h"
#include "supervisor/watched.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    FILES_MAX = 4 + SETTINGS_LISTENERS_MAX * (2 + 2 * SETTINGS_CERTIFICATES_MAX) +
                SETTINGS_ROUTES_MAX + SETTINGS_DKIM_MAX,
};

static const char resolv_conf[] = "/etc/resolv.conf";

struct handover {
    struct settings *settings;
    struct buf text;
    struct listeners listeners;
    int counters;
    struct watched *files[FILES_MAX];
    unsigned file_count;
    struct ticket_keys tickets;
    int64_t examine_ms; /* when certificates are looked at for their dates again; UTC */
};

/* --- files ----------------------------------------------------------------------------------- */

/* Where it is told that a file is wrong. */
struct faults {
    handover_fault_fn *tell;
    void *ctx;
};

static bool open_file(struct handover *h, enum role_content kind, unsigned index, const char *path,
                      const struct faults *faults)
{
    struct error *err = watched_open(kind, index, path, &h->files[h->file_count]);

    if (!err) {
        h->file_count++;
        return true;
    }
    faults->tell(faults->ctx, kind, index, &err);
    return false;
}

static const struct watched *find_file(const struct handover *h, enum role_content kind,
                                       unsigned index)
{
    for (unsigned i = 0; i < h->file_count; i++)
        if (watched_kind(h->files[i]) == kind && watched_index(h->files[i]) == index)
            return h->files[i];
    return NULL;
}

/* A certificate of a listener and its key, opened together and tried together. */
static void open_pair(struct handover *h, unsigned listener, unsigned n,
                      const struct faults *faults)
{
    const struct listener_settings *l = &h->settings->listeners[listener];
    unsigned index = role_pair_index(listener, n);
    struct error *err;
    bool both;

    both = open_file(h, CONTENT_CERTIFICATE, index, path_list_item(&l->tls_certificate, n), faults);
    both = open_file(h, CONTENT_KEY, index, path_list_item(&l->tls_key, n), faults) && both;
    if (!both)
        return;
    err = watched_pair_check(h->files[h->file_count - 2], h->files[h->file_count - 1]);
    if (err)
        faults->tell(faults->ctx, CONTENT_CERTIFICATE, index, &err);
}

/* All that a listener needs for TLS. */
static void open_listener_files(struct handover *h, unsigned index, const struct faults *faults)
{
    const struct listener_settings *l = &h->settings->listeners[index];

    if (l->tls_certificate.count == 0 || l->tls == LISTENER_TLS_NONE)
        return;
    if (l->tls_client_ca[0] != '\0')
        open_file(h, CONTENT_CLIENT_CA, index, l->tls_client_ca, faults);
    for (unsigned n = 0; n < l->tls_certificate.count; n++)
        open_pair(h, index, n, faults);
}

static struct error *try_dkim_key(const struct handover *h, const struct watched *file)
{
    return dkim_key_check(&h->settings->dkim[watched_index(file)], watched_latest(file));
}

static void open_dkim_key(struct handover *h, unsigned index, const struct faults *faults)
{
    struct error *err;

    if (!open_file(h, CONTENT_DKIM_KEY, index, h->settings->dkim[index].key, faults))
        return;
    err = try_dkim_key(h, h->files[h->file_count - 1]);
    if (err)
        faults->tell(faults->ctx, CONTENT_DKIM_KEY, index, &err);
}

static void open_files(struct handover *h, const struct faults *faults)
{
    open_file(h, CONTENT_CA_BUNDLE, 0, h->settings->ca_file, faults);
    open_file(h, CONTENT_RESOLV_CONF, 0, resolv_conf, faults);
    if (h->settings->users_file[0] != '\0')
        open_file(h, CONTENT_USERS, 0, h->settings->users_file, faults);
    if (h->settings->aliases_file[0] != '\0')
        open_file(h, CONTENT_ALIASES, 0, h->settings->aliases_file, faults);
    for (unsigned i = 0; i < h->settings->listener_count; i++) {
        open_listener_files(h, i, faults);
        if (h->settings->listeners[i].recipients[0] != '\0')
            open_file(h, CONTENT_RECIPIENTS, i, h->settings->listeners[i].recipients, faults);
    }
    for (unsigned i = 0; i < h->settings->route_count; i++)
        if (h->settings->routes[i].credentials[0] != '\0')
            open_file(h, CONTENT_ROUTE_CREDENTIALS, i, h->settings->routes[i].credentials, faults);
    for (unsigned i = 0; i < h->settings->dkim_count; i++)
        open_dkim_key(h, i, faults);
}

/* One error of all that is wrong. */
static void join_fault(void *ctx, enum role_content kind, unsigned index, struct error **taken)
{
    struct error **all = ctx;
    struct error *joined;

    (void)kind;
    (void)index;
    if (!*all) {
        *all = *taken;
        *taken = NULL;
        return;
    }
    joined = error_new(ERROR_LOCAL, "%s; %s", error_text(*all), error_text(*taken));
    error_free(all);
    error_free(taken);
    *all = joined;
}

static struct handover *handover_empty(const struct settings *settings)
{
    struct handover *h = memory_new(sizeof(*h));

    h->settings = settings_new();
    settings_copy(h->settings, settings);
    h->counters = -1;
    listeners_init(&h->listeners, h->settings);
    return h;
}

/* --- what clients will think of the certificates --------------------------------------------- */

/* Where complaints about a certificate go. */
struct complaint {
    handover_fault_fn *fault;
    handover_fault_fn *warning;
    void *ctx;
    unsigned index;
};

static void on_complaint(void *ctx, bool is_fault, struct error **taken)
{
    const struct complaint *to = ctx;

    (is_fault ? to->fault : to->warning)(to->ctx, CONTENT_CERTIFICATE, to->index, taken);
}

/* The first of a listener is what clients see who ask for no name; the others have their own. */
static struct span expected_name(const struct handover *h, const struct watched *certificate)
{
    if (watched_index(certificate) % SETTINGS_CERTIFICATES_MAX > 0)
        return (struct span){ NULL, 0 };
    return span_of(h->settings->hostname);
}

static void examine_certificates(const struct handover *h, handover_fault_fn *fault,
                                 handover_fault_fn *warning, void *ctx)
{
    for (unsigned i = 0; i < h->file_count; i++) {
        const struct watched *file = h->files[i];
        struct complaint to = { fault, warning, ctx, watched_index(file) };
        if (watched_kind(file) == CONTENT_CERTIFICATE)
            certificate_examine(watched_content(file), watched_path(file), expected_name(h, file),
                                clock_utc_ms(), on_complaint, &to);
    }
}

static void log_complaint(void *ctx, enum role_content kind, unsigned index, struct error **taken)
{
    (void)ctx;
    (void)kind;
    (void)index;
    log_failure(LOG_WARNING, "certificate-warning", *taken);
    error_free(taken);
}

/* One that has expired is served all the same: to most clients it is better than clear text. */
static void log_complaints_daily(struct handover *h)
{
    if (clock_utc_ms() < h->examine_ms)
        return;
    h->examine_ms = clock_utc_ms() + DAY_MS;
    examine_certificates(h, log_complaint, log_complaint, NULL);
}

/* --- what becomes of mail for our own names -------------------------------------------------- */

static struct span aliases_of(const struct handover *h)
{
    const struct watched *file = find_file(h, CONTENT_ALIASES, 0);

    return file ? watched_content(file) : (struct span){ NULL, 0 };
}

static void tell_warning(void *ctx, struct error **taken)
{
    const struct faults *warnings = ctx;

    warnings->tell(warnings->ctx, CONTENT_ALIASES, 0, taken);
}

static void examine_names(const struct handover *h, handover_fault_fn *warning, void *ctx)
{
    struct faults to = { warning, ctx };

    mail_names_visit_skipped(h->settings, aliases_of(h), tell_warning, &to);
    mail_names_visit_postmaster(h->settings, aliases_of(h), tell_warning, &to);
}

/* Where warnings of keys go. */
struct key_warnings {
    const struct handover *h;
    struct faults to;
};

static struct span dkim_pem_of(void *ctx, unsigned entry)
{
    const struct key_warnings *warnings = ctx;
    const struct watched *file = find_file(warnings->h, CONTENT_DKIM_KEY, entry);

    return file ? watched_content(file) : (struct span){ NULL, 0 };
}

static void on_dkim_warning(void *ctx, unsigned entry, struct error **taken)
{
    const struct key_warnings *warnings = ctx;

    warnings->to.tell(warnings->to.ctx, CONTENT_DKIM_KEY, entry, taken);
}

static void examine_dkim_keys(const struct handover *h, handover_fault_fn *warning, void *ctx)
{
    struct key_warnings warnings = { h, { warning, ctx } };

    dkim_keys_examine(h->settings, dkim_pem_of, on_dkim_warning, &warnings);
}

static void log_skipped(void *ctx, struct error **taken)
{
    (void)ctx;
    log_failure(LOG_WARNING, "alias-skipped", *taken);
    error_free(taken);
}

void handover_check_files(const struct settings *settings, handover_fault_fn *fault,
                          handover_fault_fn *warning, void *ctx)
{
    struct handover *h = handover_empty(settings);

    open_files(h, &(struct faults){ fault, ctx });
    examine_certificates(h, fault, warning, ctx);
    examine_names(h, warning, ctx);
    examine_dkim_keys(h, warning, ctx);
    handover_free(&h);
}

/* --- the table of counters ------------------------------------------------------------------- */

/* One table for all smtpd processes, old and new; its size never changes under a reader. */
static struct error *open_counters(struct handover *h, const struct handover *old)
{
    if (old) {
        h->counters = dup(old->counters);
        return h->counters < 0 ? error_errno(ERROR_LOCAL, errno, "copy a descriptor") : NULL;
    }
    h->counters = memfd_create("waxseal-counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (h->counters < 0 || ftruncate(h->counters, SMTPD_SHARED_SIZE) != 0)
        return error_errno(ERROR_LOCAL, errno, "shared table of counters");
    return NULL;
}

/* --- the whole ------------------------------------------------------------------------------- */

/* An open relay is not started, whoever wrote it so. */
static void refuse_stranger(void *ctx, unsigned listener, bool is_fault, const char *sentence)
{
    struct error *err = is_fault ? error_new(ERROR_LOCAL, "%s", sentence) : NULL;

    if (err)
        join_fault(ctx, CONTENT_COUNT, listener, &err);
}

struct error *handover_new(const struct settings *settings, const struct handover *old,
                           struct handover **out_handover)
{
    struct handover *h = handover_empty(settings);
    struct error *err = NULL;

    buf_init(&h->text, SETTINGS_TEXT_MAX);
    settings_write(settings, &h->text);
    if (old)
        h->tickets = old->tickets;
    ticket_keys_renew(&h->tickets, clock_monotonic_ms());
    open_files(h, &(struct faults){ join_fault, &err });
    strangers_visit(settings, refuse_stranger, &err);
    if (!err)
        err = open_counters(h, old);
    if (!err)
        err = listeners_open(&h->listeners, old ? &old->listeners : NULL);
    if (err)
        handover_free(&h);
    else
        *out_handover = h;
    return err;
}

struct error *handover_open_unix(struct handover *h, const struct handover *old)
{
    return listeners_open_unix(&h->listeners, old ? &old->listeners : NULL);
}

void handover_free(struct handover **handover)
{
    struct handover *h = *handover;

    if (!h)
        return;
    for (unsigned i = 0; i < h->file_count; i++)
        watched_free(&h->files[i]);
    listeners_close(&h->listeners);
    ticket_keys_forget(&h->tickets);
    if (h->counters >= 0)
        close(h->counters);
    buf_clear(&h->text);
    settings_free(&h->settings);
    free(h);
    *handover = NULL;
}

const struct settings *handover_settings(const struct handover *h)
{
    return h->settings;
}

struct span handover_text(const struct handover *h)
{
    return buf_span(&h->text);
}

bool handover_is_for(enum role_content kind, const struct role_row *row)
{
    switch (kind) {
    case CONTENT_CA_BUNDLE:
        return row->has_ca_bundle;
    case CONTENT_RESOLV_CONF:
        return row->has_resolv_conf;
    case CONTENT_CERTIFICATE:
    case CONTENT_KEY:
    case CONTENT_CLIENT_CA:
    case CONTENT_RECIPIENTS:
    case CONTENT_TICKET_KEYS:
        return row->has_listeners;
    case CONTENT_ALIASES:
        return row->has_aliases;
    case CONTENT_USERS:
        return row->has_users;
    case CONTENT_ROUTE_CREDENTIALS:
        return row->has_credentials;
    case CONTENT_DKIM_KEY:
        return row->has_dkim_keys;
    case CONTENT_COUNT:
    default:
        return false;
    }
}

static void hand_listener(const struct handover *h, struct process *process, unsigned index)
{
    if (h->listeners.fds[index] >= 0)
        process_hand_listener(process, index, h->listeners.fds[index]);
}

void handover_give(const struct handover *h, struct process *process)
{
    const struct role_row *row = process_row(process);

    for (unsigned i = 0; i < h->file_count; i++) {
        const struct watched *file = h->files[i];
        if (handover_is_for(watched_kind(file), row))
            process_hand_content(process, watched_kind(file), watched_index(file),
                                 watched_content(file));
    }
    if (row->has_socketmap)
        hand_listener(h, process, SETTINGS_LISTENER_SOCKETMAP);
    if (row->has_tlsrpt_socket)
        hand_listener(h, process, SETTINGS_LISTENER_TLSRPT);
    if (!row->has_listeners)
        return;
    process_hand_content(process, CONTENT_TICKET_KEYS, 0, ticket_keys_span(&h->tickets));
    process_hand_shared(process, h->counters, SMTPD_SHARED_SIZE);
    for (unsigned i = 0; i < SETTINGS_LISTENER_SOCKETMAP; i++)
        hand_listener(h, process, i);
}

/* --- changes --------------------------------------------------------------------------------- */

/* A certificate and its key change one after the other: neither is taken until they fit. */
static bool is_acceptable(const struct handover *h, const struct watched *file)
{
    struct error *err = watched_check(file);

    if (!err && (watched_kind(file) == CONTENT_CERTIFICATE || watched_kind(file) == CONTENT_KEY))
        err = watched_pair_check(find_file(h, CONTENT_CERTIFICATE, watched_index(file)),
                                 find_file(h, CONTENT_KEY, watched_index(file)));
    if (!err && watched_kind(file) == CONTENT_DKIM_KEY)
        err = try_dkim_key(h, file);
    if (!err)
        return true;
    log_failure(LOG_WARNING, "file-refused", err);
    error_free(&err);
    return false;
}

void handover_visit_new(struct handover *h, handover_visit_fn *visit, void *ctx)
{
    bool changed = false;
    struct log_line line;

    for (unsigned i = 0; i < h->file_count; i++)
        changed = watched_look(h->files[i]) || changed;
    for (unsigned i = 0; changed && i < h->file_count; i++) {
        struct watched *file = h->files[i];
        if (!watched_is_new(file) || !is_acceptable(h, file))
            continue;
        watched_accept(file);
        if (watched_kind(file) == CONTENT_CERTIFICATE)
            h->examine_ms = 0;
        if (watched_kind(file) == CONTENT_ALIASES)
            mail_names_visit_skipped(h->settings, watched_content(file), log_skipped, NULL);
        log_begin(&line, LOG_INFO, "file-changed");
        log_string(&line, "path", watched_path(file));
        log_end(&line);
        visit(ctx, watched_kind(file), watched_index(file), watched_content(file));
    }
    if (ticket_keys_renew(&h->tickets, clock_monotonic_ms()))
        visit(ctx, CONTENT_TICKET_KEYS, 0, ticket_keys_span(&h->tickets));
    log_complaints_daily(h);
}
