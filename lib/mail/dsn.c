#include "lib/mail/dsn.h"

#include "lib/mail/xtext.h"

#include <string.h>

static const struct {
    struct span word;
    uint32_t bit;
} words[] = {
    { { "NEVER", 5 }, NOTIFY_NEVER },
    { { "SUCCESS", 7 }, NOTIFY_SUCCESS },
    { { "FAILURE", 7 }, NOTIFY_FAILURE },
    { { "DELAY", 5 }, NOTIFY_DELAY },
};
enum { WORDS = sizeof(words) / sizeof(words[0]) };

bool dsn_parse_ret(struct span value, struct dsn_request *out)
{
    bool full = span_equal_nocase(value, SPAN("FULL"));

    if (!full && !span_equal_nocase(value, SPAN("HDRS")))
        return false;
    out->ret_full = full;
    out->ret_headers = !full;
    return true;
}

bool dsn_envid_is_valid(struct span envid)
{
    return envid.len <= ENVID_MAX && xtext_is_valid(envid);
}

bool dsn_parse_envid(struct span value, struct dsn_request *out)
{
    return value.len > 0 && dsn_envid_is_valid(value) &&
           span_to_string(value, out->envid, sizeof(out->envid));
}

static uint32_t bit_of(struct span word)
{
    for (size_t i = 0; i < WORDS; i++)
        if (span_equal_nocase(word, words[i].word))
            return words[i].bit;
    return 0;
}

bool dsn_notify_is_valid(uint32_t notify)
{
    return notify == NOTIFY_NEVER || (notify & NOTIFY_NEVER) == 0
               ? notify <= (NOTIFY_NEVER | NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY)
               : false;
}

/* NEVER stands alone, and nothing stands twice. */
bool dsn_parse_notify(struct span value, uint32_t *out_notify)
{
    uint32_t notify = 0;
    struct span word;

    while (span_cut(&value, ',', &word)) {
        uint32_t bit = bit_of(word);
        if (bit == 0 || (notify & bit))
            return false;
        notify |= bit;
    }
    if (notify == 0 || !dsn_notify_is_valid(notify))
        return false;
    *out_notify = notify;
    return true;
}

static bool is_coded_address(struct span type, struct span address)
{
    char room[ORCPT_MAX];
    size_t len;

    return xtext_decode_utf8(address, room, &len) ||
           (span_equal_nocase(type, SPAN("utf-8")) && xtext_utf8_is_valid(address));
}

/* RFC 3461 s.4.2: addr-type ";" xtext; the type is an atom.  RFC 6533 s.3: "utf-8" may be UTF-8. */
bool dsn_orcpt_is_valid(struct span orcpt)
{
    struct span type = span_first(orcpt, span_find(orcpt, ';'));
    struct span address = span_from(orcpt, type.len + 1);

    if (orcpt.len == 0)
        return true;
    if (orcpt.len > ORCPT_MAX || type.len == 0 || address.len == 0)
        return false;
    for (size_t i = 0; i < type.len; i++)
        if (!ascii_is_alnum(type.data[i]) && type.data[i] != '-')
            return false;
    return is_coded_address(type, address);
}

bool dsn_parse_orcpt(struct span value, char out_orcpt[ORCPT_MAX + 1])
{
    return value.len > 0 && dsn_orcpt_is_valid(value) &&
           span_to_string(value, out_orcpt, ORCPT_MAX + 1);
}

bool dsn_orcpt_to_ascii(struct span orcpt, char room[ORCPT_MAX + 1])
{
    size_t type_len = span_find(orcpt, ';') + 1;
    struct buf text;
    bool fits;

    if (span_is_printable(orcpt))
        return span_to_string(orcpt, room, ORCPT_MAX + 1);
    buf_init(&text, ORCPT_MAX);
    fits = buf_append(&text, span_first(orcpt, type_len)) &&
           xtext_utf8_to_ascii(span_from(orcpt, type_len), &text) &&
           span_to_string(buf_span(&text), room, ORCPT_MAX + 1);
    buf_clear(&text);
    return fits;
}

void dsn_format_notify(uint32_t notify, char room[DSN_NOTIFY_SIZE])
{
    size_t len = 0;

    for (size_t i = 0; i < WORDS; i++) {
        if (!(notify & words[i].bit) || len + words[i].word.len + 2 > DSN_NOTIFY_SIZE)
            continue;
        if (len > 0)
            room[len++] = ',';
        memcpy(room + len, words[i].word.data, words[i].word.len);
        len += words[i].word.len;
    }
    room[len] = '\0';
}
