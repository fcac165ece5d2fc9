#include "tests/support/tlsrpt_sender.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

__attribute__((format(printf, 3, 4))) static void add(char *room, size_t size, const char *format,
                                                      ...)
{
    size_t len = strlen(room);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(room + len, size - len, format, arguments);
    va_end(arguments);
}

bool sender_open(struct tlsrpt_sender *s, const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    memset(s, 0, sizeof(*s));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return connect(s->fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
}

void sender_close(struct tlsrpt_sender *s)
{
    close(s->fd);
    s->fd = -1;
}

void sender_begin(struct tlsrpt_sender *s, const char *domain, const char *record)
{
    s->policies = 0;
    s->text[0] = '\0';
    add(s->text, sizeof(s->text), "{\"dpv\":\"1\",\"d\":\"%s\",\"pr\":\"%s\",\"policies\":[",
        domain, record);
}

void sender_policy(struct tlsrpt_sender *s, int type, const char *domain)
{
    s->lines[0] = s->hosts[0] = s->details[0] = s->type_and_domain[0] = '\0';
    s->failures = 0;
    s->has_line = s->has_host = false;
    add(s->type_and_domain, sizeof(s->type_and_domain), "\"policy-type\":%d", type);
    if (domain)
        add(s->type_and_domain, sizeof(s->type_and_domain), ",\"policy-domain\":\"%s\"", domain);
}

void sender_line(struct tlsrpt_sender *s, const char *line)
{
    add(s->lines, sizeof(s->lines), "%s\"%s\"", s->has_line ? "," : "", line);
    s->has_line = true;
}

void sender_host(struct tlsrpt_sender *s, const char *pattern)
{
    add(s->hosts, sizeof(s->hosts), "%s\"%s\"", s->has_host ? "," : "", pattern);
    s->has_host = true;
}

static void add_word(struct tlsrpt_sender *s, char key, const char *word)
{
    if (word)
        add(s->details, sizeof(s->details), ",\"%c\":\"%s\"", key, word);
}

void sender_failure(struct tlsrpt_sender *s, int code, const char *sending_ip, const char *mx,
                    const char *helo, const char *receiving_ip, const char *information,
                    const char *reason)
{
    add(s->details, sizeof(s->details), "%s{\"c\":%d", s->failures++ > 0 ? "," : "", code);
    add_word(s, 's', sending_ip);
    add_word(s, 'n', mx);
    add_word(s, 'h', helo);
    add_word(s, 'r', receiving_ip);
    add_word(s, 'a', information);
    add_word(s, 'f', reason);
    add(s->details, sizeof(s->details), "}");
}

void sender_policy_ends(struct tlsrpt_sender *s, int result)
{
    add(s->text, sizeof(s->text), "%s{%s", s->policies++ > 0 ? "," : "", s->type_and_domain);
    if (s->has_line)
        add(s->text, sizeof(s->text), ",\"policy-string\":[%s]", s->lines);
    if (s->has_host)
        add(s->text, sizeof(s->text), ",\"mx-host\":[%s]", s->hosts);
    if (s->failures > 0)
        add(s->text, sizeof(s->text), ",\"failure-details\":[%s]", s->details);
    add(s->text, sizeof(s->text), ",\"t\":%d,\"f\":%d}", s->failures, result);
}

bool sender_send(struct tlsrpt_sender *s)
{
    add(s->text, sizeof(s->text), "]}");
    return sender_send_raw(s, s->text, strlen(s->text));
}

bool sender_send_raw(struct tlsrpt_sender *s, const void *bytes, size_t len)
{
    return send(s->fd, bytes, len, MSG_DONTWAIT) == (ssize_t)len;
}
