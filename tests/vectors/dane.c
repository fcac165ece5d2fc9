/* TLSA records: which are asked for, what they are worth, and what they say of a chain. */
#include "lib/base/memory.h"
#include "lib/io/tls_dane.h"
#include "lib/io/tls_openssl.h"
#include "lib/mail/route.h"
#include "lib/mail/tlsa_walk.h"
#include "policy/decide.h"
#include "queue/deliver/target.h"
#include "tests/vectors/vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *member(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static bool is(const char *text, const char *word)
{
    return strcmp(text, word) == 0;
}

/* --- answers, in the words of the vectors */

static bool is_failure(const char *status)
{
    return is(status, "servfail") || is(status, "bogus") || is(status, "timeout");
}

/* "secure...", "insecure...", a failure, or nothing there; its records are the caller's to add. */
static struct dns_answer answer_of(const char *status)
{
    struct dns_answer answer;

    if (is_failure(status)) {
        dns_answer_none(&answer, DNS_TEMPFAIL, status);
        return answer;
    }
    dns_answer_none(&answer, is(status, "nxdomain") ? DNS_NXDOMAIN : DNS_NODATA, "");
    answer.secure = strncmp(status, "insecure", 8) != 0;
    if (strncmp(status, "secure", 6) == 0 || !answer.secure)
        answer.outcome = DNS_ANSWER;
    return answer;
}

static unsigned hex_digit(char c)
{
    return ascii_is_digit(c) ? (unsigned)(c - '0') : (unsigned)(ascii_lower(c) - 'a' + 10);
}

/* "3 1 1 8d02..." */
static void add_record(struct dns_answer *answer, const char *text)
{
    struct dns_record *record;
    unsigned usage = 0, selector = 0, matching = 0;
    char hex[8192] = "";
    size_t len;

    if (sscanf(text, "%u %u %u %8191s", &usage, &selector, &matching, hex) < 3)
        abort();
    len = strlen(hex) / 2;
    answer->records =
        memory_resize(answer->records, (answer->count + 1) * sizeof(*answer->records));
    record = &answer->records[answer->count++];
    *record = (struct dns_record){ .data = memory_new(len + 4), .data_len = len + 3 };
    record->data[0] = (char)usage;
    record->data[1] = (char)selector;
    record->data[2] = (char)matching;
    for (size_t i = 0; i < len; i++)
        record->data[3 + i] = (char)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
}

/* --- kind verify: what a session comes to */

static X509 *certificate_named(const char *name)
{
    const json_t *certs = json_object_get(vectors_fixtures(), "certs");
    struct span coded = text_of(json_object_get(json_object_get(certs, name), "der_b64"));
    unsigned char *der = memory_new(coded.len + 1);
    const unsigned char *at = der;
    int len = EVP_DecodeBlock(der, (const unsigned char *)coded.data, (int)coded.len);
    X509 *certificate = d2i_X509(NULL, &at, len);

    free(der);
    return certificate;
}

/* Authorities of ours that vouch for none but a stranger: DANE asks none of them. */
static struct tls_context *client_context(void)
{
    struct tls_context *context = NULL;
    struct tls_trust *trust = NULL;
    X509 *stranger = certificate_named("foreign_root");
    BIO *bio = BIO_new(BIO_s_mem());
    struct error *err;
    char *pem;
    long len;

    PEM_write_bio_X509(bio, stranger);
    len = BIO_get_mem_data(bio, &pem);
    err = tls_trust_new((struct span){ pem, (size_t)len }, &trust);
    if (!err)
        err = tls_client_context_new(trust, TLS_FLOOR_STRICT, &context);
    if (err)
        abort();
    tls_trust_free(&trust);
    X509_free(stranger);
    BIO_free(bio);
    return context;
}

static void set_time(X509_STORE_CTX *check, const char *when)
{
    struct tm tm = { .tm_isdst = 0 };

    if (strptime(when, "%Y-%m-%dT%H:%M:%SZ", &tm))
        X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(check), timegm(&tm));
}

/* As OpenSSL checks the chain that a server shows, but at the vector's time. */
static long check_chain(SSL *ssl, const json_t *given)
{
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    STACK_OF(X509) *chain = sk_X509_new_null();
    long result;
    json_t *name;
    size_t i;

    json_array_foreach(json_object_get(given, "chain"), i, name)
        sk_X509_push(chain, certificate_named(json_string_value(name)));
    X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)),
                        sk_X509_value(chain, 0), chain);
    X509_STORE_CTX_set_ex_data(check, SSL_get_ex_data_X509_STORE_CTX_idx(), ssl);
    X509_STORE_CTX_set0_dane(check, SSL_get0_dane(ssl));
    X509_STORE_CTX_set_default(check, "ssl_server");
    X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(check), SSL_get0_param(ssl));
    set_time(check, member(given, "time"));
    X509_verify_cert(check);
    result = X509_STORE_CTX_get_error(check);
    X509_STORE_CTX_free(check);
    sk_X509_pop_free(chain, X509_free);
    return result;
}

static enum cert_verdict judge_chain(const json_t *given, const struct tlsa_set *set)
{
    const json_t *names = json_object_get(given, "reference_names");
    struct tlsa_names also = tlsa_names_of(json_string_value(json_array_get(names, 1)),
                                           json_string_value(json_array_get(names, 2)), true);
    struct tls_context *context = client_context();
    SSL *ssl = tls_session_begin(context, set->base);
    enum cert_verdict verdict = CERT_OTHER;

    if (tls_dane_expect(ssl, set->base, &also, set->records, set->usable_count) > 0)
        verdict = tls_verdict_of(check_chain(ssl, given));
    SSL_free(ssl);
    tls_context_free(&context);
    return verdict;
}

static const char *verdict_of_session(const json_t *given, const struct tlsa_set *set)
{
    bool has_tls = !is(member(given, "starttls"), "not_offered");
    struct sts_facts f = { .source = POLICY_SOURCE_NONE,
                           .tlsa = tlsa_set_worth(set),
                           .mx_is_sure = true,
                           .tls = has_tls ? SESSION_TLS_ON : SESSION_TLS_NOT_OFFERED,
                           .floor = TLS_FLOOR_STRICT,
                           .cert = has_tls ? CERT_NOT_TRUSTED : CERT_NONE };

    if (f.tlsa == TLSA_USABLE && has_tls)
        f.cert = judge_chain(given, set);
    if (!sts_decide_candidate(f).deliver || !sts_decide_session(f).deliver)
        return "fail";
    if (f.tlsa == TLSA_NOT_APPLICABLE)
        return "opportunistic";
    return f.tlsa == TLSA_USABLE ? "authenticated" : "encrypted_unauthenticated";
}

static json_t *judge_verify(const json_t *given)
{
    const json_t *tlsa = json_object_get(given, "tlsa");
    struct dns_answer answer = answer_of(member(tlsa, "status"));
    struct host_security security = { .secure = true };
    struct tlsa_set *set = NULL;
    struct tlsa_walk walk;
    const char *verdict = "unreachable";
    json_t *record;
    size_t i;

    json_array_foreach(json_object_get(tlsa, "records"), i, record)
        add_record(&answer, json_string_value(record));
    tlsa_walk_start(&walk, member(given, "base_domain"), 25, true, &security);
    tlsa_walk_take(&walk, &answer);
    if (walk.base)
        set = tlsa_set_new(walk.base, &answer, tls_dane_usable);
    if (!walk.failed)
        verdict = verdict_of_session(given, set);
    tlsa_set_free(&set);
    dns_answer_clear(&answer);
    return json_pack("{s:s}", "verdict", verdict);
}

/* --- kind names: which a certificate may bear */

static json_t *judge_names(const json_t *given)
{
    bool is_sure = !json_is_false(json_object_get(given, "mx_secure")); /* null: no MX records */
    struct tlsa_names also =
        tlsa_names_of(member(given, "next_hop"), member(given, "next_hop_cname"), is_sure);
    json_t *accepts = json_pack("[s]", member(given, "tlsa_base"));

    if (also.next_hop)
        json_array_append_new(accepts, json_string(also.next_hop));
    if (also.expanded)
        json_array_append_new(accepts, json_string(also.expanded));
    return json_pack("{s:o}", "accepts", accepts);
}

/* --- kind lookup: which records are asked for */

static uint64_t first(uint64_t bound)
{
    (void)bound;
    return 0;
}

/* The MX answer, and what it says of the host's name; false: nobody knows where to deliver. */
static bool find_route(const json_t *given, bool *out_is_sure)
{
    struct dns_record record = { .name = memory_copy_text(member(given, "mx_host")),
                                 .name_is_host = true };
    struct dns_answer mx = answer_of(member(given, "mx"));
    struct route route;

    if (mx.outcome == DNS_ANSWER) {
        mx.records = &record;
        mx.count = 1;
    }
    route_from_mx(&mx, SPAN("example.com"), NULL, 0, first, &route);
    free(record.name);
    *out_is_sure = route.secure;
    return route.verdict == ROUTE_FOUND;
}

/* The addresses, behind an alias where there is one; false: there are none. */
static bool find_addresses(const json_t *given, struct host_security *out)
{
    struct dns_answer a = answer_of(member(given, "address")), none = answer_of("nodata");
    const char *alias = member(given, "mx_cname");

    a.count = a.outcome == DNS_ANSWER ? 1 : 0;
    a.cname_steps = alias[0] != '\0';
    a.secure = a.secure && !is(member(given, "cname"), "insecure"); /* the whole way (DANE-14) */
    snprintf(a.canonical, sizeof(a.canonical), "%s",
             alias[0] != '\0' ? alias : member(given, "mx_host"));
    host_security_of(&a, &none, out);
    return a.count > 0;
}

/* What stands at a TLSA name, which may be an alias. */
static struct dns_answer find_records(const json_t *given, const char *name)
{
    const json_t *cname = json_object_get(given, "tlsa_cname");
    const char *end = member(cname, name);
    const char *status = member(json_object_get(given, "tlsa"), end[0] != '\0' ? end : name);
    struct dns_answer answer = answer_of(status[0] != '\0' ? status : "nxdomain");

    if (end[0] != '\0' && is(member(cname, "status"), "insecure"))
        answer.secure = false;
    if (answer.outcome == DNS_ANSWER)
        add_record(&answer,
                   strstr(status, "unusable")
                       ? "0 0 1 00"
                       : "3 1 1 "
                         "0000000000000000000000000000000000000000000000000000000000000000");
    return answer;
}

static void walk_on(const json_t *given, struct tlsa_walk *walk, json_t *queries,
                    struct tlsa_set **out_set)
{
    char name[TLSA_NAME_SIZE];

    while (walk->question != TLSA_ASK_NOTHING) {
        bool is_alias = walk->question == TLSA_ASK_ALIAS;
        struct dns_answer answer;
        tlsa_walk_name(walk, name);
        answer = is_alias ? answer_of(member(given, "cname")) : find_records(given, name);
        if (!is_alias)
            json_array_append_new(queries, json_string(name));
        tlsa_walk_take(walk, &answer);
        if (walk->base)
            *out_set = tlsa_set_new(walk->base, &answer, tls_dane_usable);
        dns_answer_clear(&answer);
    }
}

/* What the host may be used for, as far as its records say. */
static void conclude(const json_t *given, const struct tlsa_set *set, bool is_sure, json_t *got)
{
    bool is_mandatory = is(member(json_object_get(given, "config"), "dane"), "mandatory");
    struct sts_decision d =
        sts_decide_candidate((struct sts_facts){ .tlsa = tlsa_set_worth(set),
                                                 .mx_is_sure = is_sure,
                                                 .route = is_mandatory ? ROUTE_TLS_DANE : 0 });
    const char *verdict = !d.deliver                             ? "fail"
                          : d.by_tlsa                            ? "authenticated"
                          : tlsa_set_worth(set) == TLSA_UNUSABLE ? "encrypted_unauthenticated"
                                                                 : "opportunistic";

    json_object_set_new(got, "verdict", json_string(verdict));
    json_object_set_new(got, "dane", json_boolean(set != NULL));
    if (!d.deliver)
        json_object_set_new(got, "delivery", json_string("defer"));
    if (d.result != TLS_RESULT_SUCCESS)
        json_object_set_new(got, "tlsrpt_result_type", json_string(tls_result_name(d.result)));
    if (!set)
        return;
    json_object_set_new(got, "base_domain", json_string(set->base));
    json_object_set_new(got, "sni", json_string(set->base)); /* dialogue_begin_tls */
}

static void look_up(const json_t *given, json_t *queries, json_t *got)
{
    int port = (int)json_integer_value(json_object_get(given, "port"));
    struct host_security security;
    struct tlsa_set *set = NULL;
    struct tlsa_walk walk;
    struct target target;
    bool is_sure;

    if (target_of_domain(text_of(json_object_get(given, "next_hop")), &target) &&
        target.kind == TARGET_ADDRESS) {
        conclude(given, NULL, false, got); /* DANE-20 */
        return;
    }
    if (!find_route(given, &is_sure) || !find_addresses(given, &security)) {
        json_object_set_new(got, "verdict", json_string("unreachable"));
        json_object_set_new(got, "delivery", json_string("defer"));
        return;
    }
    tlsa_walk_start(&walk, member(given, "mx_host"), port > 0 ? (uint16_t)port : PORT_SMTP, is_sure,
                    &security);
    walk_on(given, &walk, queries, &set);
    if (walk.failed)
        json_object_set_new(got, "verdict", json_string("unreachable"));
    else
        conclude(given, set, is_sure, got);
    tlsa_set_free(&set);
}

static json_t *judge_lookup(const json_t *given)
{
    json_t *queries = json_array();
    json_t *got = json_pack("{s:o}", "queries", queries);

    look_up(given, queries, got);
    return got;
}

json_t *judge_dane(const json_t *given)
{
    const char *kind = member(given, "kind");

    if (is(kind, "names"))
        return judge_names(given);
    return is(kind, "lookup") ? judge_lookup(given) : judge_verify(given);
}

/* --- what was wanted */

static bool has_text(const json_t *list, const json_t *text)
{
    json_t *item;
    size_t i;

    json_array_foreach(list, i, item) if (json_equal(item, text)) return true;
    return false;
}

/* All of the one list, or none of it, are in the other. */
static bool are_in(const json_t *wanted, const json_t *list, bool all)
{
    json_t *item;
    size_t i;

    if (json_is_string(wanted))
        return has_text(list, wanted) == all;
    json_array_foreach(wanted, i, item) if (has_text(list, item) != all) return false;
    return true;
}

bool dane_agrees(const json_t *expect, const json_t *got)
{
    static const char *const same[] = { "verdict", "queries",  "base_domain",       "dane",
                                        "sni",     "delivery", "tlsrpt_result_type" };
    const json_t *queries = json_object_get(got, "queries");
    const json_t *first_query = json_object_get(expect, "first_query");

    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        const json_t *wanted = json_object_get(expect, same[i]);
        if (wanted && !json_is_null(wanted) && !json_equal(wanted, json_object_get(got, same[i])))
            return false;
    }
    if (first_query && !json_equal(first_query, json_array_get(queries, 0)))
        return false;
    return are_in(json_object_get(expect, "must_not_query"), queries, false) &&
           are_in(json_object_get(expect, "must_accept"), json_object_get(got, "accepts"), true) &&
           are_in(json_object_get(expect, "must_not_accept"), json_object_get(got, "accepts"),
                  false);
}
