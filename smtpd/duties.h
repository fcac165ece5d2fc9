/*
 * duties - what a relay does to the header of a message where it was told to: the fixes of a
 * submission server (RFC 6409 s.8), addresses completed and rewritten, fields taken out.  Called by
 * smtpd/intake with a whole header block, once.  Pure: appends to what the caller gives.
 * Only the bytes of fields that leave, of addresses that change and of fields that are added
 * differ; all others, of those fields too, stay as they came (rfc/message-format.md section 1).
 */
#ifndef WAXSEAL_SMTPD_DUTIES_H
#define WAXSEAL_SMTPD_DUTIES_H

#include "lib/base/buf.h"
#include "lib/base/settings.h"

struct duties {
    bool fixes;                          /* adds Date, Message-ID; removes Bcc, Return-Path */
    const char *origin;                  /* completes bare names; NULL: they stay */
    const struct rewrite_list *rewrites; /* of From, Sender, Reply-To */
    const struct field_names *removed;
    const struct client_rule *senders; /* the authors that From may name; NULL: any */
    struct span home;                  /* the domain of bare names among them */
    char message_id[400];              /* to be added, with its brackets */
    int64_t now_utc_ms;
};

/* What a listener asks for.  Lends of the settings. */
void duties_init(struct duties *duties, const struct settings *settings,
                 const struct listener_settings *listener);

/* Is there anything to do?  If not, no header has to be held. */
bool duties_are_any(const struct duties *duties);

/*
 * What only this message has: the time and the Message-ID that it gets if it has none (RFC 5322
 * s.3.6.4): the time and 96 random bits at our name.
 */
enum { DUTIES_RANDOM_SIZE = 12 };
void duties_name_message(struct duties *duties, const char *hostname, int64_t now_utc_ms,
                         const unsigned char random[DUTIES_RANDOM_SIZE]);

/* Is it one of the fields that are taken out? */
bool duties_remove(const struct duties *duties, struct span name);

/* Appends the block as it goes on; false when it does not fit. */
bool duties_apply(const struct duties *duties, struct span block, struct buf *out) MUST_CHECK;

#endif
