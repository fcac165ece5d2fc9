#include "lib/base/utf8.h"

/* How long a character with this first byte is, and what its second byte may be (RFC 3629 s.4). */
static const struct lead {
    uint8_t from, to;
    uint8_t len;
    uint8_t second_from, second_to;
} leads[] = {
    { 0x00, 0x7f, 1, 0, 0 },       { 0xc2, 0xdf, 2, 0x80, 0xbf }, { 0xe0, 0xe0, 3, 0xa0, 0xbf },
    { 0xe1, 0xec, 3, 0x80, 0xbf }, { 0xed, 0xed, 3, 0x80, 0x9f }, { 0xee, 0xef, 3, 0x80, 0xbf },
    { 0xf0, 0xf0, 4, 0x90, 0xbf }, { 0xf1, 0xf3, 4, 0x80, 0xbf }, { 0xf4, 0xf4, 4, 0x80, 0x8f },
};

static bool in_range(uint8_t byte, uint8_t from, uint8_t to)
{
    return byte >= from && byte <= to;
}

static size_t character_of(struct span s, const struct lead *lead)
{
    if (s.len < lead->len)
        return 0;
    if (lead->len > 1 && !in_range((uint8_t)s.data[1], lead->second_from, lead->second_to))
        return 0;
    for (size_t i = 2; i < lead->len; i++)
        if (!in_range((uint8_t)s.data[i], 0x80, 0xbf))
            return 0;
    return lead->len;
}

size_t utf8_character(struct span s)
{
    for (size_t i = 0; s.len > 0 && i < sizeof(leads) / sizeof(leads[0]); i++)
        if (in_range((uint8_t)s.data[0], leads[i].from, leads[i].to))
            return character_of(s, &leads[i]);
    return 0;
}

uint32_t utf8_point(struct span character)
{
    uint32_t point = (uint8_t)character.data[0];

    if (character.len > 1)
        point &= 0x7fU >> character.len;
    for (size_t i = 1; i < character.len; i++)
        point = point << 6 | ((uint8_t)character.data[i] & 0x3fU);
    return point;
}

size_t utf8_write(uint32_t point, char room[UTF8_CHARACTER_MAX])
{
    static const uint8_t marks[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    size_t len = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;

    for (size_t i = len; i-- > 1; point >>= 6)
        room[i] = (char)(0x80 | (point & 0x3f));
    room[0] = (char)(marks[len] | point);
    return len;
}

bool utf8_is_valid(struct span s)
{
    while (s.len > 0) {
        size_t len = utf8_character(s);
        if (len == 0)
            return false;
        s = span_from(s, len);
    }
    return true;
}
