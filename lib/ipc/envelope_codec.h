/* envelope_codec - envelopes to their protobuf form and back, for frames and for the queue's
 * records. */
#ifndef WAXSEAL_IPC_ENVELOPE_CODEC_H
#define WAXSEAL_IPC_ENVELOPE_CODEC_H

#include "lib/ipc/envelope.pb-c.h"
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

#endif
