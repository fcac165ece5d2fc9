#include "smtpd/client_certificate.h"

#include <string.h>

/* Is it one of the words? */
static bool is_among(struct span value, const char *words)
{
    struct span rest = span_of(words), word;

    while (span_cut(&rest, ' ', &word))
        if (word.len > 0 && span_equal_nocase(word, value))
            return true;
    return false;
}

/* RFC 6125 s.6.4.4: the common name stands in only where there is no DNS name. */
static bool has_name(const struct tls_session *tls, struct span host)
{
    if (tls->names[0] != '\0')
        return is_among(host, tls->names);
    return tls->client.common_name[0] != '\0' &&
           span_equal_nocase(span_of(tls->client.common_name), host);
}

static bool is_digest(struct span digest, const char *of)
{
    return of[0] != '\0' && span_equal(digest, span_of(of));
}

/* The pattern is in its normal form (lib/base/certificate_pattern). */
static bool fits(struct span pattern, const struct tls_session *tls)
{
    struct span value = span_from(pattern, span_find(pattern, ':') + 1);

    if (tls->cert == CERT_NONE)
        return false;
    if (span_starts_with(pattern, SPAN("sha256:")))
        return is_digest(value, tls->certificate_sha256);
    if (span_starts_with(pattern, SPAN("key-sha256:")))
        return is_digest(value, tls->key_sha256);
    if (tls->cert != CERT_OK)
        return false;
    if (span_starts_with(pattern, SPAN("name:")))
        return has_name(tls, value);
    if (span_starts_with(pattern, SPAN("mail:")))
        return is_among(value, tls->client.mailboxes);
    return span_equal(pattern, SPAN("trusted"));
}

bool client_certificate_may_relay(const struct listener_settings *listener,
                                  const struct tls_session *tls)
{
    struct span pattern, user;
    size_t at = 0;

    while (certificate_list_next(&listener->relay_certificates, &at, &pattern, &user))
        if (fits(pattern, tls))
            return true;
    return false;
}

struct span client_certificate_user(const struct listener_settings *listener,
                                    const struct tls_session *tls)
{
    struct span pattern, user;
    size_t at = 0;

    while (certificate_list_next(&listener->certificate_users, &at, &pattern, &user))
        if (fits(pattern, tls))
            return user;
    return (struct span){ NULL, 0 };
}
