#include "lib/io/tls_groups.h"

#include "lib/base/error.h"

#include <stdio.h>
#include <string.h>

/* draft-ietf-tls-ecdhe-mlkem, by the names that OpenSSL 3.5 and oqs-provider know them by */
static const char *const hybrids[] = { "X25519MLKEM768", "SecP256r1MLKEM768",
                                       "SecP384r1MLKEM1024" };
enum { HYBRIDS = sizeof(hybrids) / sizeof(hybrids[0]) };

unsigned tls_groups_full(tls_group_known_fn *known, char list[TLS_GROUPS_SIZE])
{
    int len = snprintf(list, TLS_GROUPS_SIZE, "X25519:P-256:X448:P-521:P-384");
    unsigned count = 0;

    for (unsigned i = 0; i < HYBRIDS; i++) {
        if (!known(hybrids[i]))
            continue;
        len += snprintf(list + len, (size_t)(TLS_GROUPS_SIZE - len), ":%s", hybrids[i]);
        ensure(len < TLS_GROUPS_SIZE);
        count++;
    }
    return count;
}

void tls_groups_classic(char list[TLS_GROUPS_SIZE])
{
    strcpy(list, "X25519:P-256:P-384");
}
