/* envelope_codec - envelopes to their protobuf form and back, for frames and for the queue's
 * records. */
#ifndef WAXSEAL_IPC_ENVELOPE_CODEC_H
#define WAXSEAL_IPC_ENVELOPE_CODEC_H

#include "lib/ipc/envelope.pb-c.h"
#include "lib/io/body_hash.h"
#include "lib/mail/envelope.h"

/*
 * The protobuf form of an envelope; its bytes fields point into `e`, which must outlive it.  Freed
 * with envelope_message_free (never with free_unpacked).
 */
Ipc__Envelope *envelope_to_message(const struct envelope *e);
void envelope_message_free(Ipc__Envelope **message);

/* One mailbox; its bytes fields point into `address`. */
void mailbox_to_message(Ipc__Mailbox *message, const struct address *address);
/* Checks all of a hostile message; false: it is no mailbox. */
bool mailbox_from_message(const Ipc__Mailbox *message, struct address *out);

/* Checks all of a hostile message and fills an initialised envelope; false: it is no envelope. */
bool envelope_from_message(const Ipc__Envelope *message, struct envelope *out);

/* The hashes of a message's body (DKIM); lent.  What has another length than they have is none. */
void body_hashes_to_bytes(const struct body_hashes *hashes, ProtobufCBinaryData *out_relaxed,
                          ProtobufCBinaryData *out_simple);
void body_hashes_from_bytes(ProtobufCBinaryData relaxed, ProtobufCBinaryData simple,
                            struct body_hashes *out);

#endif
