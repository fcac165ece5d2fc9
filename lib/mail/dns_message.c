#include "lib/mail/dns_message.h"

#include "lib/base/memory.h"
#include "lib/mail/dns_wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LABEL_MAX = 63,
    CLASS_IN = 1,
    TYPE_NS = 2,
    TYPE_OPT = 41,
};

struct header {
    unsigned flags;
    unsigned questions;
    unsigned answers;
    unsigned authorities;
    unsigned additionals;
};

/* What one message is parsed into; on the way, as the steps share it. */
struct parse {
    struct dns_reader reader; /* behind what has been read */
    struct header header;
    struct span name; /* asked for, without the final dot */
    enum dns_type type;
    size_t answers_at;
    unsigned rcode; /* with the upper bits of OPT */
    bool has_soa;
    bool has_ns;
    uint32_t negative_ttl;
    struct dns_answer *out;
};

static bool is_name(const struct dns_wire_name *name, struct span wanted)
{
    return span_equal_nocase(span_of(name->text), wanted);
}

/* A reader over a record's data that cannot leave it, though its pointers may. */
static struct dns_reader data_reader(const struct parse *p, const struct dns_raw_record *raw)
{
    return (struct dns_reader){ span_first(p->reader.wire, raw->data_at + raw->data_len),
                                raw->data_at, false };
}

static char *copy_bytes(const struct parse *p, const struct dns_raw_record *raw)
{
    return memory_copy_span(span_first(span_from(p->reader.wire, raw->data_at), raw->data_len));
}

static bool take_name(struct dns_reader *data, struct dns_record *out)
{
    struct dns_wire_name name;

    dns_read_name(data, &name);
    if (data->broken)
        return false;
    out->name = memory_copy_text(name.text);
    out->name_is_host = name.is_host;
    return true;
}

static bool take_address(struct dns_reader *data, enum address_family family, size_t len,
                         struct dns_record *out)
{
    if (data->wire.len - data->at != len)
        return false;
    out->address.family = family;
    memcpy(out->address.bytes, data->wire.data + data->at, len);
    data->at += len;
    return true;
}

/* One or more character-strings, joined without a separator (RFC 8461 s.3.1, RFC 8460 s.3). */
static bool take_text(struct dns_reader *data, struct dns_record *out)
{
    out->data = memory_new(data->wire.len - data->at + 1);
    do {
        unsigned len = dns_read_u8(data);
        if (data->broken || len > data->wire.len - data->at)
            return false;
        memcpy(out->data + out->data_len, data->wire.data + data->at, len);
        out->data_len += len;
        data->at += len;
    } while (data->at < data->wire.len);
    return true;
}

/* Takes a record of the type asked for; false when its data is not in form. */
static bool take_data(const struct parse *p, const struct dns_raw_record *raw,
                      struct dns_record *out)
{
    struct dns_reader data = data_reader(p, raw);
    bool taken = false;

    switch (p->type) {
    case DNS_A:
        taken = take_address(&data, ADDRESS_V4, 4, out);
        break;
    case DNS_AAAA:
        taken = take_address(&data, ADDRESS_V6, 16, out);
        break;
    case DNS_MX:
        out->preference = (uint16_t)dns_read_u16(&data);
        taken = take_name(&data, out);
        break;
    case DNS_CNAME:
        taken = take_name(&data, out);
        break;
    case DNS_TXT:
        taken = take_text(&data, out);
        break;
    case DNS_DNSKEY:
    case DNS_TLSA:
    case DNS_SOA:
        out->data = copy_bytes(p, raw);
        out->data_len = raw->data_len;
        data.at = data.wire.len;
        taken = true;
        break;
    }
    return taken && data.at == data.wire.len;
}

static void lower_ttl(struct dns_answer *out, uint32_t ttl)
{
    if (ttl < out->ttl)
        out->ttl = ttl;
}

static void append_record(struct dns_answer *out, const struct dns_record *record)
{
    /* The room doubles: it is full whenever the count is a power of two. */
    if ((out->count & (out->count - 1)) == 0) {
        size_t room = out->count == 0 ? 1 : 2 * (size_t)out->count;
        out->records = memory_resize(out->records, room * sizeof(*out->records));
    }
    out->records[out->count++] = *record;
}

static void record_clear(struct dns_record *record)
{
    free(record->name);
    free(record->data);
}

static struct dns_record *worst_of(struct dns_answer *out)
{
    struct dns_record *worst = &out->records[0];

    for (unsigned i = 1; i < out->count; i++)
        if (out->records[i].preference > worst->preference)
            worst = &out->records[i];
    return worst;
}

/* Keeps a record, which it takes; of too many MX records the best.  NULL or why not. */
static const char *keep_record(struct parse *p, struct dns_record *record)
{
    struct dns_record *place;

    if (p->out->count < DNS_RECORDS_MAX) {
        append_record(p->out, record);
        return NULL;
    }
    place = worst_of(p->out);
    if (p->type == DNS_MX && record->preference < place->preference) {
        struct dns_record worse = *place;
        *place = *record;
        *record = worse;
    }
    record_clear(record);
    p->out->left_out++;
    return p->type == DNS_MX ? NULL : "too many records";
}

static struct dns_reader answers_reader(const struct parse *p)
{
    return (struct dns_reader){ p->reader.wire, p->answers_at, false };
}

/* Takes all records of the type asked for whose owner is the canonical name; NULL or why not. */
static const char *take_wanted(struct parse *p)
{
    struct span owner = span_of(p->out->canonical);
    struct dns_reader r = answers_reader(p);
    struct dns_raw_record raw;
    const char *fault = NULL;

    for (unsigned i = 0; i < p->header.answers && !fault; i++) {
        dns_read_record(&r, &raw);
        if (raw.type != p->type || raw.class != CLASS_IN || !is_name(&raw.owner, owner))
            continue;
        struct dns_record record = { .ttl = raw.ttl };
        lower_ttl(p->out, raw.ttl);
        if (!take_data(p, &raw, &record))
            fault = "malformed record";
        const char *refusal = keep_record(p, &record);
        fault = fault ? fault : refusal;
    }
    return fault;
}

/* Finds where the canonical name points to; false when it has no CNAME record. */
static bool find_alias(struct parse *p, struct dns_wire_name *out_target, const char **fault)
{
    struct span owner = span_of(p->out->canonical);
    struct dns_reader r = answers_reader(p);
    struct dns_raw_record raw;

    for (unsigned i = 0; i < p->header.answers; i++) {
        dns_read_record(&r, &raw);
        if (raw.type != DNS_CNAME || raw.class != CLASS_IN || !is_name(&raw.owner, owner))
            continue;
        struct dns_reader data = data_reader(p, &raw);
        dns_read_name(&data, out_target);
        lower_ttl(p->out, raw.ttl);
        if (data.broken || data.at != data.wire.len)
            *fault = "malformed record";
        return true;
    }
    return false;
}

/* RFC 5321 s.5.1: an alias is followed as if its target had been asked for. */
static const char *follow(struct parse *p)
{
    struct dns_wire_name target;
    const char *fault;

    for (;;) {
        fault = take_wanted(p);
        if (fault || p->out->count > 0 || p->type == DNS_CNAME)
            return fault;
        if (!find_alias(p, &target, &fault))
            return NULL;
        if (fault)
            return fault;
        if (p->out->cname_steps == CNAME_STEPS_MAX)
            return "CNAME chain too long";
        if (!span_to_string(span_of(target.text), p->out->canonical, sizeof(p->out->canonical)))
            return "CNAME to an impossible name";
        p->out->cname_steps++;
    }
}

/* RFC 2308 s.5: the lesser of the SOA's own TTL and its last number. */
static void take_soa(struct parse *p, const struct dns_raw_record *raw)
{
    struct dns_reader data = data_reader(p, raw);
    struct dns_wire_name name;
    uint32_t minimum;

    dns_read_name(&data, &name);
    if (!data.broken)
        dns_read_name(&data, &name);
    if (!data.broken)
        dns_skip(&data, 16);
    minimum = dns_read_ttl(&data);
    if (data.broken)
        return;
    p->has_soa = true;
    p->negative_ttl = raw->ttl < minimum ? raw->ttl : minimum;
}

static void read_sections(struct parse *p)
{
    struct dns_reader *r = &p->reader;
    struct dns_raw_record raw;

    p->answers_at = r->at;
    for (unsigned i = 0; i < p->header.answers && !r->broken; i++)
        dns_read_record(r, &raw);
    for (unsigned i = 0; i < p->header.authorities && !r->broken; i++) {
        dns_read_record(r, &raw);
        if (!r->broken && raw.type == DNS_SOA && raw.class == CLASS_IN)
            take_soa(p, &raw);
        p->has_ns = p->has_ns || (!r->broken && raw.type == TYPE_NS);
    }
    for (unsigned i = 0; i < p->header.additionals && !r->broken; i++) {
        dns_read_record(r, &raw);
        if (!r->broken && raw.type == TYPE_OPT) /* RFC 6891 s.6.1.3 */
            p->rcode |= raw.ttl >> 24 << 4;
    }
}

static const char *read_question(struct parse *p)
{
    struct dns_wire_name name;
    unsigned type, class;

    if (p->header.questions != 1)
        return "malformed answer";
    dns_read_name(&p->reader, &name);
    type = dns_read_u16(&p->reader);
    class = dns_read_u16(&p->reader);
    if (p->reader.broken)
        return "malformed answer";
    if (!is_name(&name, p->name) || type != p->type || class != CLASS_IN)
        return "answer to another question";
    return NULL;
}

static const char *read_header(struct parse *p)
{
    struct dns_reader *r = &p->reader;

    if (r->wire.len > DNS_MESSAGE_MAX)
        return "answer too long";
    dns_read_u16(r); /* the id: the resolver's business */
    p->header.flags = dns_read_u16(r);
    p->header.questions = dns_read_u16(r);
    p->header.answers = dns_read_u16(r);
    p->header.authorities = dns_read_u16(r);
    p->header.additionals = dns_read_u16(r);
    p->rcode = p->header.flags & 0x0f;
    if (r->broken || !(p->header.flags & 0x8000) || (p->header.flags & 0x7800))
        return "malformed answer";
    if (p->header.flags & 0x0200)
        return "truncated answer";
    return NULL;
}

static const char *rcode_fault(unsigned rcode, char text[16])
{
    switch (rcode) {
    case 0:
    case 3:
        return NULL;
    case 1:
        return "FORMERR";
    case 2:
        return "SERVFAIL";
    case 4:
        return "NOTIMP";
    case 5:
        return "REFUSED";
    default:
        snprintf(text, 16, "rcode %u", rcode % 4096);
        return text;
    }
}

/* No record of the type: absence, if the message really says so. */
static const char *conclude_absence(struct parse *p)
{
    if (p->rcode == 0 && p->has_ns && !p->has_soa)
        return "referral instead of an answer"; /* RFC 2308 s.2.1, s.2.2 */
    p->out->outcome = p->rcode == 3 ? DNS_NXDOMAIN : DNS_NODATA;
    lower_ttl(p->out, p->has_soa ? p->negative_ttl : 0);
    return NULL;
}

static const char *parse_message(struct parse *p, char room[16])
{
    const char *fault = read_header(p);

    /* A server that refuses may leave out all but the header. */
    if (!fault && p->rcode != 0 && p->rcode != 3)
        return rcode_fault(p->rcode, room);
    if (!fault)
        fault = read_question(p);
    if (fault)
        return fault;
    read_sections(p);
    if (p->reader.broken)
        return "malformed answer";
    fault = rcode_fault(p->rcode, room);
    if (!fault)
        fault = follow(p);
    if (fault || p->out->count == 0)
        return fault ? fault : conclude_absence(p);
    if (p->rcode != 0)
        return "records for a name that does not exist";
    p->out->outcome = DNS_ANSWER;
    return NULL;
}

static struct span without_final_dot(struct span name)
{
    if (name.len > 1 && name.data[name.len - 1] == '.')
        name.len--;
    return name;
}

void dns_message_parse(struct span wire, struct span name, enum dns_type type, bool trusted,
                       struct dns_answer *out)
{
    struct parse p = { .reader = { wire, 0, false }, .type = type, .out = out };
    char room[16];
    const char *fault;

    *out = (struct dns_answer){ .outcome = DNS_TEMPFAIL, .ttl = UINT32_MAX };
    p.name = without_final_dot(name);
    if (span_to_string(p.name, out->canonical, sizeof(out->canonical)))
        fault = parse_message(&p, room);
    else
        fault = "name too long";
    if (fault) {
        dns_answer_clear(out);
        dns_answer_none(out, DNS_TEMPFAIL, fault);
        return;
    }
    for (char *c = out->canonical; *c; c++)
        *c = ascii_lower(*c);
    out->secure = trusted && (p.header.flags & 0x0020);
}

void dns_answer_none(struct dns_answer *out, enum dns_outcome outcome, const char *reason)
{
    *out = (struct dns_answer){ .outcome = outcome };
    snprintf(out->reason, sizeof(out->reason), "%s", reason);
}

void dns_answer_clear(struct dns_answer *answer)
{
    for (unsigned i = 0; i < answer->count; i++)
        record_clear(&answer->records[i]);
    free(answer->records);
    answer->records = NULL;
    answer->count = 0;
}

bool dns_name_is_valid(struct span name)
{
    struct span label;

    name = without_final_dot(name);
    if (name.len == 0 || name.len > DOMAIN_MAX)
        return false;
    while (span_cut(&name, '.', &label)) {
        if (label.len == 0 || label.len > LABEL_MAX)
            return false;
        for (size_t i = 0; i < label.len; i++)
            if (!ascii_is_alnum(label.data[i]) && label.data[i] != '-' && label.data[i] != '_')
                return false;
    }
    return true;
}
