#include "smtpd/places.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/io/tls_server.h"

_Static_assert((int)SETTINGS_CERTIFICATES_MAX <= (int)TLS_PAIRS_MAX,
               "a listener has them in one context");

struct places {
    struct role *role;
    const struct settings *settings;
    struct session_place of[SETTINGS_LISTENERS_MAX];
    bool has_new_files[SETTINGS_LISTENERS_MAX]; /* not loaded yet */
    struct session_place local;
    struct loop_timer *renew;
};

/* --- TLS ------------------------------------------------------------------------------------- */

/* Gives how many pairs have come; all have, or none. */
static unsigned find_pairs(const struct places *places, unsigned listener,
                           struct tls_pair pairs[SETTINGS_CERTIFICATES_MAX])
{
    unsigned count = places->settings->listeners[listener].tls_certificate.count;

    for (unsigned n = 0; n < count; n++) {
        unsigned index = role_pair_index(listener, n);
        pairs[n] = (struct tls_pair){ role_content(places->role, CONTENT_CERTIFICATE, index),
                                      role_content(places->role, CONTENT_KEY, index) };
        if (!pairs[n].chain_pem.data || !pairs[n].key_pem.data)
            return 0;
    }
    return count;
}

static void put_wishes(const struct listener_settings *settings, struct tls_server_wish *wish)
{
    static const enum tls_client_certificate clients[] = {
        [CLIENTS_NONE] = TLS_CLIENT_UNASKED,
        [CLIENTS_REQUEST] = TLS_CLIENT_ASKED,
        [CLIENTS_REQUIRE] = TLS_CLIENT_REQUIRED,
    };

    wish->only_13 = settings->tls_minimum == TLS_MINIMUM_13;
    wish->client = clients[settings->tls_client_certificates];
}

/* NULL without an error: nothing was handed over. */
static struct error *make_context(const struct places *places, unsigned listener,
                                  struct tls_context **out_context)
{
    const struct listener_settings *settings = &places->settings->listeners[listener];
    struct tls_pair pairs[SETTINGS_CERTIFICATES_MAX];
    struct tls_server_wish wish = { .pairs = pairs };
    struct tls_trust *trust = NULL;
    struct error *err = NULL;
    char session_id[SETTINGS_UNIX_SIZE];

    wish.pair_count = find_pairs(places, listener, pairs);
    if (wish.pair_count == 0)
        return NULL;
    listener_settings_label(settings, session_id); /* the same after a reload that moves it */
    wish.session_id = span_of(session_id);
    wish.ticket_keys = role_content(places->role, CONTENT_TICKET_KEYS, 0);
    put_wishes(settings, &wish);
    if (settings->tls_client_ca[0] != '\0')
        err = tls_trust_new(role_content(places->role, CONTENT_CLIENT_CA, listener), &trust);
    wish.client_trust = trust;
    if (!err)
        err = tls_server_context_new(&wish, out_context);
    tls_trust_free(&trust);
    return err;
}

/* Trouble leaves the listener with what it has. */
static void load(struct places *places, unsigned listener)
{
    struct tls_context *fresh = NULL;
    struct error *err = make_context(places, listener, &fresh);

    places->has_new_files[listener] = false;
    if (err) {
        log_failure(LOG_ERROR, "certificate-unusable", err);
        error_free(&err);
    } else if (fresh) {
        tls_context_free(&places->of[listener].tls);
        places->of[listener].tls = fresh;
    }
}

static void on_renew(void *ctx)
{
    struct places *places = ctx;

    for (unsigned i = 0; i < places->settings->listener_count; i++)
        if (places->has_new_files[i])
            load(places, i);
}

static bool is_about(enum role_content kind, unsigned index, unsigned listener)
{
    if (kind == CONTENT_CERTIFICATE || kind == CONTENT_KEY)
        return index / SETTINGS_CERTIFICATES_MAX == listener;
    return kind == CONTENT_TICKET_KEYS || (kind == CONTENT_CLIENT_CA && index == listener);
}

/* --- the mailboxes of our own domains -------------------------------------------------------- */

/* The supervisor has checked it; until there is a better one the old one stands. */
static void load_recipients(struct places *places, unsigned listener)
{
    struct span text = role_content(places->role, CONTENT_RECIPIENTS, listener);
    const char *path = places->settings->listeners[listener].recipients;
    struct settings_errors errors;
    struct mailbox_set *fresh = NULL;

    if (!text.data)
        return;
    settings_errors_init(&errors);
    if (mailbox_set_parse(text, path, &errors, &fresh)) {
        mailbox_set_free(&places->of[listener].recipients);
        places->of[listener].recipients = fresh;
    }
    settings_errors_clear(&errors);
}

/* --- what the supervisor hands over ---------------------------------------------------------- */

/* Certificate and key may come one after the other: only together do they fit. */
void places_content(struct places *places, enum role_content kind, unsigned index)
{
    if (kind == CONTENT_RECIPIENTS && index < places->settings->listener_count) {
        load_recipients(places, index);
        return;
    }
    for (unsigned i = 0; i < places->settings->listener_count; i++)
        places->has_new_files[i] |= is_about(kind, index, i);
    loop_timer_start(places->renew, SMTPD_RENEW_MS);
}

/* --- the whole ------------------------------------------------------------------------------- */

struct places *places_new(struct role *role)
{
    struct places *places = memory_new(sizeof(*places));

    places->role = role;
    places->settings = role_settings(role);
    places->local.settings = &places->settings->local;
    places->renew = loop_timer_new(role_loop(role), on_renew, places);
    for (unsigned i = 0; i < places->settings->listener_count; i++) {
        places->of[i].settings = &places->settings->listeners[i];
        load(places, i);
        load_recipients(places, i);
    }
    return places;
}

void places_free(struct places **places)
{
    struct places *p = *places;

    if (!p)
        return;
    for (unsigned i = 0; i < SETTINGS_LISTENERS_MAX; i++) {
        tls_context_free(&p->of[i].tls);
        mailbox_set_free(&p->of[i].recipients);
    }
    loop_timer_free(&p->renew);
    free(p);
    *places = NULL;
}

const struct session_place *places_find(const struct places *places, unsigned socket)
{
    unsigned listener = socket / SETTINGS_ADDRESSES_MAX;

    if (socket == SETTINGS_LISTENER_LOCAL)
        return &places->local;
    if (socket >= SETTINGS_LISTENER_UNIX)
        listener = socket - SETTINGS_LISTENER_UNIX;
    return listener < places->settings->listener_count ? &places->of[listener] : NULL;
}
