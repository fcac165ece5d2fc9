#include "queue/deliver/dialogue_private.h"

#include "lib/mail/dsn.h"

#include <stdio.h>

enum { MAIL_DSN_SIZE = ENVID_MAX + sizeof(" RET=FULL ENVID=") };

/* --- what the server can take */

static const struct unfit too_large = { "5.3.4",
                                        "the message is larger than the server takes (RFC 1870)",
                                        false };
const struct unfit unfit_recipient = {
    "5.6.7", "the server does not take addresses outside ASCII (RFC 6531)", true
};
static const struct unfit non_ascii_header = {
    "5.6.9", "the server does not take headers outside ASCII (RFC 6531)", true
};

static const struct unfit no_requiretls = {
    "5.7.30", "the server does not offer REQUIRETLS, which the message asks for (RFC 8689)", true
};
static const struct unfit not_in_tls = {
    "5.7.10", "the session is not inside TLS, which the message asks for (RFC 8689)", true
};

/* Can the path be said to this server?  A domain has a form in ASCII, a local-part has none. */
static bool path_is_fit(const struct dialogue *d, const struct address *path)
{
    char room[ADDRESS_ASCII_SIZE];

    return d->offered.smtputf8 || address_to_ascii(path, room);
}

const struct unfit *dialogue_unfit(const struct dialogue *d, const struct job *job)
{
    const struct envelope *e = &job->envelope;

    if (job_requires_tls(job) && d->facts.tls != SESSION_TLS_ON)
        return &not_in_tls; /* never: the decision about the session comes before */
    if (job_requires_tls(job) && !d->offered.requiretls)
        return &no_requiretls; /* RFC 8689 s.4.2.1 */
    if (d->offered.size && d->offered.size_max > 0 && job->size > d->offered.size_max)
        return &too_large;
    if (!path_is_fit(d, &e->reverse_path))
        return &unfit_recipient;
    return e->smtputf8 && e->utf8_header && !d->offered.smtputf8 ? &non_ascii_header : NULL;
}

bool dialogue_takes_recipient(const struct dialogue *d, const struct job *job, unsigned i)
{
    return path_is_fit(d, &job->envelope.recipients[i].forward_path);
}

/* --- MAIL and RCPT */

/* RFC 3461 s.5.2.1: as received, and only to those who know it. */
static void write_mail_dsn(const struct dialogue *d, const struct dsn_request *dsn,
                           char room[MAIL_DSN_SIZE])
{
    room[0] = '\0';
    if (!d->offered.dsn)
        return;
    snprintf(room, MAIL_DSN_SIZE, "%s%s%s",
             dsn->ret_full      ? " RET=FULL"
             : dsn->ret_headers ? " RET=HDRS"
                                : "",
             dsn->envid[0] ? " ENVID=" : "", dsn->envid);
}

static bool paths_are_ascii(const struct envelope *e)
{
    bool fine = address_is_ascii(&e->reverse_path);

    for (unsigned i = 0; i < e->recipient_count; i++)
        fine = fine && address_is_ascii(&e->recipients[i].forward_path);
    return fine;
}

/* Has every path a form in ASCII?  An alias may lead elsewhere without a word of the client's. */
static bool paths_fit_ascii(const struct envelope *e)
{
    char room[ADDRESS_ASCII_SIZE];
    bool fine = address_to_ascii(&e->reverse_path, room);

    for (unsigned i = 0; i < e->recipient_count; i++)
        fine = fine && address_to_ascii(&e->recipients[i].forward_path, room);
    return fine;
}

/* Is SMTPUTF8 said?  Not when nothing of the message can need it (RFC 6531 s.3.4). */
static bool says_utf8(const struct dialogue *d, const struct job *job)
{
    const struct envelope *e = &job->envelope;

    if (!d->offered.smtputf8)
        return false;
    return e->smtputf8 ? job->eight_bit || !paths_are_ascii(e) : !paths_fit_ascii(e);
}

/* What the sender asked for holds on the way on; so does what a notification tells of it (s.5). */
static bool says_requiretls(const struct dialogue *d, const struct job *job)
{
    bool is_verified = d->facts.tls == SESSION_TLS_ON && d->facts.session.cert == CERT_OK;

    if (!job->envelope.requiretls || !d->offered.requiretls)
        return false;
    return job_requires_tls(job) || (is_verified && d->plan.mx_is_valid);
}

static const char *path_text(const struct dialogue *d, const struct job *job,
                             const struct address *path, char room[ADDRESS_ASCII_SIZE])
{
    return !says_utf8(d, job) && address_to_ascii(path, room) ? room : path->text;
}

/* Logged in as a relay, we vouch for no sender (RFC 4954 s.5, CLI-152). */
static bool says_auth(const struct dialogue *d)
{
    return d->facts.auth[0] != '\0' && d->offered.auth;
}

void dialogue_put_mail(struct dialogue *d, const struct job *job)
{
    char size[32] = "";
    char dsn[MAIL_DSN_SIZE];
    char path[ADDRESS_ASCII_SIZE];
    char priority[24] = "";

    if (d->offered.mt_priority && job->envelope.priority != 0) /* RFC 6710 s.4.2 */
        snprintf(priority, sizeof(priority), " MT-PRIORITY=%d", job->envelope.priority);
    if (d->offered.size)
        snprintf(size, sizeof(size), " SIZE=%llu", (unsigned long long)job->size);
    write_mail_dsn(d, &job->envelope.dsn, dsn);
    dialogue_say(d, "MAIL FROM:<%s>%s%s%s%s%s%s%s\r\n",
                 path_text(d, job, &job->envelope.reverse_path, path), size,
                 job->eight_bit && d->offered.eightbitmime ? " BODY=8BITMIME" : "",
                 says_utf8(d, job) ? " SMTPUTF8" : "", says_requiretls(d, job) ? " REQUIRETLS" : "",
                 priority, says_auth(d) ? " AUTH=<>" : "", dsn);
}

/* RFC 3461 s.5.2.1: as received; RFC 6533 s.3: in ASCII where SMTPUTF8 was not said. */
static const char *orcpt_text(const struct dialogue *d, const struct job *job, const char *orcpt,
                              char room[ORCPT_MAX + 1])
{
    if (!d->offered.dsn)
        return "";
    if (says_utf8(d, job))
        return orcpt;
    return dsn_orcpt_to_ascii(span_of(orcpt), room) ? room : "";
}

void dialogue_put_rcpt(struct dialogue *d, const struct job *job, unsigned i)
{
    const struct envelope_recipient *recipient = &job->envelope.recipients[i];
    char notify[DSN_NOTIFY_SIZE], path[ADDRESS_ASCII_SIZE], room[ORCPT_MAX + 1];
    const char *orcpt = orcpt_text(d, job, recipient->orcpt, room);

    dsn_format_notify(d->offered.dsn ? recipient->notify : 0, notify);
    dialogue_say(d, "RCPT TO:<%s>%s%s%s%s\r\n", path_text(d, job, &recipient->forward_path, path),
                 notify[0] ? " NOTIFY=" : "", notify, orcpt[0] ? " ORCPT=" : "", orcpt);
}
