/*
 * json - JSON values in our terms (RFC 8259); jansson behind it.  The roles build answers and
 * reports with it, the command line reads them back.  A value that was added belongs to what it was
 * added to; the root is freed with json_free.  Objects keep the order in which members were added.
 * Text from outside may hold anything: bytes that are not UTF-8, or of one of Unicode's
 * noncharacters (RFC 7493 s.2.1), become U+FFFD each.
 */
#ifndef WAXSEAL_BASE_JSON_H
#define WAXSEAL_BASE_JSON_H

#include "lib/base/buf.h"
#include "lib/base/error.h"

struct json;

enum json_kind {
    JSON_KIND_NULL,
    JSON_KIND_BOOL,
    JSON_KIND_NUMBER,
    JSON_KIND_TEXT,
    JSON_KIND_ARRAY,
    JSON_KIND_OBJECT
};

struct json *json_new_object(void);
struct json *json_new_array(void);
void json_free(struct json **value);

/* Members of an object; `key` is a name of ours, in UTF-8.  A second one of a name replaces it. */
void json_add_text(struct json *object, const char *key, struct span value);
void json_add_string(struct json *object, const char *key, const char *value); /* NULL: null */
void json_add_number(struct json *object, const char *key, int64_t value);
void json_add_bool(struct json *object, const char *key, bool value);
void json_add_null(struct json *object, const char *key);
void json_add(struct json *object, const char *key, struct json **value); /* takes it */
struct json *json_add_object(struct json *object, const char *key);       /* new and empty, lent */
struct json *json_add_array(struct json *object, const char *key);        /* new and empty, lent */

/* Items at the end of an array. */
void json_append_text(struct json *array, struct span value);
void json_append_number(struct json *array, int64_t value);
void json_append(struct json *array, struct json **value); /* takes it */
struct json *json_append_object(struct json *array);       /* new and empty, lent */

/* Appends the text of a value; false when it would go beyond the buffer's cap. */
enum json_style { JSON_ON_ONE_LINE, JSON_INDENTED };
bool json_write(const struct json *value, enum json_style style, struct buf *out) MUST_CHECK;

/* The same, piece by piece, so that nobody holds the whole; false when `take` gave false. */
typedef bool json_take_fn(void *ctx, struct span piece);
bool json_write_pieces(const struct json *value, enum json_style style, json_take_fn *take,
                       void *ctx) MUST_CHECK;

/* Reads one value that is the whole text: at most 16 MiB, nested at most 64 deep, no duplicate key.
 */
struct error *json_parse(struct span text, struct json **out) MUST_CHECK;

/*
 * Reads what others wrote with less care: an object or array at the front of a text, whatever
 * stands behind it; of members of one name the last counts.  What it may cost is bounded: the
 * bytes of the text, and its values, for which commas and opening brackets are counted.
 */
struct json_bounds {
    size_t bytes;
    size_t values;
};
struct json_found {
    size_t len;          /* of the text that was used */
    bool has_duplicates; /* two members of an object had one name */
};
struct error *json_parse_front(struct span text, const struct json_bounds *bounds,
                               struct json **out, struct json_found *out_found) MUST_CHECK;

enum json_kind json_kind_of(const struct json *value);

/* A member of an object, lent; NULL when there is none or `object` is NULL or something else. */
struct json *json_get(const struct json *object, const char *key);

/* The items of an array; 0 and NULL for anything else. */
size_t json_count(const struct json *array);
struct json *json_item(const struct json *array, size_t index);

/* The members of an object in order: start with *cursor = NULL; NULL at the end. */
struct json *json_next(const struct json *object, void **cursor, const char **out_key);

/* The value itself; empty, 0 or false when `value` is NULL, of another kind or not whole. */
struct span json_text(const struct json *value);
int64_t json_number(const struct json *value);
bool json_bool(const struct json *value);

/* A number that is whole, also one that is written as 5.0 or 5e3; false for any other value. */
bool json_to_number(const struct json *value, int64_t *out);

/* A member's text, as above; and whether it is that text. */
struct span json_member_text(const struct json *object, const char *key);
bool json_member_is(const struct json *object, const char *key, const char *text);

#endif
