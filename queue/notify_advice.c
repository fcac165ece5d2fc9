#include "queue/notify_advice.h"

#include "lib/ipc/channel.h"
#include "lib/mail/next_hop.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define ADDRESS "It is the address, not a mail system, that has to be put right."
#define SENDER "This can be put right on your side."
#define OURS "This is for the administrator of this mail system, named below, to put right."
#define THEIRS "This has to be put right on the recipient's side."
#define EITHER "It is not certain which side has to put this right."

#define CHECK_DOMAIN "Check the part of the address behind the @ for typing mistakes."
#define ASK_OURS "Write to the administrator named below."
#define OTHER_MEANS "If it is urgent, tell the recipient by other means."
#define LATER "Tell the recipient by other means, or send the message again later."
#define READ "Read the server's words below; the recipient's administrator can say more."

/* ---- by whose doing it was ------------------------------------------------------------------ */

static const struct advice by_cause[] = {
    [IPC__CAUSE__OPERATOR] = { "The administrator of this mail system sent the message back.", OURS,
                               "Read the reason below, and write to the administrator if it does "
                               "not say enough.",
                               0 },
    [IPC__CAUSE__ROUTE] = { "This mail system is set up not to send mail there.", OURS, ASK_OURS,
                            CLASS_POLICY },
};

/* ---- by status ------------------------------------------------------------------------------ */

enum source { ANYONE, LOCAL }; /* LOCAL: found here, not said by a server */

struct row {
    const char *status; /* subject and detail; "1." stands for all details not above */
    enum source source;
    struct advice advice;
};

/* clang-format off */
static const struct row rows[] = {
    { "1.10", ANYONE, { "The recipient's domain says that it takes no mail at all.", ADDRESS,
                        CHECK_DOMAIN, 0 } },
    { "1.2", ANYONE, { "The recipient's domain does not exist, or takes no mail.", ADDRESS,
                       CHECK_DOMAIN, 0 } },
    { "1.3", ANYONE, { "The recipient's mail system cannot read the address.", ADDRESS,
                       "Check the address for typing mistakes.", 0 } },
    { "1.6", ANYONE, { "The recipient has moved, and has left no address to forward mail to.",
                       ADDRESS, "Ask the recipient for the new address.", 0 } },
    { "1.7", ANYONE, { "The recipient's mail system does not take mail from your address.", SENDER,
                       "Check how your own address is written in your mail program.", 0 } },
    { "1.8", ANYONE, { "The recipient's mail system does not take mail from your domain.", SENDER,
                       "Check how your own address is written in your mail program.", 0 } },
    { "1.", ANYONE, { "There is no such mailbox.", ADDRESS, "Check the address for typing mistakes,"
                      " or ask the recipient for the right one.", 0 } },
    { "2.1", ANYONE, { "The recipient's mailbox is closed.", THEIRS,
                       "Ask the recipient for another address.", 0 } },
    { "2.2", ANYONE, { "The recipient's mailbox is full.", THEIRS, LATER, CLASS_RESOURCE } },
    { "2.3", ANYONE, { "The message is larger than the recipient's mailbox takes.", SENDER,
                       "Send a smaller message, for instance without attachments.", 0 } },
    { "2.", ANYONE, { "The recipient's mailbox cannot take mail at present.", THEIRS, LATER, 0 } },
    { "3.4", ANYONE, { "The message is larger than the recipient's mail system allows.", SENDER,
                       "Send a smaller message, for instance without attachments.", 0 } },
    { "3.5", LOCAL, { "This mail system is not set up right for mail to this address.", OURS,
                      ASK_OURS, CLASS_RESOURCE } },
    { "3.", LOCAL, { "This mail system had trouble of its own.", OURS, ASK_OURS, CLASS_RESOURCE } },
    { "3.", ANYONE, { "The recipient's mail system takes no mail at present.", THEIRS, LATER,
                      CLASS_RESOURCE } },
    { "4.3", ANYONE, { "The recipient's mail servers could not be looked up: the directory (DNS) of"
                       " the recipient's domain does not answer as it should.", THEIRS, LATER, 0 } },
    { "4.4", ANYONE, { "The recipient's mail servers could not be reached: its domain names none"
                       " that can be used.", THEIRS,
                       CHECK_DOMAIN "  If it is right, tell the recipient by other means.", 0 } },
    { "4.5", ANYONE, { "The recipient's mail system is too busy.", THEIRS, LATER, CLASS_RESOURCE } },
    { "4.6", ANYONE, { "The message went round in circles between mail servers.", EITHER, ASK_OURS,
                       CLASS_PROTOCOL } },
    { "4.", ANYONE, { "The recipient's mail servers could not be reached.", THEIRS, LATER, 0 } },
    { "5.3", ANYONE, { "The recipient's mail system takes no message for so many at a time.", THEIRS,
                       "Send the message to fewer recipients at a time.", CLASS_PROTOCOL } },
    { "5.", ANYONE, { "The two mail systems did not understand each other.", EITHER, ASK_OURS,
                      CLASS_PROTOCOL } },
    { "6.7", ANYONE, { "The mail server takes no addresses with letters beyond ASCII.", THEIRS,
                       "Use another address, if the recipient has one, and if need be another one"
                       " of your own.", 0 } },
    { "6.9", ANYONE, { "The mail server takes no headers with letters beyond ASCII.", THEIRS,
                       "Write subject and names without such letters, or as other mail programs"
                       " encode them.", 0 } },
    { "6.", LOCAL, { "The message could not be sent on as it is: a part of it is damaged.", OURS,
                     ASK_OURS, CLASS_RESOURCE } },
    { "6.", ANYONE, { "The recipient's mail system does not take messages of this form.", SENDER,
                      "Send it in another form, for instance without attachments.", 0 } },
    { "7.5", LOCAL, { "No connection to the recipient's mail servers was as secure as it has to"
                      " be.", THEIRS, OTHER_MEANS, CLASS_POLICY } },
    { "7.8", ANYONE, { "This mail system could not log in at the next server.", OURS, ASK_OURS,
                       CLASS_POLICY } },
    { "7.10", ANYONE, { "Encryption that the message asked for could not be had on the way.",
                        EITHER, "Send it without asking for REQUIRETLS, or by other means.",
                        CLASS_POLICY } },
    { "7.20", ANYONE, { "The recipient's mail system is not sure that the message is from you.",
                        SENDER, "Show this to the administrator of your own domain: its signatures"
                        " (DKIM) are missing or wrong.", CLASS_POLICY } },
    { "7.23", ANYONE, { "The recipient's mail system is not sure that the message is from you.",
                        SENDER, "Show this to the administrator of your own domain: its list of"
                        " servers (SPF) does not name the one that sent this.", CLASS_POLICY } },
    { "7.25", ANYONE, { "The recipient's mail system does not trust the address of ours.", OURS,
                        ASK_OURS, CLASS_POLICY } },
    { "7.26", ANYONE, { "The recipient's mail system is not sure that the message is from you.",
                        SENDER, "Show this to the administrator of your own domain: neither its"
                        " signatures (DKIM) nor its list of servers (SPF) vouch for it.",
                        CLASS_POLICY } },
    { "7.27", ANYONE, { "Your own domain says that it takes no mail, so that nobody could answer"
                        " you.", SENDER, "Check how your own address is written in your mail"
                        " program.", CLASS_POLICY } },
    { "7.30", ANYONE, { "The message asked for protection (REQUIRETLS) that the next server cannot"
                        " give.", EITHER, "Send it without asking for REQUIRETLS, or by other"
                        " means.", CLASS_POLICY } },
    { "7.", ANYONE, { "The recipient's mail system refused the message for reasons of its own,"
                      " often because it takes it for spam, or you for somebody who may not send"
                      " there.", EITHER, READ, CLASS_POLICY } },
};

/* Where no policy of the recipient's domain asks for so much. */
static const struct row of_own_levels[] = {
    { "7.5", LOCAL, { "No connection to the recipient's mail servers was as secure as this mail"
                      " system is set up to ask for.", OURS, ASK_OURS, CLASS_POLICY } },
};

/* Of a host that a setting of ours names. */
static const struct row of_named_hosts[] = {
    { "4.", LOCAL, { "This mail system could not reach the mail server that it is set up to hand"
                     " such mail to.", OURS, ASK_OURS, CLASS_RESOURCE } },
    { "7.5", LOCAL, { "The connection to the mail server that this mail system is set up to hand"
                      " such mail to was not as secure as it has to be.", OURS, ASK_OURS,
                      CLASS_POLICY } },
};
/* clang-format on */

static const struct advice refused = {
    "The recipient's mail system did not take the message.", EITHER,
    "Read the server's words below; send the message again when the cause is gone.", 0
};

static bool row_fits(const struct row *row, struct span status, const Ipc__Result *result)
{
    struct span key = span_of(row->status);

    if (row->source == LOCAL && result->remote)
        return false;
    return key.data[key.len - 1] == '.' ? span_starts_with(status, key) : span_equal(status, key);
}

static const struct advice *find_row(const struct row *list, size_t count, struct span status,
                                     const Ipc__Result *result)
{
    for (size_t i = 0; i < count; i++)
        if (row_fits(&list[i], status, result))
            return &list[i].advice;
    return NULL;
}

/* Does its mail go to a host that the administrator chose, and not to its domain's MX? */
static bool goes_to_named_host(const Queue__RecipientRecord *record)
{
    struct next_hop hop;

    return next_hop_parse(span_of_bytes(record->next_hop), &hop) &&
           (hop.kind == NEXT_HOP_RELAYHOST || hop.kind == NEXT_HOP_ROUTE ||
            hop.kind == NEXT_HOP_SPEC);
}

/* Does nobody but a setting of ours ask for a level of security? */
static bool has_own_level(const Ipc__Decision *decision)
{
    if (!decision || (!span_equal(span_of_bytes(decision->policy), SPAN("none")) &&
                      !span_equal(span_of_bytes(decision->policy), SPAN("sts testing"))))
        return false;
    for (size_t i = 0; i < decision->n_candidates; i++)
        if (decision->candidates[i]->tlsa_base.len > 0)
            return false;
    return true;
}

const struct advice *advice_of(const struct notify_recipient *recipient)
{
    const Ipc__Result *result = recipient->result;
    const struct advice *advice = NULL;
    struct span status = span_of_bytes(result->status);

    if (result->cause == IPC__CAUSE__OPERATOR || result->cause == IPC__CAUSE__ROUTE)
        return &by_cause[result->cause];
    if (status.len < 3 || status.data[1] != '.')
        return &refused;
    status = span_from(status, 2);
    if (goes_to_named_host(recipient->record))
        advice = find_row(of_named_hosts, COUNT(of_named_hosts), status, result);
    else if (has_own_level(recipient->decision))
        advice = find_row(of_own_levels, COUNT(of_own_levels), status, result);
    if (!advice)
        advice = find_row(rows, COUNT(rows), status, result);
    return advice ? advice : &refused;
}

unsigned advice_classes(const struct notify_recipient *recipient)
{
    if (recipient->action == ACTION_FAILED)
        return CLASS_BOUNCE | advice_of(recipient)->classes;
    if (recipient->action == ACTION_DELAYED)
        return CLASS_DELAY | advice_of(recipient)->classes;
    return 0;
}
