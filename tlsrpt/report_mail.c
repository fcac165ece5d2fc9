#include "tlsrpt/report_mail.h"

#include "lib/base/base64.h"
#include "lib/base/clock.h"
#include "lib/io/crypto.h"
#include "lib/mail/seven_bit.h"
#include "tlsrpt/file_name.h"
#include "tlsrpt/report_words.h"

#include <stdio.h>
#include <string.h>

enum {
    LINE_OCTETS = 57, /* become 76 letters (RFC 2045 s.6.8) */
    TAG_OCTETS = 12,  /* 96 bits (rfc/message-format.md MSG-35, MSG-51) */
    TAG_SIZE = 2 * TAG_OCTETS + 1,
    UNIQUE_LETTERS = 8,
    WORDS_MAX = 32 * 1024,
};

/*
 * Stands for one report to one recipient: the first octets of a digest over both.  In a line of
 * quoted-printable or base64 "=_" never stands, in our words no line begins with it.
 */
static void make_tag(struct span id, struct span to, char tag[TAG_SIZE])
{
    unsigned char digest[CRYPTO_SHA256_SIZE];
    struct buf text;

    buf_init(&text, id.len + to.len + 1);
    ensure(buf_append(&text, id) && buf_append(&text, SPAN("\n")) && buf_append(&text, to));
    crypto_sha256(buf_span(&text), digest);
    buf_clear(&text);
    for (unsigned i = 0; i < TAG_OCTETS; i++)
        snprintf(tag + 2 * i, 3, "%02x", digest[i]);
}

/*
 * The unique id tells apart the files of relays that share a contact (RFC 8460 s.5.1); it is of the
 * report, whoever it goes to.
 */
static bool name_file(const struct report_mail *mail, char text[FILE_NAME_SIZE])
{
    const struct report_facts *facts = mail->facts;
    char tag[TAG_SIZE];
    struct file_name name;

    if (!file_name_of_day(report_submitter(facts), facts->domain, facts->day,
                          mail->form == REPORT_PACKED, &name))
        return false;
    make_tag(facts->id, SPAN(""), tag);
    snprintf(name.unique, sizeof(name.unique), "%.*s", UNIQUE_LETTERS, tag);
    file_name_format(&name, text);
    return true;
}

/* RFC 8460 s.5.3: single blanks between the words, folded where the RFC folds it. */
static bool write_subject(const struct report_facts *facts, struct buf *out)
{
    return buf_printf(out,
                      "Subject: Report Domain: " SPAN_FMT "\r\n"
                      " Submitter: " SPAN_FMT "\r\n"
                      " Report-ID: <" SPAN_FMT ">\r\n",
                      SPAN_ARG(facts->domain), SPAN_ARG(report_submitter(facts)),
                      SPAN_ARG(facts->id));
}

static bool write_origin(const struct report_mail *mail, const char *tag, struct buf *out)
{
    char date[CLOCK_TEXT_SIZE];

    clock_format_mail(mail->now_ms, date);
    return buf_printf(out,
                      "Date: %s\r\n"
                      "From: <" SPAN_FMT ">\r\n"
                      "To: <" SPAN_FMT ">\r\n",
                      date, SPAN_ARG(mail->from), SPAN_ARG(mail->to)) &&
           write_subject(mail->facts, out) &&
           buf_printf(out, "Message-ID: <%s.%llx@" SPAN_FMT ">\r\n", tag,
                      (unsigned long long)mail->now_ms, SPAN_ARG(mail->hostname));
}

/* RFC 8689 s.5 for the relays behind us; RFC 3834 s.5: no machine is to answer. */
static bool write_header(const struct report_mail *mail, const char *tag, struct buf *out)
{
    return write_origin(mail, tag, out) &&
           buf_printf(out,
                      "TLS-Report-Domain: " SPAN_FMT "\r\n"
                      "TLS-Report-Submitter: " SPAN_FMT "\r\n"
                      "TLS-Required: No\r\n"
                      "Auto-Submitted: auto-generated\r\n"
                      "MIME-Version: 1.0\r\n"
                      "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n"
                      " boundary=\"=_%s\"\r\n\r\n",
                      SPAN_ARG(mail->facts->domain), SPAN_ARG(report_submitter(mail->facts)), tag);
}

static bool write_words(const struct report_mail *mail, const char *tag, const char *file,
                        struct buf *out)
{
    struct buf words;
    bool ok;

    buf_init(&words, WORDS_MAX);
    ok = report_words_write(mail->facts, mail->sum, file, &words) &&
         buf_printf(out, "--=_%s\r\nContent-Type: text/plain; charset=%s\r\n", tag,
                    span_is_ascii(buf_span(&words)) ? "us-ascii" : "utf-8") &&
         seven_bit_write(out, buf_span(&words));
    buf_clear(&words);
    return ok;
}

static bool write_base64(struct span bytes, struct buf *out)
{
    bool ok = true;

    while (bytes.len > 0 && ok) {
        ok = base64_encode(span_first(bytes, LINE_OCTETS), out) && buf_append(out, SPAN("\r\n"));
        bytes = span_from(bytes, LINE_OCTETS);
    }
    return ok;
}

static bool write_file(const struct report_mail *mail, const char *tag, const char *file,
                       struct buf *out)
{
    return buf_printf(out,
                      "\r\n--=_%s\r\n"
                      "Content-Type: %s\r\n"
                      "Content-Transfer-Encoding: base64\r\n"
                      "Content-Disposition: attachment;\r\n"
                      " filename=\"%s\"\r\n\r\n",
                      tag, report_media_type(mail->form), file) &&
           write_base64(mail->report, out) && buf_printf(out, "\r\n--=_%s--\r\n", tag);
}

bool report_mail_write(const struct report_mail *mail, struct buf *out)
{
    char file[FILE_NAME_SIZE];
    char tag[TAG_SIZE];

    make_tag(mail->facts->id, mail->to, tag);
    return name_file(mail, file) && write_header(mail, tag, out) &&
           write_words(mail, tag, file, out) && write_file(mail, tag, file, out);
}
