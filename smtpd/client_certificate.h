/*
 * client_certificate - what the settings of a listener make of the certificate that a client has
 * shown: may it relay, and is it a user's (AUTH EXTERNAL)?  Called by smtpd/session_auth.  Pure.
 * A fingerprint counts whatever the certificate's dates and issuer are: who wrote it down has seen
 * it.  A name counts only when the listener's authorities vouch for the certificate.
 */
#ifndef WAXSEAL_SMTPD_CLIENT_CERTIFICATE_H
#define WAXSEAL_SMTPD_CLIENT_CERTIFICATE_H

#include "lib/base/settings.h"
#include "lib/io/tls.h"

bool client_certificate_may_relay(const struct listener_settings *listener,
                                  const struct tls_session *tls);

/* The user of the first entry that fits; lent by the settings; empty: nobody's. */
struct span client_certificate_user(const struct listener_settings *listener,
                                    const struct tls_session *tls);

#endif
