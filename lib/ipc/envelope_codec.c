#include "lib/ipc/envelope_codec.h"

#include "lib/base/memory.h"
#include "lib/base/utf8.h"
#include "lib/ipc/channel.h"
#include "lib/mail/domain.h"
#include "lib/mail/dsn.h"

#include <stdlib.h>
#include <string.h>

/* --- to a message */

static ProtobufCBinaryData text_bytes(const char *text)
{
    return bytes_of_span(span_of(text));
}

static ProtobufCBinaryData ip_bytes(const struct ip_address *a)
{
    size_t len = a->family == ADDRESS_V4 ? 4 : a->family == ADDRESS_V6 ? 16 : 0;

    return bytes_of_span((struct span){ (const char *)a->bytes, len });
}

void mailbox_to_message(Ipc__Mailbox *m, const struct address *a)
{
    ipc__mailbox__init(m);
    m->text = text_bytes(a->text);
    m->local_len = (uint32_t)a->local_len;
    m->domain = text_bytes(a->domain);
    if (a->is_literal)
        m->literal = ip_bytes(&a->literal);
}

/* An envelope message and all that hangs from it, in one piece of memory. */
struct envelope_message {
    Ipc__Envelope envelope; /* first: the piece is freed through it */
    Ipc__Mailbox reverse_path;
};

struct recipient_message {
    Ipc__Recipient recipient;
    Ipc__Mailbox forward_path;
};

static void recipient_fill(struct recipient_message *m, const struct envelope_recipient *r)
{
    ipc__recipient__init(&m->recipient);
    mailbox_to_message(&m->forward_path, &r->forward_path);
    m->recipient.forward_path = &m->forward_path;
    m->recipient.number = r->number;
    m->recipient.notify = r->notify;
    m->recipient.orcpt = text_bytes(r->orcpt);
}

static void recipients_fill(struct recipient_message *room, Ipc__Recipient **pointers,
                            const struct envelope_recipient *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        recipient_fill(&room[i], &list[i]);
        pointers[i] = &room[i].recipient;
    }
}

Ipc__Envelope *envelope_to_message(const struct envelope *e)
{
    size_t count = (size_t)e->recipient_count + e->expanded_count;
    struct envelope_message *whole = memory_new(
        sizeof(*whole) + count * (sizeof(struct recipient_message) + sizeof(Ipc__Recipient *)));
    struct recipient_message *recipients = (void *)(whole + 1);
    Ipc__Envelope *m = &whole->envelope;

    ipc__envelope__init(m);
    mailbox_to_message(&whole->reverse_path, &e->reverse_path);
    m->reverse_path = &whole->reverse_path;
    m->body = e->body;
    m->smtputf8 = e->smtputf8;
    m->utf8_header = e->utf8_header;
    m->priority = e->priority;
    m->requiretls = e->requiretls;
    m->tls_required_no = e->tls_required_no;
    m->from_stranger = e->from_stranger;
    m->tls_report = e->tls_report;
    m->ret = e->dsn.ret_full ? 1 : e->dsn.ret_headers ? 2 : 0;
    m->envid = text_bytes(e->dsn.envid);
    m->received_utc_ms = e->received_utc_ms;
    m->client_name = text_bytes(e->client_name);
    m->client_address = ip_bytes(&e->client_address);
    m->listener = text_bytes(e->listener);
    m->client_tls = text_bytes(e->client_tls);
    m->user = text_bytes(e->user);
    m->declared_size = e->declared_size;
    m->n_recipients = e->recipient_count;
    m->recipients = (void *)(recipients + count);
    recipients_fill(recipients, m->recipients, e->recipients, e->recipient_count);
    m->n_expanded = e->expanded_count;
    m->expanded = m->recipients + e->recipient_count;
    recipients_fill(recipients + e->recipient_count, m->expanded, e->expanded, e->expanded_count);
    return m;
}

void envelope_message_free(Ipc__Envelope **message)
{
    free(*message);
    *message = NULL;
}

/* --- from a message */

static bool text_from(ProtobufCBinaryData bytes, char *room, size_t size)
{
    struct span s = span_of_bytes(bytes);

    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.data[i] < ' ' || s.data[i] == 0x7f)
            return false; /* nothing that could end a command or a header line */
    return span_to_string(s, room, size);
}

static bool ip_from(ProtobufCBinaryData bytes, struct ip_address *out)
{
    if (bytes.len != 0 && bytes.len != 4 && bytes.len != 16)
        return false;
    *out = (struct ip_address){ .family = bytes.len == 4    ? ADDRESS_V4
                                          : bytes.len == 16 ? ADDRESS_V6
                                                            : ADDRESS_NONE };
    if (bytes.len > 0)
        memcpy(out->bytes, bytes.data, bytes.len);
    return true;
}

/* It will be looked up, and be a key in stores: its form is checked again. */
static bool domain_is_fit(const struct address *a)
{
    if (a->is_literal)
        return a->domain[0] == '[';
    return a->domain[0] == '\0' || domain_is_host(span_of(a->domain));
}

bool mailbox_from_message(const Ipc__Mailbox *m, struct address *out)
{
    *out = (struct address){ 0 };
    if (!m || !utf8_is_valid(span_of_bytes(m->text)) ||
        !text_from(m->text, out->text, sizeof(out->text)) ||
        !text_from(m->domain, out->domain, sizeof(out->domain)) ||
        !ip_from(m->literal, &out->literal) || m->local_len > strlen(out->text))
        return false;
    out->local_len = m->local_len;
    out->is_literal = m->literal.len > 0;
    return domain_is_fit(out);
}

typedef struct envelope_recipient *add_fn(struct envelope *e, const struct address *forward_path);

static bool recipient_from(const Ipc__Recipient *m, struct envelope *out, add_fn *add)
{
    struct address forward_path;

    if (!mailbox_from_message(m->forward_path, &forward_path) ||
        !envelope_has_room(out, &forward_path))
        return false;
    struct envelope_recipient *r = add(out, &forward_path);
    r->number = m->number;
    r->notify = m->notify;
    return dsn_notify_is_valid(m->notify) && dsn_orcpt_is_valid(span_of_bytes(m->orcpt)) &&
           envelope_set_orcpt(out, r, span_of_bytes(m->orcpt));
}

bool envelope_from_message(const Ipc__Envelope *message, struct envelope *out)
{
    if (!message || message->body > BODY_8BITMIME || message->ret > 2 ||
        message->priority < -PRIORITY_MAX || message->priority > PRIORITY_MAX ||
        !mailbox_from_message(message->reverse_path, &out->reverse_path) ||
        !dsn_envid_is_valid(span_of_bytes(message->envid)) ||
        !text_from(message->envid, out->dsn.envid, sizeof(out->dsn.envid)) ||
        !text_from(message->client_name, out->client_name, sizeof(out->client_name)) ||
        !text_from(message->listener, out->listener, sizeof(out->listener)) ||
        !text_from(message->client_tls, out->client_tls, sizeof(out->client_tls)) ||
        !text_from(message->user, out->user, sizeof(out->user)) ||
        !ip_from(message->client_address, &out->client_address))
        return false;
    out->body = (enum body_type)message->body;
    out->smtputf8 = message->smtputf8;
    out->utf8_header = message->utf8_header;
    out->priority = message->priority;
    out->requiretls = message->requiretls;
    out->tls_required_no = message->tls_required_no;
    out->from_stranger = message->from_stranger;
    out->tls_report = message->tls_report;
    out->dsn.ret_full = message->ret == 1;
    out->dsn.ret_headers = message->ret == 2;
    out->received_utc_ms = message->received_utc_ms;
    out->declared_size = message->declared_size;
    for (size_t i = 0; i < message->n_recipients; i++)
        if (!recipient_from(message->recipients[i], out, envelope_add))
            return false;
    for (size_t i = 0; i < message->n_expanded; i++)
        if (!recipient_from(message->expanded[i], out, envelope_add_expanded))
            return false;
    return true;
}

/* --- hashes */

static ProtobufCBinaryData hash_to_bytes(bool is_there, const unsigned char *hash)
{
    return bytes_of_span((struct span){ (const char *)hash, is_there ? DKIM_SHA256_SIZE : 0 });
}

static bool hash_from_bytes(ProtobufCBinaryData bytes, unsigned char *hash)
{
    if (bytes.len == DKIM_SHA256_SIZE)
        memcpy(hash, bytes.data, DKIM_SHA256_SIZE);
    return bytes.len == DKIM_SHA256_SIZE;
}

void body_hashes_to_bytes(const struct body_hashes *hashes, ProtobufCBinaryData *out_relaxed,
                          ProtobufCBinaryData *out_simple)
{
    *out_relaxed = hash_to_bytes(hashes->has_relaxed, hashes->relaxed);
    *out_simple = hash_to_bytes(hashes->has_simple, hashes->simple);
}

void body_hashes_from_bytes(ProtobufCBinaryData relaxed, ProtobufCBinaryData simple,
                            struct body_hashes *out)
{
    out->has_relaxed = hash_from_bytes(relaxed, out->relaxed);
    out->has_simple = hash_from_bytes(simple, out->simple);
}
