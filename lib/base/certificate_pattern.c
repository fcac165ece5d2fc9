#include "lib/base/certificate_pattern.h"

#include "lib/base/error.h"

#include <string.h>

enum { DIGEST_LETTERS = 64 };

/* Each puts the normal form of the value behind a prefix into the room, which holds any of them. */
typedef bool value_fn(struct span value, char *room, size_t size);

static bool put_digest(struct span value, char *room, size_t size)
{
    size_t len = 0;

    for (size_t i = 0; i < value.len; i++) {
        char c = ascii_lower(value.data[i]);
        if (c == ':' && i > 0 && i + 1 < value.len)
            continue;
        if (ascii_hex_value(c) < 0 || len == DIGEST_LETTERS || len + 1 >= size)
            return false;
        room[len++] = c;
    }
    room[len] = '\0';
    return len == DIGEST_LETTERS;
}

static void lower(char *text)
{
    for (; *text; text++)
        *text = ascii_lower(*text);
}

static bool put_host(struct span value, char *room, size_t size)
{
    for (size_t i = 0; i < value.len; i++)
        if (!ascii_is_alnum(value.data[i]) && !strchr("-_.", value.data[i]))
            return false;
    if (value.len == 0 || value.len > 253 || !span_to_string(value, room, size))
        return false;
    lower(room);
    return true;
}

static bool put_mailbox(struct span value, char *room, size_t size)
{
    size_t at = span_find(value, '@');

    if (at == 0 || at + 1 >= value.len || !span_is_printable(value) ||
        span_find(value, ' ') < value.len || span_find(value, '"') < value.len ||
        span_find(value, '\\') < value.len || !span_to_string(value, room, size))
        return false;
    lower(room);
    return true;
}

static const struct {
    struct span prefix;
    value_fn *put;
    bool needs_trust;
} kinds[] = {
    { { "sha256:", 7 }, put_digest, false },
    { { "key-sha256:", 11 }, put_digest, false },
    { { "name:", 5 }, put_host, true },
    { { "mail:", 5 }, put_mailbox, true },
};

bool certificate_pattern_normalize(struct span text, char room[CERTIFICATE_PATTERN_SIZE])
{
    if (span_equal(text, SPAN("trusted")))
        return span_to_string(text, room, CERTIFICATE_PATTERN_SIZE);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t len = kinds[i].prefix.len;
        if (!span_starts_with(text, kinds[i].prefix))
            continue;
        memcpy(room, kinds[i].prefix.data, len);
        return kinds[i].put(span_from(text, len), room + len, CERTIFICATE_PATTERN_SIZE - len);
    }
    return false;
}

bool certificate_pattern_needs_trust(struct span pattern)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (span_starts_with(pattern, kinds[i].prefix))
            return kinds[i].needs_trust;
    return true;
}
