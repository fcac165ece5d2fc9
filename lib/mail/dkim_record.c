#include "lib/mail/dkim_record.h"

#include "lib/base/base64.h"
#include "lib/mail/dkim_tags.h"

#include <stdio.h>
#include <string.h>

enum { ED25519_KEY_SIZE = 32, TXT_STRING_MAX = 255 };

/* Is one of two words in a list with colons?  A list that is not there has all words. */
static bool lists(const struct dkim_tags *tags, const char *name, struct span word,
                  struct span other)
{
    struct span list;
    struct span item;

    if (!dkim_tags_find(tags, name, &list))
        return true;
    while (span_cut(&list, ':', &item))
        if (span_equal_nocase(dkim_trim(item), word) || span_equal_nocase(dkim_trim(item), other))
            return true;
    return false;
}

/* Unlike the others, a t= that is not there has no flag set. */
static bool has_flag(const struct dkim_tags *tags, struct span flag)
{
    struct span list;

    return dkim_tags_find(tags, "t", &list) && lists(tags, "t", flag, flag);
}

/* Base64 with blanks and folds within (RFC 6376 s.3.2). */
static bool decode_key(struct span value, struct dkim_record *out)
{
    struct buf text;
    struct buf key;
    bool decoded;

    buf_init(&text, BASE64_SIZE(DKIM_KEY_MAX));
    buf_init(&key, DKIM_KEY_MAX);
    decoded = true;
    for (size_t i = 0; decoded && i < value.len; i++)
        if (dkim_trim((struct span){ value.data + i, 1 }).len > 0)
            decoded = buf_append(&text, (struct span){ value.data + i, 1 });
    decoded = decoded && base64_decode(buf_span(&text), &key);
    if (decoded) {
        out->key_len = buf_len(&key);
        memcpy(out->key, buf_span(&key).data, out->key_len);
    }
    buf_clear(&text);
    buf_clear(&key);
    return decoded;
}

static const char *parse_key(const struct dkim_tags *tags, struct dkim_record *out)
{
    struct span value;

    out->algorithm = DKIM_RSA_SHA256;
    if (dkim_tags_find(tags, "k", &value) && !dkim_key_parse(value, &out->algorithm))
        return "k= names a kind of key that is neither rsa nor ed25519";
    if (!dkim_tags_find(tags, "p", &value))
        return "it has no p=, which holds the key";
    if (!decode_key(value, out))
        return "p= is not base64, or too long";
    if (out->algorithm == DKIM_ED25519_SHA256 && out->key_len != 0 &&
        out->key_len != ED25519_KEY_SIZE)
        return "p= is not an Ed25519 key: that has 32 octets, 44 characters";
    return NULL;
}

const char *dkim_record_parse(struct span text, struct dkim_record *out)
{
    struct dkim_tags tags;
    struct span value;

    if (text.len > DKIM_RECORD_MAX || !dkim_tags_parse(text, &tags))
        return "it is not a list of tags with \";\" between";
    if (dkim_tags_find(&tags, "v", &value) &&
        (!span_equal(value, SPAN("DKIM1")) || !span_equal(tags.tags[0].name, SPAN("v"))))
        return "v= is not DKIM1 and the first of it";
    out->takes_sha256 = lists(&tags, "h", SPAN("sha256"), SPAN("sha256"));
    out->is_for_email = lists(&tags, "s", SPAN("*"), SPAN("email"));
    out->is_for_reports = lists(&tags, "s", SPAN("*"), SPAN("tlsrpt"));
    out->is_testing = has_flag(&tags, SPAN("y"));
    out->is_strict = has_flag(&tags, SPAN("s"));
    return parse_key(&tags, out);
}

bool dkim_record_write(enum dkim_algorithm algorithm, struct span key, struct buf *out)
{
    return buf_printf(out, "v=DKIM1; k=%s; p=", dkim_key_name(algorithm)) &&
           base64_encode(key, out);
}

bool dkim_record_name(struct span selector, struct span domain, char out[DKIM_NAME_SIZE])
{
    int len = snprintf(out, DKIM_NAME_SIZE, SPAN_FMT "._domainkey." SPAN_FMT, SPAN_ARG(selector),
                       SPAN_ARG(domain));

    return len > 0 && len <= DOMAIN_MAX;
}

bool dkim_record_zone(const char *name, struct span text, struct buf *out)
{
    if (!buf_printf(out, "%s. IN TXT (", name))
        return false;
    for (; text.len > 0; text = span_from(text, TXT_STRING_MAX))
        if (!buf_printf(out, "\n    \"" SPAN_FMT "\"", SPAN_ARG(span_first(text, TXT_STRING_MAX))))
            return false;
    return buf_append(out, SPAN(" )\n"));
}
