/*
 * tlsrpt_sender - tells of TLS sessions as an MTA does, in the order of calls of libtlsrpt
 * (rfc/tls-rpt.md RPT-107): begin, then for each policy its lines, hosts and failures and its end,
 * then send.  Knows nothing of waxseal: the text is written with snprintf alone, as documented.
 */
#ifndef WAXSEAL_TESTS_SUPPORT_TLSRPT_SENDER_H
#define WAXSEAL_TESTS_SUPPORT_TLSRPT_SENDER_H

#include <stdbool.h>
#include <stddef.h>

enum { SENDER_TEXT_SIZE = 200 * 1024 };

struct tlsrpt_sender {
    int fd;
    size_t len;
    int policies;
    int failures;
    bool has_line;
    bool has_host;
    char lines[64 * 1024];
    char hosts[16 * 1024];
    char details[64 * 1024];
    char type_and_domain[512];
    char text[SENDER_TEXT_SIZE];
};

/* Connected to the collector's socket; false: nobody is there. */
bool sender_open(struct tlsrpt_sender *s, const char *path);
void sender_close(struct tlsrpt_sender *s);

void sender_begin(struct tlsrpt_sender *s, const char *domain, const char *record);
void sender_policy(struct tlsrpt_sender *s, int type, const char *domain);
void sender_line(struct tlsrpt_sender *s, const char *line);
void sender_host(struct tlsrpt_sender *s, const char *pattern);
/* NULL for what is not known. */
void sender_failure(struct tlsrpt_sender *s, int code, const char *sending_ip, const char *mx,
                    const char *helo, const char *receiving_ip, const char *information,
                    const char *reason);
void sender_policy_ends(struct tlsrpt_sender *s, int result);
/* Never waits: false when it could not be sent. */
bool sender_send(struct tlsrpt_sender *s);
bool sender_send_raw(struct tlsrpt_sender *s, const void *bytes, size_t len);

#endif
