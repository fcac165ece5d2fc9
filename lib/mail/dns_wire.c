#include "lib/mail/dns_wire.h"

#include <stdio.h>

enum { HEADER_SIZE = 12, LABEL_MAX = 63, TYPE_OPT = 41 };

unsigned dns_read_u8(struct dns_reader *r)
{
    if (r->at >= r->wire.len) {
        r->broken = true;
        return 0;
    }
    return (unsigned char)r->wire.data[r->at++];
}

unsigned dns_read_u16(struct dns_reader *r)
{
    unsigned high = dns_read_u8(r);

    return high << 8 | dns_read_u8(r);
}

uint32_t dns_read_u32(struct dns_reader *r)
{
    uint32_t high = dns_read_u16(r);

    return high << 16 | dns_read_u16(r);
}

void dns_skip(struct dns_reader *r, size_t len)
{
    if (len > r->wire.len - r->at)
        r->broken = true;
    else
        r->at += len;
}

/* Appends one byte of a label in its printed form. */
static size_t print_byte(char *text, unsigned byte, bool *is_host)
{
    char c = (char)byte;

    if (byte < 0x80 && (ascii_is_alnum(c) || c == '-' || c == '_')) {
        text[0] = ascii_lower(c);
        return 1;
    }
    *is_host = false;
    return (size_t)snprintf(text, 5, "\\%03u", byte);
}

/* The label of `len` bytes at the reader's place, with a dot behind it. */
static size_t print_label(struct dns_reader *r, unsigned len, char *text, bool *is_host)
{
    size_t used = 0;

    for (unsigned i = 0; i < len; i++)
        used += print_byte(text + used, dns_read_u8(r), is_host);
    text[used++] = '.';
    return used;
}

void dns_read_name(struct dns_reader *r, struct dns_wire_name *out)
{
    struct dns_reader walk = *r;
    size_t run = walk.at; /* where this run of labels began */
    size_t resume = 0;    /* behind the first pointer */
    size_t wire_len = 1;
    size_t used = 0;

    out->is_host = true;
    for (unsigned len = dns_read_u8(&walk); len != 0 && !walk.broken; len = dns_read_u8(&walk)) {
        if (len >= 0xc0) {
            size_t target = (len & 0x3fu) << 8 | dns_read_u8(&walk);
            resume = resume ? resume : walk.at;
            walk.broken = walk.broken || target >= run || target < HEADER_SIZE;
            walk.at = run = target;
            continue;
        }
        wire_len += len + 1;
        if (len > LABEL_MAX || wire_len > DNS_NAME_WIRE_MAX) {
            walk.broken = true;
            break;
        }
        used += print_label(&walk, len, out->text + used, &out->is_host);
    }
    if (used == 0) {
        out->is_host = false;
        used = 2;
        out->text[0] = '.';
    }
    out->text[used - 1] = '\0'; /* the last dot's place */
    r->at = resume ? resume : walk.at;
    r->broken = walk.broken;
}

uint32_t dns_read_ttl(struct dns_reader *r)
{
    uint32_t ttl = dns_read_u32(r);

    return ttl > INT32_MAX ? 0 : ttl;
}

void dns_read_record(struct dns_reader *r, struct dns_raw_record *out)
{
    dns_read_name(r, &out->owner);
    out->type = (uint16_t)dns_read_u16(r);
    out->class = (uint16_t)dns_read_u16(r);
    out->ttl = out->type == TYPE_OPT ? dns_read_u32(r) : dns_read_ttl(r);
    out->data_len = dns_read_u16(r);
    out->data_at = r->at;
    if (!r->broken)
        dns_skip(r, out->data_len);
}
