#include "smtpd/pickup/notice.h"

#include "lib/base/clock.h"

/* Replies are ASCII on one line; a path may hold anything a mailbox may. */
static bool put_refusals(struct span refusals, struct buf *content)
{
    struct span line;
    bool fine = true;

    while (fine && span_cut(&refusals, '\n', &line))
        fine = line.len == 0 || buf_printf(content, "    " SPAN_FMT "\r\n", SPAN_ARG(line));
    return fine;
}

static bool put_header(const struct notice_facts *facts, struct buf *content)
{
    char date[CLOCK_TEXT_SIZE];

    clock_format_mail(facts->now_utc_ms, date);
    return buf_printf(content,
                      "From: Mail Delivery System <MAILER-DAEMON@%s>\r\n"
                      "To: " SPAN_FMT "\r\n"
                      "Subject: Your message was refused\r\n"
                      "Date: %s\r\n"
                      "Auto-Submitted: auto-replied\r\n"
                      "MIME-Version: 1.0\r\n"
                      "Content-Type: text/plain; charset=utf-8\r\n"
                      "Content-Transfer-Encoding: 8bit\r\n\r\n",
                      facts->hostname, SPAN_ARG(facts->sender), date);
}

bool notice_write(const struct notice_facts *facts, struct buf *commands, struct buf *content)
{
    if (facts->sender.len < sizeof("<a>") - 1)
        return false;
    return buf_printf(commands, "MAIL FROM:<> BODY=8BITMIME\nRCPT TO:" SPAN_FMT "\n",
                      SPAN_ARG(facts->sender)) &&
           put_header(facts, content) &&
           buf_printf(content,
                      "A message that you handed in with sendmail while the relay was down was "
                      "refused\r\n%swhen it was up again:\r\n\r\n",
                      facts->partly ? "for some recipients " : "") &&
           put_refusals(facts->refusals, content) &&
           buf_append(content, facts->partly ? SPAN("\r\nThe others will get it.\r\n")
                                             : SPAN("\r\nNobody got it.\r\n"));
}
