/*
 * fake_net - a clock, a resolver and an HTTPS client that say what a vector says, behind the
 * interfaces of lib/io: what is linked with it asks no network.  Answers come from the loop, as
 * real ones do.
 */
#ifndef WAXSEAL_TESTS_VECTORS_FAKE_NET_H
#define WAXSEAL_TESTS_VECTORS_FAKE_NET_H

#include "lib/io/http.h"
#include "lib/io/resolver.h"

/* The time of day stands still at that time; 0: it is the real one again. */
void fake_clock_set(int64_t utc_ms);

/* Fills *out, which is empty; it is cleared behind it. */
typedef void fake_dns_fn(void *ctx, struct span name, enum dns_type type, struct dns_answer *out);
struct resolver *fake_resolver_new(struct loop *loop, fake_dns_fn *answer, void *ctx);
void fake_resolver_free(struct resolver **resolver);

/* Fills *out, which is empty; what it points to lasts until the fake is freed. */
typedef void fake_https_fn(void *ctx, const char *host, struct http_answer *out);
struct http *fake_https_new(struct loop *loop, fake_https_fn *answer, void *ctx);
void fake_https_free(struct http **http);

/* The last POST; what it points to is whoever's who began it. */
const struct http_post *fake_https_posted(const struct http *http);

#endif
