/*
 * dkim_tags - the list of tags in a DKIM-Signature field and in a key's record: "v=1; d=x; ..."
 * (RFC 6376 s.3.2).  Called by dkim_signature and dkim_record.  Pure; spans point into the text.
 */
#ifndef WAXSEAL_MAIL_DKIM_TAGS_H
#define WAXSEAL_MAIL_DKIM_TAGS_H

#include "lib/base/span.h"

enum { DKIM_TAGS_MAX = 64 }; /* of one list; what holds more is none */

struct dkim_tag {
    struct span name;  /* its case counts */
    struct span value; /* without blanks and folds at its ends */
};

struct dkim_tags {
    struct dkim_tag tags[DKIM_TAGS_MAX];
    size_t count;
};

/* False for what is no tag list; a tag that is there twice spoils all (RFC 6376 s.3.2). */
bool dkim_tags_parse(struct span text, struct dkim_tags *out);

/* The value of a tag; false when the list has none of that name. */
bool dkim_tags_find(const struct dkim_tags *tags, const char *name, struct span *out_value);

/* Without the blanks and folds at both ends. */
struct span dkim_trim(struct span text);

#endif
