#include "smtpd/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"

PRINTF_LIKE(3, 4)
static size_t put(char room[TRACE_PART_SIZE], size_t len, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int written = vsnprintf(room + len, TRACE_PART_SIZE - len, format, args);
    va_end(args);
    ensure(written >= 0 && (size_t)written < TRACE_PART_SIZE - len);
    return len + (size_t)written;
}

static bool is_secure(const struct trace_facts *facts)
{
    return facts->tls_version[0] != '\0';
}

/* RFC 3848, RFC 6531 s.4.3; HELO within TLS has no word of its own. */
static const char *protocol(const struct trace_facts *facts)
{
    static const char *const words[2][2][2] = {
        { { "ESMTP", "ESMTPA" }, { "ESMTPS", "ESMTPSA" } },
        { { "UTF8SMTP", "UTF8SMTPA" }, { "UTF8SMTPS", "UTF8SMTPSA" } },
    };

    if (!facts->is_esmtp && !facts->is_user && !is_secure(facts))
        return "SMTP";
    return words[facts->is_utf8][is_secure(facts)][facts->is_user];
}

/* An address literal (RFC 5321 s.4.4), or which user of this machine it was. */
static size_t put_client(const struct trace_facts *facts, char room[TRACE_PART_SIZE], size_t len)
{
    const struct ip_address *client = &facts->client_address;
    const char *name = facts->client_rdns;
    char address[NETWORK_TEXT_SIZE];

    if (client->family == ADDRESS_NONE)
        return put(room, len, "%s)\r\n", name[0] ? name : "unknown");

    if (client->family == ADDRESS_LOCAL)
        return put(room, len, "local user %u)\r\n", ip_address_user(client));
    ip_address_format(client, address);
    return put(room, len, "%s%s[%s%s])\r\n", name, name[0] ? " " : "",
               client->family == ADDRESS_V6 ? "IPv6:" : "", address);
}

/* What a login may hold and a comment may not becomes a question mark (RFC 5322 s.3.2.2). */
static size_t put_user(const char *user, char room[TRACE_PART_SIZE], size_t len)
{
    len = put(room, len, "\t(user ");
    for (; *user; user++) {
        bool is_plain = *user > ' ' && *user <= '~' && !strchr("()\\", *user);
        len = put(room, len, "%c", is_plain ? *user : '?');
    }
    return put(room, len, ")\r\n");
}

struct span trace_head(const struct trace_facts *facts, char room[TRACE_PART_SIZE])
{
    bool is_hidden = facts->is_hidden && facts->is_user; /* SRV-115 */
    size_t len = put(room, 0, "Received: from %s (", is_hidden ? "localhost" : facts->client_name);

    if (is_hidden)
        len = put(room, len, "client hidden)\r\n");
    else
        len = put_client(facts, room, len);
    if (facts->user && facts->is_user)
        len = put_user(facts->user, room, len);
    len = put(room, len, "\tby %s with %s id ", facts->hostname, protocol(facts));
    return (struct span){ room, len };
}

struct span trace_tail(const struct trace_facts *facts, char room[TRACE_PART_SIZE])
{
    char date[CLOCK_TEXT_SIZE];
    size_t len = 0;

    if (is_secure(facts)) /* RFC 8314 s.4.3 */
        len = put(room, len, "\r\n\t(using %s with cipher %s)", facts->tls_version,
                  facts->tls_cipher);
    if (facts->only_recipient)
        len = put(room, len, "\r\n\tfor <%s>", facts->only_recipient);
    if (facts->priority != 0)
        len = put(room, len, "\r\n\tpriority %d", facts->priority);
    clock_format_mail(facts->now_utc_ms, date);
    len = put(room, len, ";\r\n\t%s\r\n", date);
    return (struct span){ room, len };
}
