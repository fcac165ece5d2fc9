#include "policy/postfix_answer.h"

#include "lib/base/network.h"
#include "lib/base/utf8.h"
#include "lib/mail/domain.h"

enum {
    SMTP_PORT = 25,
    POLICY_LINE_MAX = 512, /* MAP-67 */
    SERVICE_NAME_MAX = 15, /* RFC 6335 s.5.1 */
};

/* ---- the request -------------------------------------------------------------------------- */

static bool map_parse(struct span name, enum postfix_map *out)
{
    static const char *const names[] = {
        [POSTFIX_MAP_QUERY] = "QUERY",
        [POSTFIX_MAP_TLSRPT] = "QUERYwithTLSRPT",
        [POSTFIX_MAP_STS] = "sts",
    };

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (span_equal_nocase(name, span_of(names[i]))) {
            *out = (enum postfix_map)i;
            return true;
        }
    }
    return false;
}

/* RFC 6335 s.5.1, as far as it tells a name from something else. */
static bool is_service_name(struct span text)
{
    bool has_letter = false;

    for (size_t i = 0; i < text.len; i++) {
        bool is_digit = text.data[i] >= '0' && text.data[i] <= '9';
        if (!ascii_is_alnum(text.data[i]) && text.data[i] != '-')
            return false;
        has_letter = has_letter || (!is_digit && text.data[i] != '-');
    }
    return has_letter && text.len <= SERVICE_NAME_MAX;
}

/*
 * A number, or one of the names that mail is sent to (IANA); Postfix asks as its tables have it.
 * Of another name only its own machine knows the port: 0, and the policy holds all the same.
 */
static bool port_parse(struct span text, uint64_t *out)
{
    static const struct {
        const char *name;
        uint16_t port;
    } services[] = {
        { "smtp", SMTP_PORT }, { "submission", 587 }, { "submissions", 465 }, { "smtps", 465 }
    };

    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        if (span_equal(text, span_of(services[i].name))) {
            *out = services[i].port;
            return true;
        }
    }
    *out = 0;
    return is_service_name(text) || (span_to_number(text, UINT16_MAX, out) && *out > 0);
}

/* "example.net", "example.net:587" or "example.net:smtp": a port behind a name does not spare the
 * MX lookup. */
static bool key_parse(struct span key, struct postfix_question *out)
{
    size_t colon = span_find(key, ':');
    struct span name = span_first(key, colon);
    struct ip_address address;
    uint64_t port = SMTP_PORT;

    if (colon < key.len && !port_parse(span_from(key, colon + 1), &port))
        return false;
    out->port = (uint16_t)port;
    return !ip_address_parse(name, &address) && domain_normalize(name, out->domain);
}

/*
 * Nothing is looked up for a parent's key, ".example.net", since policies are not inherited, nor
 * for a host in brackets or a path: no MX lookup leads there (MAP-31, MAP-32).
 */
enum postfix_asked postfix_question_parse(struct span request, struct postfix_question *out)
{
    size_t blank = span_find(request, ' ');

    if (blank == request.len || !map_parse(span_first(request, blank), &out->map))
        return POSTFIX_ASKS_AMISS;
    return key_parse(span_from(request, blank + 1), out) ? POSTFIX_ASKS_POLICY
                                                         : POSTFIX_ASKS_NOTHING;
}

struct span postfix_answer_at_once(enum postfix_asked asked)
{
    return asked == POSTFIX_ASKS_AMISS
               ? SPAN("PERM there is no such map; QUERY, QUERYwithTLSRPT and sts are there")
               : SPAN("NOTFOUND ");
}

/* ---- MTA-STS ------------------------------------------------------------------------------ */

/* "mx1.example.net", or ".example.net" for "*.example.net" (MAP-50). */
static bool write_match(const struct sts_policy *policy, struct buf *out)
{
    bool fits = buf_append(out, SPAN("OK secure match="));

    for (unsigned i = 0; i < policy->mx_count && fits; i++) {
        struct span pattern = span_of(policy->mx[i]);
        if (span_starts_with(pattern, SPAN("*.")))
            pattern = span_from(pattern, 1);
        fits = buf_append(out, i > 0 ? SPAN(":") : SPAN("")) && buf_append(out, pattern);
    }
    return fits && buf_append(out, SPAN(" servername=hostname"));
}

/* What a stranger wrote into a policy may end neither the attribute nor the answer (MAP-67). */
static bool line_is_harmless(struct span line)
{
    for (size_t i = 0; i < line.len; i++)
        if ((unsigned char)line.data[i] < ' ' || line.data[i] == 0x7f || line.data[i] == '{' ||
            line.data[i] == '}')
            return false;
    return line.len > 0 && line.len <= POLICY_LINE_MAX && utf8_is_valid(line);
}

static struct span without_cr(struct span line)
{
    return line.len > 0 && line.data[line.len - 1] == '\r' ? span_first(line, line.len - 1) : line;
}

/* In the order of the file (MAP-62). */
static bool write_lines(const struct sts_policy *policy, struct buf *out)
{
    struct span rest = { policy->text, policy->text_len };
    struct span line;
    bool fits = true;

    while (fits && span_cut(&rest, '\n', &line)) {
        line = span_trim(without_cr(line));
        if (line_is_harmless(line))
            fits = buf_append(out, SPAN(" { policy_string = ")) && buf_append(out, line) &&
                   buf_append(out, SPAN(" }"));
    }
    return fits;
}

/* With the patterns Postfix 3.10.5 and later judge the hosts' names themselves (MAP-52). */
static bool write_for_reports(const struct postfix_question *question,
                              const struct sts_policy *policy, struct buf *out)
{
    bool fits = buf_printf(out, " policy_type=sts policy_domain=%s", question->domain);

    for (unsigned i = 0; i < policy->mx_count && fits; i++)
        fits = buf_printf(out, " mx_host_pattern=%s", policy->mx[i]);
    return fits;
}

/* As much as there is room for, the lines of the policy given up first (MAP-68). */
static enum postfix_answer_kind write_secure(const struct postfix_question *question,
                                             const struct sts_policy *policy, struct buf *out)
{
    bool for_reports = question->map == POSTFIX_MAP_TLSRPT;

    for (int with_lines = 1; for_reports && with_lines >= 0; with_lines--) {
        buf_reset(out);
        if (write_match(policy, out) && write_for_reports(question, policy, out) &&
            (!with_lines || write_lines(policy, out)))
            return POSTFIX_ANSWER_FOUND;
    }
    buf_reset(out);
    if (write_match(policy, out))
        return POSTFIX_ANSWER_FOUND;
    buf_reset(out);
    ensure(buf_append(out, SPAN("TEMP the policy has too many mx lines for an answer")));
    return POSTFIX_ANSWER_LATER;
}

/* ---- which answer it is ------------------------------------------------------------------- */

static enum postfix_answer_kind say(struct buf *out, enum postfix_answer_kind kind,
                                    struct span words)
{
    ensure(buf_append(out, words));
    return kind;
}

/*
 * "dane" lets itself down where records are gone by the time Postfix looks, or where it does not
 * look with DNSSEC (MAP-44): good enough only where nothing else would have held the mail.
 */
static struct span level_of_dane(const struct postfix_facts *facts, bool enforces)
{
    if (enforces || !facts->sts_is_known || facts->level == SOCKETMAP_DANE_ONLY)
        return SPAN("OK dane-only");
    return SPAN("OK dane");
}

/* Of an exception that allows clear text: what the asker does with all other mail is good enough.
 */
static bool is_let_go(const struct postfix_facts *facts)
{
    return facts->exception && facts->exception->allow == EXCEPTION_CLEAR;
}

/* sendmail knows no such level: the policy holds its mail as before. */
static bool is_let_go_encrypted(const struct postfix_question *question,
                                const struct postfix_facts *facts)
{
    return facts->exception && question->map != POSTFIX_MAP_STS;
}

enum postfix_answer_kind postfix_answer(const struct postfix_question *question,
                                        const struct postfix_facts *facts, struct buf *out)
{
    bool enforces = facts->policy && facts->policy->mode == STS_ENFORCE;
    bool by_dane = question->map != POSTFIX_MAP_STS && facts->level != SOCKETMAP_DANE_OFF;
    enum postfix_dane dane = by_dane ? facts->dane : POSTFIX_DANE_NONE;

    if (is_let_go(facts))
        return say(out, POSTFIX_ANSWER_NOT_FOUND, SPAN("NOTFOUND "));
    if ((dane == POSTFIX_DANE_ALL || enforces) && is_let_go_encrypted(question, facts))
        return say(out, POSTFIX_ANSWER_FOUND, SPAN("OK encrypt"));
    if (dane == POSTFIX_DANE_ALL)
        return say(out, POSTFIX_ANSWER_FOUND, level_of_dane(facts, enforces));
    if (dane == POSTFIX_DANE_UNREACHABLE)
        return say(out, POSTFIX_ANSWER_LATER, SPAN("TEMP no TLSA records can be looked up"));
    if (enforces)
        return write_secure(question, facts->policy, out);
    if (dane == POSTFIX_DANE_UNKNOWN)
        return say(out, POSTFIX_ANSWER_LATER, SPAN("TEMP the MX records cannot be looked up"));
    if (!facts->sts_is_known)
        return say(out, POSTFIX_ANSWER_LATER, SPAN("TEMP the policy cannot be found out"));
    return say(out, POSTFIX_ANSWER_NOT_FOUND, SPAN("NOTFOUND "));
}
