#include "lib/mail/ehlo.h"

#include <string.h>

void ehlo_clear(struct ehlo *offered)
{
    *offered = (struct ehlo){ .starttls = false };
}

/* The server's name for itself goes into reports and logs. */
static void take_name(struct ehlo *offered, struct span text)
{
    struct span word = span_first(text, span_find(text, ' '));
    size_t len = word.len < DOMAIN_MAX ? word.len : DOMAIN_MAX;

    for (size_t i = 0; i < len; i++)
        offered->name[i] = word.data[i] > 0x20 && word.data[i] <= 0x7e ? word.data[i] : '?';
    offered->name[len] = '\0';
}

/* RFC 1870 s.3: no number, or 0, is no fixed limit.  The last of several counts. */
static void take_size(struct ehlo *offered, struct span parameters)
{
    uint64_t size_max = 0;

    if (parameters.len > 0 && !span_to_number(parameters, UINT64_MAX, &size_max))
        return;
    offered->size = true;
    offered->size_max = size_max;
}

/* RFC 9422 s.3.7, s.4: 1 to 999999 without a leading zero; others are as if not said. */
static void take_limit(struct ehlo *offered, struct span name, struct span text)
{
    uint64_t value;

    if (!span_to_number(text, 999999, &value) || text.data[0] == '0')
        return;
    if (span_equal_nocase(name, SPAN("RCPTMAX")))
        offered->recipients_max = (unsigned)value;
    else if (span_equal_nocase(name, SPAN("MAILMAX")))
        offered->messages_max = (unsigned)value;
    else if (span_equal_nocase(name, SPAN("RCPTDOMAINMAX")))
        offered->domains_max = (unsigned)value;
}

static void take_limits(struct ehlo *offered, struct span parameters)
{
    struct span word;

    while (span_cut(&parameters, ' ', &word)) {
        size_t equals = span_find(word, '=');
        if (equals + 1 < word.len)
            take_limit(offered, span_first(word, equals), span_from(word, equals + 1));
    }
}

static unsigned mechanisms_of(struct span words)
{
    const struct {
        struct span name;
        unsigned bit;
    } known[] = {
        { SPAN("PLAIN"), EHLO_AUTH_PLAIN },
        { SPAN("LOGIN"), EHLO_AUTH_LOGIN },
        { SPAN("SCRAM-SHA-256"), EHLO_AUTH_SCRAM },
        { SPAN("SCRAM-SHA-256-PLUS"), EHLO_AUTH_SCRAM_PLUS },
    };
    unsigned mechanisms = 0;
    struct span word;

    while (span_cut(&words, ' ', &word))
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            if (span_equal_nocase(word, known[i].name))
                mechanisms |= known[i].bit;
    return mechanisms;
}

static void take_auth(struct ehlo *offered, struct span parameters)
{
    offered->auth = true;
    offered->auth_said |= mechanisms_of(parameters);
}

unsigned ehlo_mechanisms(const struct ehlo *offered)
{
    return offered->auth ? offered->auth_said : offered->auth_legacy;
}

static bool *flag_of(struct ehlo *offered, struct span keyword)
{
    const struct {
        struct span keyword;
        bool *flag;
    } flags[] = {
        { SPAN("STARTTLS"), &offered->starttls },
        { SPAN("PIPELINING"), &offered->pipelining },
        { SPAN("8BITMIME"), &offered->eightbitmime },
        { SPAN("SMTPUTF8"), &offered->smtputf8 },
        { SPAN("CHUNKING"), &offered->chunking },
        { SPAN("DSN"), &offered->dsn },
        { SPAN("REQUIRETLS"), &offered->requiretls },
        { SPAN("MT-PRIORITY"), &offered->mt_priority },
        { SPAN("ENHANCEDSTATUSCODES"), &offered->enhanced_status },
    };

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (span_equal_nocase(keyword, flags[i].keyword))
            return flags[i].flag;
    return NULL;
}

void ehlo_line(struct ehlo *offered, unsigned number, struct span text)
{
    struct span keyword = span_first(text, span_find(text, ' '));
    bool *flag;

    if (number == 0) {
        take_name(offered, text);
        return;
    }
    if (offered->keywords == EHLO_KEYWORDS_MAX)
        return;
    offered->keywords++;
    flag = flag_of(offered, keyword);
    if (flag)
        *flag = true;
    else if (span_equal_nocase(keyword, SPAN("SIZE")))
        take_size(offered, span_trim(span_from(text, keyword.len)));
    else if (span_equal_nocase(keyword, SPAN("LIMITS")))
        take_limits(offered, span_trim(span_from(text, keyword.len)));
    else if (span_equal_nocase(keyword, SPAN("AUTH")))
        take_auth(offered, span_from(text, keyword.len));
    else if (span_starts_with_nocase(keyword, SPAN("AUTH=")))
        offered->auth_legacy |= mechanisms_of(span_from(text, sizeof("AUTH=") - 1));
}
