/* utf8 - is a text well-formed UTF-8 (RFC 3629)?  Pure.  For what leaves as JSON or is a setting.
 */
#ifndef WAXSEAL_BASE_UTF8_H
#define WAXSEAL_BASE_UTF8_H

#include "lib/base/span.h"

/* The length of the well-formed character at the front of s, or 0 when there is none. */
size_t utf8_character(struct span s);

/* True when s is well-formed to its end. */
bool utf8_is_valid(struct span s);

#endif
