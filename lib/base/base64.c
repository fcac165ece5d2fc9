#include "lib/base/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool base64_encode(struct span bytes, struct buf *out)
{
    size_t room;
    char *at;

    if (bytes.len == 0)
        return true;
    at = buf_reserve(out, BASE64_SIZE(bytes.len), &room);
    if (!at)
        return false;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t bits = (uint32_t)(unsigned char)bytes.data[i] << 16;
        if (left > 1)
            bits |= (uint32_t)(unsigned char)bytes.data[i + 1] << 8;
        if (left > 2)
            bits |= (uint32_t)(unsigned char)bytes.data[i + 2];
        *at++ = letters[bits >> 18];
        *at++ = letters[bits >> 12 & 63];
        *at++ = '=';
        *at++ = '=';
        if (left > 1)
            at[-2] = letters[bits >> 6 & 63];
        if (left > 2)
            at[-1] = letters[bits & 63];
    }
    buf_commit(out, BASE64_SIZE(bytes.len));
    return true;
}

/* The six bits of a letter, or -1. */
static int value_of(char letter)
{
    if (letter >= 'A' && letter <= 'Z')
        return letter - 'A';
    if (letter >= 'a' && letter <= 'z')
        return letter - 'a' + 26;
    if (ascii_is_digit(letter))
        return letter - '0' + 52;
    if (letter == '+')
        return 62;
    return letter == '/' ? 63 : -1;
}

/* Bytes that a group of four letters stands for, 0 when it is none; only the last may be short. */
static size_t decode_group(const char *group, bool is_last, char bytes[3])
{
    size_t count = 3;
    uint32_t bits = 0;

    while (is_last && count > 0 && group[count] == '=')
        count--;
    for (size_t i = 0; i < 4; i++) {
        int value = i <= count ? value_of(group[i]) : 0;
        if (value < 0)
            return 0;
        bits = bits << 6 | (uint32_t)value;
    }
    bytes[0] = (char)(bits >> 16);
    bytes[1] = (char)(bits >> 8);
    bytes[2] = (char)bits;
    if ((bits & ((1U << (3 - count) * 8) - 1)) != 0) /* RFC 4648 s.3.5: no stray bits */
        return 0;
    return count;
}

bool base64_decode(struct span text, struct buf *out)
{
    size_t room, len = 0;
    char *at;

    if (text.len == 0)
        return true;
    if (text.len % 4 != 0)
        return false;
    at = buf_reserve(out, text.len / 4 * 3, &room);
    if (!at)
        return false;
    for (size_t i = 0; i < text.len; i += 4) {
        char bytes[3];
        size_t count = decode_group(text.data + i, i + 4 == text.len, bytes);
        if (count == 0)
            return false;
        for (size_t n = 0; n < count; n++)
            at[len++] = bytes[n];
    }
    buf_commit(out, len);
    return true;
}
