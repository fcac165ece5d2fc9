/*
 * dsn - what a sender says about notifications: RET, ENVID, NOTIFY, ORCPT (RFC 3461 s.4).  Read
 * strictly, kept byte for byte.  Called by lib/mail/command (from clients), lib/ipc/envelope_codec
 * (is it still well-formed?) and queue/deliver (on the way out).  Pure.
 */
#ifndef WAXSEAL_MAIL_DSN_H
#define WAXSEAL_MAIL_DSN_H

#include "lib/mail/envelope.h"

/* Each gives false for what is out of form (501) and then leaves the output as it was. */
bool dsn_parse_ret(struct span value, struct dsn_request *out);
bool dsn_parse_envid(struct span value, struct dsn_request *out);
/* Bits of enum notify. */
bool dsn_parse_notify(struct span value, uint32_t *out_notify);
bool dsn_parse_orcpt(struct span value, char out_orcpt[ORCPT_MAX + 1]);

/* Could a client have said so?  0 and "" stand for what was not given.  An ORCPT of type "utf-8"
 * may hold UTF-8 (RFC 6533 s.3). */
bool dsn_notify_is_valid(uint32_t notify);
bool dsn_envid_is_valid(struct span envid);
bool dsn_orcpt_is_valid(struct span orcpt);

/*
 * An ORCPT as a host without SMTPUTF8 may have it: characters outside ASCII as "\x{C4}" (RFC 6533
 * s.3).  False: that would be too long.
 */
bool dsn_orcpt_to_ascii(struct span orcpt, char room[ORCPT_MAX + 1]);

/* "SUCCESS,FAILURE,DELAY"; "" for 0. */
enum { DSN_NOTIFY_SIZE = 28 };
void dsn_format_notify(uint32_t notify, char room[DSN_NOTIFY_SIZE]);

#endif
