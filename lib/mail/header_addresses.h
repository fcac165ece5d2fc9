/*
 * header_addresses - the addresses in the body of From, To and their kin: address lists with
 * display names, groups, comments, quoted strings, folded lines, routes and the obsolete forms
 * (RFC 5322 s.3.4, s.4.4; UTF-8 by RFC 6532).  Called by smtpd/duties (which changes their bytes
 * and no others) and smtpd/access (who is the author?).  Pure: no memory; spans point into the
 * body. Reads what comes as readers of mail do: what cannot be an address is stepped over and
 * remembered, and of a text that could be read in two ways every address is given.
 */
#ifndef WAXSEAL_MAIL_HEADER_ADDRESSES_H
#define WAXSEAL_MAIL_HEADER_ADDRESSES_H

#include "lib/base/limits.h"
#include "lib/base/span.h"

/* What has been read of an entry. */
struct header_entry {
    struct span words;  /* the last run of words with dots between them: perhaps a local-part */
    bool ends_with_dot; /* the next word belongs to it */
    bool has_name;      /* other words stand before it */
    bool has_address;   /* one was given already */
};

struct header_addresses {
    struct span rest;
    bool is_broken; /* something was no address, or stood where none may */
    struct header_entry entry;
};

struct header_mailbox {
    struct span whole;  /* from the local-part's first byte to the domain's last */
    struct span local;  /* as written: blanks and comments may stand within */
    struct span domain; /* the same; empty, at the local-part's end: a bare name */
};

void header_addresses_init(struct header_addresses *list, struct span body);

/* The next address; false behind the last one. */
bool header_addresses_next(struct header_addresses *list, struct header_mailbox *out);

/*
 * The address alone, "ada@example.net" or "ada", without blanks and comments; false when it is too
 * long for one, or holds a NUL.
 */
bool header_mailbox_text(const struct header_mailbox *mailbox, char room[ADDRESS_MAX + 1]);

/*
 * Whom a header block names as authors (every From field, also behind lines that are none): calls
 * `each` with each address, `text` lent, and gives false when a From field holds anything that is
 * no address or too long, so that who asks for rights' sake can refuse; no From field and no
 * address in it are not broken, only never visited.
 */
typedef void header_author_fn(void *ctx, struct span text);
bool header_visit_authors(struct span block, header_author_fn *each, void *ctx);

#endif
