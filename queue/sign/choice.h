/*
 * choice - which keys sign a message: all entries that fit its author's domain best, but those
 * whose domain has signed it already; none signs a message whose body was not hashed.  Called by
 * asks. Pure.  Rules: RFC 6376 s.5.1, s.5.2, rfc/dkim.md DKIM-4, DKIM-5.
 */
#ifndef WAXSEAL_QUEUE_SIGN_CHOICE_H
#define WAXSEAL_QUEUE_SIGN_CHOICE_H

#include "queue/sign/keys.h"

/* What an ask is about; lent. */
struct choice_facts {
    struct span header;
    struct span relaxed, simple; /* the body's hashes; empty: not known */
    struct span author;          /* the domain of its From field */
};

struct choice {
    const struct keys_entry *entries[SETTINGS_DKIM_PER_SENDER_MAX];
    unsigned count; /* 0: it is not signed, for one of the next; for none: no entry is for it */
    bool is_away;   /* a key that is to sign cannot be used: none signs */
    bool is_signed_already;
    const char *fault; /* in words for people; NULL: none */
};

void choice_make(const struct keys *keys, const struct choice_facts *facts,
                 struct choice *out_choice);

/* d= of an entry's signature: what the entry says, or the author's own. */
struct span choice_domain(const struct keys_entry *entry, const struct choice_facts *facts);
/*
 * The form of the body that is signed, the second part of c=, and its hash: those that the entry
 * wants or, for mail that came before it wanted them, those there are.  Empty: none.
 */
struct choice_body {
    bool is_relaxed;
    struct span sha256;
};
struct choice_body choice_body(const struct keys_entry *entry, const struct choice_facts *facts);

#endif
