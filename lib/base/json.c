#include "lib/base/json.h"

#include "lib/base/random.h"
#include "lib/base/utf8.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { JSON_TEXT_MAX = 16 * 1024 * 1024, JSON_DEPTH_MAX = 64 };

/* struct json is jansson's json_t under our name; these two are the only doors. */
static json_t *inside(const struct json *value)
{
    return (json_t *)(uintptr_t)value;
}

static struct json *outside(json_t *value)
{
    ensure(value != NULL);
    return (struct json *)value;
}

/* Jansson would open /dev/urandom for its hash seed, which a confined role cannot. */
static void seed_once(void)
{
    size_t seed;

    random_bytes(&seed, sizeof(seed));
    json_object_seed(seed | 1);
}

struct json *json_new_object(void)
{
    seed_once();
    return outside(json_object());
}

struct json *json_new_array(void)
{
    return outside(json_array());
}

void json_free(struct json **value)
{
    json_decref(inside(*value));
    *value = NULL;
}

/* U+FDD0 to U+FDEF, and the last two of each plane: I-JSON has none of them (RFC 7493 s.2.1). */
static bool is_noncharacter(struct span character)
{
    uint32_t point = utf8_point(character);

    return (point >= 0xfdd0 && point <= 0xfdef) || (point & 0xfffe) == 0xfffe;
}

/* Bytes of the character in front; 0 when it is one that I-JSON does not have, or no UTF-8. */
static size_t character_in_json(struct span s)
{
    size_t len = utf8_character(s);

    return len > 2 && is_noncharacter(span_first(s, len)) ? 0 : len;
}

static bool is_for_json(struct span s)
{
    while (s.len > 0) {
        size_t len = character_in_json(s);
        if (len == 0)
            return false;
        s = span_from(s, len);
    }
    return true;
}

/* A copy of `s` in which each byte of what is not for JSON became U+FFFD. */
static json_t *repaired_text(struct span s)
{
    struct buf text;
    json_t *value;
    bool ok = true;

    buf_init(&text, 3 * s.len);
    while (s.len > 0 && ok) {
        size_t len = character_in_json(s);
        ok = buf_append(&text, len > 0 ? span_first(s, len) : SPAN("\xef\xbf\xbd"));
        s = span_from(s, len > 0 ? len : 1);
    }
    ensure(ok);
    value = json_stringn(buf_span(&text).data, buf_len(&text));
    buf_clear(&text);
    return value;
}

static json_t *text_value(struct span s)
{
    if (!is_for_json(s))
        return repaired_text(s);
    return json_stringn(s.data ? s.data : "", s.len);
}

/* Both ends of jansson's failures here, a wrong type and no memory, are ours to die of. */
static void object_put(struct json *object, const char *key, json_t *value)
{
    ensure(value != NULL && json_object_set_new(inside(object), key, value) == 0);
}

static void array_put(struct json *array, json_t *value)
{
    ensure(value != NULL && json_array_append_new(inside(array), value) == 0);
}

void json_add_text(struct json *object, const char *key, struct span value)
{
    object_put(object, key, text_value(value));
}

void json_add_string(struct json *object, const char *key, const char *value)
{
    object_put(object, key, value ? text_value(span_of(value)) : json_null());
}

void json_add_number(struct json *object, const char *key, int64_t value)
{
    object_put(object, key, json_integer(value));
}

void json_add_bool(struct json *object, const char *key, bool value)
{
    object_put(object, key, json_boolean(value));
}

void json_add_null(struct json *object, const char *key)
{
    object_put(object, key, json_null());
}

void json_add(struct json *object, const char *key, struct json **value)
{
    object_put(object, key, inside(*value));
    *value = NULL;
}

struct json *json_add_object(struct json *object, const char *key)
{
    struct json *added = json_new_object();

    object_put(object, key, inside(added));
    return added;
}

struct json *json_add_array(struct json *object, const char *key)
{
    struct json *added = json_new_array();

    object_put(object, key, inside(added));
    return added;
}

void json_append_text(struct json *array, struct span value)
{
    array_put(array, text_value(value));
}

void json_append_number(struct json *array, int64_t value)
{
    array_put(array, json_integer(value));
}

void json_append(struct json *array, struct json **value)
{
    array_put(array, inside(*value));
    *value = NULL;
}

struct json *json_append_object(struct json *array)
{
    struct json *added = json_new_object();

    array_put(array, inside(added));
    return added;
}

/* The controls that jansson leaves as they are, and terminals obey: U+007F to U+009F. */
static bool is_control_at(struct span text, size_t at)
{
    unsigned char first = (unsigned char)text.data[at];

    if (first != 0xc2 || at + 1 == text.len)
        return first == 0x7f;
    return (unsigned char)text.data[at + 1] < 0xa0;
}

static size_t find_control(struct span text)
{
    size_t at = 0;

    while (at < text.len && !is_control_at(text, at))
        at++;
    return at;
}

struct writing {
    json_take_fn *take;
    void *ctx;
};

static bool write_control(struct span character, const struct writing *to)
{
    char text[8];

    snprintf(text, sizeof(text), "\\u%04X", (unsigned char)character.data[character.len - 1]);
    return to->take(to->ctx, span_of(text));
}

/* They only ever stand in texts; no piece ends within a character. */
static int on_written(const char *text, size_t len, void *ctx)
{
    const struct writing *to = ctx;
    struct span rest = { text, len };
    bool fits = true;

    while (rest.len > 0 && fits) {
        size_t at = find_control(rest);
        fits = to->take(to->ctx, span_first(rest, at));
        rest = span_from(rest, at);
        if (rest.len == 0 || !fits)
            break;
        size_t size = rest.data[0] == 0x7f ? 1 : 2;
        fits = write_control(span_first(rest, size), to);
        rest = span_from(rest, size);
    }
    return fits ? 0 : -1;
}

bool json_write_pieces(const struct json *value, enum json_style style, json_take_fn *take,
                       void *ctx)
{
    size_t flags = JSON_ENCODE_ANY | (style == JSON_INDENTED ? JSON_INDENT(2) : JSON_COMPACT);
    struct writing to = { take, ctx };

    return json_dump_callback(inside(value), on_written, &to, flags) == 0;
}

static bool take_into_buf(void *ctx, struct span piece)
{
    return buf_append(ctx, piece);
}

bool json_write(const struct json *value, enum json_style style, struct buf *out)
{
    return json_write_pieces(value, style, take_into_buf, out);
}

/* True when arrays and objects are nested no deeper than allowed; jansson's own limit is 2048. */
static bool is_shallow(struct span text)
{
    bool in_string = false;
    size_t depth = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '[' || c == '{') && ++depth > JSON_DEPTH_MAX)
            return false;
        else if (!in_string && (c == ']' || c == '}') && depth > 0)
            depth--;
    }
    return true;
}

struct error *json_parse(struct span text, struct json **out)
{
    json_error_t error;
    json_t *value;

    if (text.len > JSON_TEXT_MAX || !is_shallow(text))
        return error_new(ERROR_PERMANENT, "JSON text is too large or nested too deep");
    seed_once();
    value = json_loadb(text.data ? text.data : "", text.len,
                       JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!value)
        return error_new(ERROR_PERMANENT, "JSON line %d column %d: %s", error.line, error.column,
                         error.text);
    *out = outside(value);
    return NULL;
}

/* True when a text can hold no more values than `most`: each but the first stands behind a comma or
 * an opening bracket. */
static bool is_small(struct span text, size_t most)
{
    bool in_string = false;
    size_t values = 1;

    for (size_t i = 0; i < text.len && values <= most; i++) {
        char c = text.data[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == ',' || c == '[' || c == '{'))
            values++;
    }
    return values <= most;
}

static json_t *load_front(struct span text, size_t more_flags, json_error_t *error)
{
    return json_loadb(text.data ? text.data : "", text.len,
                      JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL | more_flags, error);
}

struct error *json_parse_front(struct span text, const struct json_bounds *bounds,
                               struct json **out, struct json_found *out_found)
{
    struct json_found found = { 0 };
    json_error_t error;
    json_t *value;

    if (text.len > bounds->bytes || !is_shallow(text) || !is_small(text, bounds->values))
        return error_new(ERROR_PERMANENT, "JSON text is too large or nested too deep");
    seed_once();
    value = load_front(text, JSON_REJECT_DUPLICATES, &error);
    if (!value && json_error_code(&error) == json_error_duplicate_key) {
        found.has_duplicates = true;
        value = load_front(text, 0, &error);
    }
    if (!value)
        return error_new(ERROR_PERMANENT, "JSON line %d column %d: %s", error.line, error.column,
                         error.text);
    found.len = (size_t)error.position;
    *out = outside(value);
    *out_found = found;
    return NULL;
}

enum json_kind json_kind_of(const struct json *value)
{
    static const enum json_kind kinds[] = {
        [JSON_OBJECT] = JSON_KIND_OBJECT, [JSON_ARRAY] = JSON_KIND_ARRAY,
        [JSON_STRING] = JSON_KIND_TEXT,   [JSON_INTEGER] = JSON_KIND_NUMBER,
        [JSON_REAL] = JSON_KIND_NUMBER,   [JSON_TRUE] = JSON_KIND_BOOL,
        [JSON_FALSE] = JSON_KIND_BOOL,    [JSON_NULL] = JSON_KIND_NULL,
    };
    return kinds[json_typeof(inside(value))];
}

struct json *json_get(const struct json *object, const char *key)
{
    return (struct json *)json_object_get(inside(object), key);
}

size_t json_count(const struct json *array)
{
    return json_array_size(inside(array));
}

struct json *json_item(const struct json *array, size_t index)
{
    return (struct json *)json_array_get(inside(array), index);
}

struct json *json_next(const struct json *object, void **cursor, const char **out_key)
{
    json_t *members = inside(object);

    *cursor = *cursor ? json_object_iter_next(members, *cursor) : json_object_iter(members);
    if (!*cursor)
        return NULL;
    *out_key = json_object_iter_key(*cursor);
    return outside(json_object_iter_value(*cursor));
}

struct span json_text(const struct json *value)
{
    const char *text = json_string_value(inside(value));

    return (struct span){ text ? text : "", json_string_length(inside(value)) };
}

int64_t json_number(const struct json *value)
{
    return json_integer_value(inside(value));
}

bool json_bool(const struct json *value)
{
    return json_is_true(inside(value));
}

bool json_to_number(const struct json *value, int64_t *out)
{
    const double most = 9007199254740992.0; /* exact up to 2^53 (RFC 7493 s.2.2) */
    double real = json_real_value(inside(value));

    if (json_is_integer(inside(value))) {
        *out = json_integer_value(inside(value));
        return true;
    }
    if (!json_is_real(inside(value)) || real > most || real < -most ||
        (double)(int64_t)real < real || (double)(int64_t)real > real)
        return false;
    *out = (int64_t)real;
    return true;
}

struct span json_member_text(const struct json *object, const char *key)
{
    return json_text(json_get(object, key));
}

bool json_member_is(const struct json *object, const char *key, const char *text)
{
    return span_equal(json_member_text(object, key), span_of(text));
}
