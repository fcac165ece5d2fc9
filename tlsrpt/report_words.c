#include "tlsrpt/report_words.h"

#include "lib/base/utf8.h"
#include "tlsrpt/day.h"

/* RFC 8460 s.4.3, for those who have not read it. */
static const char *const meanings[TLS_RESULT_COUNT] = {
    [TLS_RESULT_STARTTLS_NOT_SUPPORTED] = "a mail server offered no encryption",
    [TLS_RESULT_CERTIFICATE_HOST_MISMATCH] = "a certificate was for another name",
    [TLS_RESULT_CERTIFICATE_EXPIRED] = "a certificate had expired",
    [TLS_RESULT_CERTIFICATE_NOT_TRUSTED] = "a certificate is of no known authority",
    [TLS_RESULT_VALIDATION_FAILURE] = "for a reason that the file says",
    [TLS_RESULT_TLSA_INVALID] = "a certificate fitted no TLSA record",
    [TLS_RESULT_DNSSEC_INVALID] = "DNS answers did not validate",
    [TLS_RESULT_DANE_REQUIRED] = "DANE was required and not to be had",
    [TLS_RESULT_STS_POLICY_FETCH_ERROR] = "the MTA-STS policy could not be fetched",
    [TLS_RESULT_STS_POLICY_INVALID] = "the MTA-STS policy is not valid",
    [TLS_RESULT_STS_WEBPKI_INVALID] = "the policy host's certificate does not hold",
};

/* A setting's text in a line of ours: nothing of it may end the line. */
static bool write_clean(struct buf *out, struct span text)
{
    bool ok = true;

    while (text.len > 0 && ok) {
        size_t len = utf8_character(text);
        bool plain = len > 1 || (text.data[0] >= ' ' && text.data[0] <= '~');
        ok = buf_append(out, plain ? span_first(text, len) : SPAN("?"));
        text = span_from(text, plain ? len : 1);
    }
    return ok;
}

static bool write_head(const struct report_facts *facts, struct buf *out)
{
    struct span submitter = report_submitter(facts);
    char day[CLOCK_TEXT_SIZE];

    day_format(facts->day, day);
    return buf_printf(out,
                      "This is a report about the encryption of mail %s " SPAN_FMT "\r\n"
                      "on its way (SMTP TLS reporting, RFC 8460), of %s (UTC).\r\n\r\n"
                      "It comes from ",
                      facts->of_host ? "by way of the mail server" : "to", SPAN_ARG(facts->domain),
                      day) &&
           write_clean(out, facts->organization) &&
           buf_printf(out,
                      " (" SPAN_FMT "), which delivered or tried\r\nto deliver mail there.\r\n",
                      SPAN_ARG(submitter));
}

static bool write_totals(const struct report_sum *sum, struct buf *out)
{
    return buf_printf(out,
                      "\r\nSessions with the mail servers:\r\n"
                      "%10llu as secure as your policy asks, or encrypted where you have none\r\n"
                      "%10llu not\r\n",
                      (unsigned long long)sum->succeeded, (unsigned long long)sum->failed);
}

static bool write_results(const struct report_sum *sum, struct buf *out)
{
    bool ok = true;
    bool any = false;

    for (int i = TLS_RESULT_SUCCESS + 1; i < TLS_RESULT_COUNT && ok; i++) {
        if (sum->results[i] == 0)
            continue;
        if (!any)
            ok = buf_append(out, SPAN("\r\nWhat went wrong, and in how many sessions:\r\n"));
        any = true;
        ok = ok && buf_printf(out, "%10llu %s: %s\r\n", (unsigned long long)sum->results[i],
                              tls_result_name((enum tls_result)i), meanings[i]);
    }
    if (!ok || any || sum->failed > 0)
        return ok;
    return buf_append(out, SPAN("\r\nNothing went wrong: there is nothing to do.\r\n"));
}

static bool write_foot(const struct report_facts *facts, const char *file_name, struct buf *out)
{
    return buf_printf(
        out,
        "\r\nWhat failed where stands in the attached file, which is for programs:\r\n"
        "    %s\r\n"
        "\"waxseal tlsrpt read FILE\" explains it in plain words, and says who has\r\n"
        "to mend what.\r\n"
        "\r\nYou get this because the DNS record _smtp._tls." SPAN_FMT " asks for it.\r\n"
        "To get no more of it, take the address out of that record's rua=.\r\n"
        "\r\nQuestions: " SPAN_FMT "\r\n"
        "Report-ID: " SPAN_FMT "\r\n",
        file_name, SPAN_ARG(facts->domain), SPAN_ARG(facts->contact), SPAN_ARG(facts->id));
}

bool report_words_write(const struct report_facts *facts, const struct report_sum *sum,
                        const char *file_name, struct buf *out)
{
    return write_head(facts, out) && write_totals(sum, out) && write_results(sum, out) &&
           write_foot(facts, file_name, out);
}
