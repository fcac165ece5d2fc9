#include "tests/support/test.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/random.h"
#include "lib/io/wire.h"
#include "queue/deliver/resumption.h"
#include "tests/support/throwaway_ca.h"

#define MX "mx1.example.net"
#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* What servers give, of TLS 1.2 and 1.3, with good certificates and with none that anybody signs.
 */
enum kind { GOOD_12, GOOD_13, BAD_13, KINDS };

struct world {
    struct tls_resumable *of[KINDS];
    int64_t not_after_utc_ms; /* of the first certificate: the others may be a second younger */
    int64_t now_ms;
};

static struct tls_resumable *session_of(const struct throwaway_ca *ca, struct tls_trust *trust,
                                        enum kind kind, int64_t *out_not_after)
{
    struct leaf_wish wish = { .names = NAMES("DNS:" MX), .self_signed = kind == BAD_13 };
    char keys[3 * 80];
    char *pem, *key;
    struct tls_context *server = NULL, *client = NULL;
    struct tls_resumable *resumable;
    struct wire wires[2];
    struct tls_session session, other;
    char room[20000];
    size_t len;
    int fds[2];

    throwaway_leaf(ca, &wish, &pem, &key);
    memset(keys, 'k', sizeof(keys));
    struct tls_pair pair = { span_of(pem), span_of(key) };
    struct tls_server_wish server_wish = { .pairs = &pair,
                                           .pair_count = 1,
                                           .session_id = SPAN("t"),
                                           .ticket_keys = { keys, sizeof(keys) } };
    assert_null(tls_server_context_new(&server_wish, &server));
    assert_null(tls_client_context_new(trust, TLS_FLOOR_STRICT, &client));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    wire_open(&wires[0], fds[0]);
    wire_open(&wires[1], fds[1]);
    wire_secure_client(&wires[0], client, MX);
    wire_secure_server(&wires[1], server);
    if (kind == GOOD_12)
        assert_int_equal(SSL_set_max_proto_version(wires[1].ssl, TLS1_2_VERSION), 1);
    for (int i = 0; i < 11; i++) {
        (void)wire_handshake(&wires[0], &session);
        (void)wire_handshake(&wires[1], &other);
    }
    assert_int_equal(wire_write(&wires[1], SPAN("250\r\n"), &len), WIRE_DONE);
    assert_int_equal(wire_read(&wires[0], room, sizeof(room), &len), WIRE_DONE);
    resumable = wire_resumable(&wires[0]);
    assert_non_null(resumable);
    *out_not_after = session.not_after_utc_ms;
    wire_close(&wires[0]);
    wire_close(&wires[1]);
    tls_context_free(&client);
    tls_context_free(&server);
    free(pem);
    free(key);
    return resumable;
}

static int open_world(void **state)
{
    static struct world w;
    struct throwaway_ca *ca = throwaway_ca_new("Throwaway CA");
    struct tls_trust *trust = NULL;
    char *pem = throwaway_ca_pem(ca);

    assert_null(tls_trust_new(span_of(pem), &trust));
    for (int kind = 0; kind < KINDS; kind++) {
        int64_t not_after_utc_ms = 0;
        w.of[kind] = session_of(ca, trust, (enum kind)kind, &not_after_utc_ms);
        if (kind == 0)
            w.not_after_utc_ms = not_after_utc_ms;
    }
    w.now_ms = clock_monotonic_ms();
    free(pem);
    tls_trust_free(&trust);
    throwaway_ca_free(&ca);
    *state = &w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    for (int kind = 0; kind < KINDS; kind++)
        tls_resumable_free(&w->of[kind]);
    return 0;
}

static struct resumption_key flawless(void)
{
    struct resumption_key key = { .floor = TLS_FLOOR_STRICT,
                                  .pool = { .assurance = ASSURANCE_VERIFIED,
                                            .trust_generation = 3 } };

    assert_true(endpoint_parse(SPAN("192.0.2.1:25"), 25, &key.pool.remote));
    strcpy(key.pool.mx, MX);
    strcpy(key.pool.identity, MX);
    return key;
}

static void put(struct world *w, struct resumption *cache, const struct resumption_key *key,
                enum kind kind)
{
    struct tls_resumable *copy = tls_resumable_copy(w->of[kind]);

    resumption_put(cache, key, &copy, w->now_ms);
    assert_null(copy);
}

/* Is there one for this key?  It is used up. */
static bool finds_at(struct resumption *cache, const struct resumption_key *key, int64_t now_ms,
                     int64_t utc_ms)
{
    struct tls_resumable *found = resumption_take(cache, key, now_ms, utc_ms);
    bool is_there = found != NULL;

    tls_resumable_free(&found);
    return is_there;
}

static bool finds(struct world *w, struct resumption *cache, const struct resumption_key *key)
{
    return finds_at(cache, key, w->now_ms, w->not_after_utc_ms - 1);
}

static void a_session_is_found_under_its_key(void **state)
{
    struct world *w = *state;
    struct resumption *cache = resumption_new();
    struct resumption_key key = flawless();

    assert_false(finds(w, cache, &key));
    put(w, cache, &key, GOOD_13);
    strcpy(key.pool.mx, "MX1.Example.NET");
    assert_true(finds(w, cache, &key));
    resumption_free(&cache);
}

static void one_of_tls_1_3_is_used_once_and_one_of_1_2_again(void **state)
{
    struct world *w = *state;
    struct resumption *cache = resumption_new();
    struct resumption_key key = flawless();

    put(w, cache, &key, GOOD_13);
    assert_true(finds(w, cache, &key));
    assert_false(finds(w, cache, &key));
    put(w, cache, &key, GOOD_12);
    assert_true(finds(w, cache, &key));
    assert_true(finds(w, cache, &key));
    resumption_free(&cache);
}

/* Each member changed by itself. */
static void no_other_key_finds_it(void **state)
{
    struct world *w = *state;
    struct resumption *cache = resumption_new();
    struct resumption_key key = flawless(), others[11];

    for (int i = 0; i < 11; i++)
        others[i] = flawless();
    others[0].floor = TLS_FLOOR_OPPORTUNISTIC;
    others[1].pool.assurance = ASSURANCE_NONE; /* needs less: not here, either */
    others[2].pool.assurance = ASSURANCE_ENCRYPTED;
    others[3].pool.remote.port = 26;
    others[4].pool.remote.address.bytes[3]++;
    strcpy(others[5].pool.mx, "mx2.example.net");
    strcpy(others[6].pool.identity, "mx2.example.net");
    others[7].pool.identity[0] = '\0';
    others[8].pool.trust_generation++;
    assert_true(ip_address_parse(SPAN("2001:db8::1"), &others[9].pool.remote.address));
    strcpy(others[10].pool.chooser, "route:a");
    put(w, cache, &key, GOOD_12);
    for (int i = 0; i < 11; i++)
        assert_false(finds(w, cache, &others[i]));
    assert_true(finds(w, cache, &key));
    resumption_free(&cache);
}

static void age_and_expiry_end_it(void **state)
{
    struct world *w = *state;
    struct resumption *cache = resumption_new();
    struct resumption_key key = flawless();
    int64_t since_ms = tls_resumable_since_ms(w->of[GOOD_12]);

    put(w, cache, &key, GOOD_12);
    assert_true(finds_at(cache, &key, since_ms + RESUMABLE_LIFE_MS - 1, 0));
    assert_false(finds_at(cache, &key, since_ms + RESUMABLE_LIFE_MS, 0));
    assert_int_equal(resumption_count(cache), 0);
    put(w, cache, &key, GOOD_12);
    assert_false(finds_at(cache, &key, w->now_ms, w->not_after_utc_ms));
    assert_int_equal(resumption_count(cache), 0);
    resumption_free(&cache);
}

static void unverified_ones_are_kept_where_nothing_binds(void **state)
{
    struct world *w = *state;
    struct resumption *cache = resumption_new();
    struct resumption_key key = flawless();

    put(w, cache, &key, BAD_13);
    assert_false(finds(w, cache, &key));
    key.floor = TLS_FLOOR_OPPORTUNISTIC;
    key.pool.assurance = ASSURANCE_NONE;
    key.pool.identity[0] = '\0';
    put(w, cache, &key, BAD_13);
    assert_true(finds(w, cache, &key));
    resumption_free(&cache);
}

static void their_number_is_bounded(void **state)
{
    struct world *w = *state;
    struct resumption *cache = resumption_new();
    struct resumption_key key = flawless();

    for (int i = 0; i < RESUMABLES_PER_KEY_MAX + 3; i++)
        put(w, cache, &key, GOOD_13);
    assert_int_equal(resumption_count(cache), RESUMABLES_PER_KEY_MAX);
    for (unsigned i = 0; i < RESUMABLES_MAX + 100; i++) {
        key.pool.trust_generation = 1000 + i;
        put(w, cache, &key, GOOD_13);
    }
    assert_int_equal(resumption_count(cache), RESUMABLES_MAX);
    assert_true(finds(w, cache, &key)); /* the youngest stay */
    key = flawless();
    assert_false(finds(w, cache, &key));
    resumption_free(&cache);
}

static void what_a_host_stumbled_over_is_forgotten(void **state)
{
    struct world *w = *state;
    struct resumption *cache = resumption_new();
    struct resumption_key key = flawless(), other = flawless();

    other.pool.remote.port = 26;
    put(w, cache, &key, GOOD_13);
    put(w, cache, &key, GOOD_12);
    put(w, cache, &other, GOOD_13);
    resumption_forget(cache, &key);
    assert_false(finds(w, cache, &key));
    assert_true(finds(w, cache, &other));
    put(w, cache, &key, GOOD_13);
    resumption_clear(cache);
    assert_int_equal(resumption_count(cache), 0);
    assert_false(finds(w, cache, &key));
    resumption_free(&cache);
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("a session is found under its key", a_session_is_found_under_its_key),
        T("a session of TLS 1.3 is used once, one of TLS 1.2 again and again",
          one_of_tls_1_3_is_used_once_and_one_of_1_2_again),
        T("no other level, floor, address, name, identity or trust finds it",
          no_other_key_finds_it),
        T("an hour behind the whole handshake, or with its certificate, it ends",
          age_and_expiry_end_it),
        T("unverified ones are kept where nothing binds, and nowhere else",
          unverified_ones_are_kept_where_nothing_binds),
        T("their number is bounded, for a key and in all", their_number_is_bounded),
        T("what a host stumbled over is forgotten, and all with other roots",
          what_a_host_stumbled_over_is_forgotten),
    };

    return cmocka_run_group_tests_name("resumption", tests, open_world, close_world);
}
