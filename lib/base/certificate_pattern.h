/*
 * certificate_pattern - how settings name certificates of clients: by a fingerprint, or by what an
 * authority that is trusted says of them.  Called by the settings (is it one?) and by
 * smtpd/client_certificate (does it fit?).  Pure: text in, text out.
 *
 *   sha256:HEX       the certificate's SHA-256 fingerprint, with or without colons
 *   key-sha256:HEX   that of its public key (SubjectPublicKeyInfo), which outlives a renewal
 *   name:HOST        one of its DNS names, or its common name when it has no DNS name
 *   mail:MAILBOX     one of its mailboxes
 *   trusted          any that the authorities of tls-client-ca vouch for, as they have to for names
 */
#ifndef WAXSEAL_BASE_CERTIFICATE_PATTERN_H
#define WAXSEAL_BASE_CERTIFICATE_PATTERN_H

#include "lib/base/span.h"

enum { CERTIFICATE_PATTERN_SIZE = 272 };

/* In the one form in which a pattern is compared: lower case, no colons in HEX.  False: no pattern.
 */
bool certificate_pattern_normalize(struct span text, char room[CERTIFICATE_PATTERN_SIZE]);

/* Does it stand on an authority's word? */
bool certificate_pattern_needs_trust(struct span pattern);

#endif
