/*
 * run_vectors FOLDER - runs every vector of a folder of known answers (README.md beside this file)
 * through the product's own modules.  Prints the vectors that failed and, for each area, how many
 * passed; exit status 0 only if all did.  Files are known by their "area", not by their name.
 */
#include "tests/vectors/vectors.h"

#include "policy/mx_match.h"
#include "policy/sts_policy.h"
#include "policy/sts_txt.h"
#include "tests/support/dns_build.h"
#include "tlsrpt/rua.h"

#include <dirent.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const json_t *fixtures;

const json_t *vectors_fixtures(void)
{
    return fixtures;
}

struct span text_of(const json_t *value)
{
    if (!json_is_string(value))
        return (struct span){ "", 0 };
    return (struct span){ json_string_value(value), json_string_length(value) };
}

/* --- TXT answers, through a DNS message as it would come */

static void build_txt(struct dns_build *b, const char *owner, const json_t *strings)
{
    size_t i;
    json_t *string;

    build_record(b, SECTION_ANSWER, owner, DNS_TXT, 300);
    json_array_foreach(strings, i, string)
    {
        struct span text = text_of(string);
        build_u8(b, (unsigned)text.len);
        build_bytes(b, text.data, text.len);
    }
    build_end(b);
}

static struct dns_answer txt_answer(const json_t *given)
{
    static struct dns_build b;
    const char *query = json_string_value(json_object_get(given, "query"));
    const char *rcode = json_string_value(json_object_get(given, "rcode"));
    const char *owner = query;
    struct dns_answer answer;
    unsigned flags = 0x8180;
    json_t *item;
    size_t i;

    if (strcmp(rcode, "TIMEOUT") == 0) {
        dns_answer_none(&answer, DNS_TEMPFAIL, "timed out");
        return answer;
    }
    if (strcmp(rcode, "NXDOMAIN") == 0)
        flags |= 3;
    else if (strcmp(rcode, "NOERROR") != 0)
        flags |= 2;
    build_start(&b, flags, query, DNS_TXT);
    json_array_foreach(json_object_get(given, "cname_chain"), i, item)
    {
        build_cname(&b, owner, 300, json_string_value(item));
        owner = json_string_value(item);
    }
    json_array_foreach(json_object_get(given, "answers"), i, item) build_txt(&b, owner, item);
    dns_message_parse((struct span){ b.wire, b.len }, span_of(query), DNS_TXT, false, &answer);
    return answer;
}

static json_t *judge_sts_txt(const json_t *given)
{
    struct dns_answer answer = txt_answer(given);
    struct sts_txt txt;

    sts_txt_judge(&answer, &txt);
    dns_answer_clear(&answer);
    if (txt.verdict == STS_TXT_VALID)
        return json_pack("{s:b, s:s}", "valid", 1, "id", txt.id);
    return json_pack("{s:b, s:s}", "valid", 0, "kind", sts_txt_verdict_name(txt.verdict));
}

static json_t *judge_tlsrpt_txt(const json_t *given)
{
    struct dns_answer answer = txt_answer(given);
    json_t *uris = json_array();
    json_t *got;
    struct rua rua;

    rua_judge(&answer, &rua);
    for (unsigned i = 0; i < rua.count; i++)
        json_array_append_new(uris, json_stringn(rua.uris[i].data, rua.uris[i].len));
    if (rua.verdict == RUA_VALID)
        got = json_pack("{s:b, s:O}", "valid", 1, "rua", uris);
    else
        got = json_pack("{s:b, s:s}", "valid", 0, "kind", rua_verdict_name(rua.verdict));
    json_decref(uris);
    dns_answer_clear(&answer);
    return got;
}

/* `kind` informs only, save that a failed lookup must not pass for absence. */
static bool txt_agrees(const json_t *expect, const json_t *got)
{
    static const char *const keys[] = { "valid", "id", "rua" };
    struct span kind = text_of(json_object_get(expect, "kind"));

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const json_t *wanted = json_object_get(expect, keys[i]);
        if (wanted && !json_equal(wanted, json_object_get(got, keys[i])))
            return false;
    }
    return !span_equal(kind, SPAN("dns_error")) ||
           span_equal(text_of(json_object_get(got, "kind")), kind);
}

/* --- policy files */

/* The body in whichever of its forms it is given; freed by the caller. */
static char *body_of(const json_t *given, size_t *out_len)
{
    const json_t *gen = json_object_get(given, "body_gen");
    struct span body = text_of(json_object_get(given, "body"));
    struct span coded = text_of(json_object_get(given, "body_b64"));
    char *bytes = NULL;
    FILE *out = open_memstream(&bytes, out_len);

    fwrite(body.data, 1, body.len, out);
    if (coded.len > 0) {
        unsigned char *plain = calloc(1, coded.len + 4);
        int len = EVP_DecodeBlock(plain, (const unsigned char *)coded.data, (int)coded.len);
        for (size_t i = coded.len; i > 0 && coded.data[i - 1] == '='; i--)
            len--;
        if (len > 0)
            fwrite(plain, 1, (size_t)len, out);
        free(plain);
    }
    if (gen) {
        fputs(text_of(json_object_get(gen, "prefix")).data, out);
        for (json_int_t n = json_integer_value(json_object_get(gen, "count")); n > 0; n--)
            fputs(text_of(json_object_get(gen, "repeat")).data, out);
        fputs(text_of(json_object_get(gen, "suffix")).data, out);
    }
    fclose(out);
    return bytes;
}

static json_t *policy_value(struct sts_policy **policy)
{
    json_t *mx = json_array();
    json_t *got;

    for (unsigned i = 0; i < (*policy)->mx_count; i++)
        json_array_append_new(mx, json_string((*policy)->mx[i]));
    got = json_pack("{s:b, s:s, s:o, s:I}", "ok", 1, "mode", sts_mode_name((*policy)->mode), "mx",
                    mx, "max_age", (json_int_t)(*policy)->max_age_s);
    sts_policy_free(policy);
    return got;
}

static json_t *judge_sts_policy(const json_t *given)
{
    const json_t *http = json_object_get(given, "http");
    int status = (int)json_integer_value(json_object_get(http, "status"));
    const json_t *type = json_object_get(http, "content_type");
    struct span content_type = json_is_string(type) ? text_of(type) : (struct span){ NULL, 0 };
    enum sts_policy_fault fault = sts_policy_check_http(status, content_type);
    struct sts_policy *policy = NULL;
    size_t len = 0;
    char *body = body_of(given, &len);

    if (fault == STS_POLICY_FINE)
        fault = sts_policy_parse((struct span){ body, len }, &policy);
    free(body);
    if (fault == STS_POLICY_FINE)
        return policy_value(&policy);
    return json_pack("{s:b, s:s}", "ok", 0, "reason", sts_policy_fault_name(fault));
}

static bool has_name(const json_t *names, struct span name)
{
    size_t i;
    json_t *item;

    json_array_foreach(names, i, item) if (span_equal_nocase(text_of(item), name)) return true;
    return false;
}

static bool same_names(const json_t *a, const json_t *b)
{
    size_t i;
    json_t *item;

    json_array_foreach(a, i, item) if (!has_name(b, text_of(item))) return false;
    json_array_foreach(b, i, item) if (!has_name(a, text_of(item))) return false;
    return true;
}

static bool policy_agrees(const json_t *expect, const json_t *got)
{
    static const char *const keys[] = { "ok", "mode", "max_age" };
    const json_t *mx = json_object_get(expect, "mx");

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const json_t *wanted = json_object_get(expect, keys[i]);
        if (wanted && !json_equal(wanted, json_object_get(got, keys[i])))
            return false;
    }
    return !mx || same_names(mx, json_object_get(got, "mx"));
}

/* --- host names and patterns */

static json_t *judge_mx_match(const json_t *given)
{
    struct span mx = text_of(json_object_get(given, "mx"));
    bool match = false;
    json_t *pattern;
    size_t i;

    json_array_foreach(json_object_get(given, "patterns"), i, pattern) match =
        match || mx_match(mx, text_of(pattern));
    return json_pack("{s:b}", "match", match);
}

static bool match_agrees(const json_t *expect, const json_t *got)
{
    return json_equal(json_object_get(expect, "match"), json_object_get(got, "match"));
}

/* --- running them */

static const struct area areas[] = {
    { "sts_txt", judge_sts_txt, txt_agrees },
    { "sts_policy", judge_sts_policy, policy_agrees },
    { "mx_match", judge_mx_match, match_agrees },
    { "cert_match", judge_certificate, match_agrees },
    { "tlsrpt_txt", judge_tlsrpt_txt, txt_agrees },
    { "tlsrpt_reports", judge_report, any_report_agrees },
    { "sts_decisions", judge_decision, decision_agrees },
    { "dane", judge_dane, dane_agrees },
    { "dkim", judge_dkim, dkim_agrees },
};

enum { AREAS = sizeof(areas) / sizeof(areas[0]) };

struct tally {
    unsigned passed;
    unsigned failed;
    unsigned not_run; /* nobody here knows what is given */
};

static bool agrees(const struct area *area, const json_t *expect, const json_t *got)
{
    const json_t *either = json_object_get(expect, "either");
    json_t *alternative;
    size_t i;

    if (!either)
        return area->agrees(expect, got);
    json_array_foreach(either, i, alternative) if (area->agrees(alternative, got)) return true;
    return false;
}

static void run_vector(const struct area *area, const json_t *vector, struct tally *tally)
{
    const json_t *given = json_object_get(vector, "given");
    const json_t *expect = json_object_get(vector, "expect");
    json_t *got;

    got = area->judge(given);
    if (!got) {
        printf("not run: %s\n", json_string_value(json_object_get(vector, "id")));
        tally->not_run++;
    } else if (agrees(area, expect, got)) {
        tally->passed++;
    } else {
        char *wanted = json_dumps(expect, JSON_COMPACT);
        char *given_back = json_dumps(got, JSON_COMPACT);
        printf("failed: %s: wanted %s, got %s\n", json_string_value(json_object_get(vector, "id")),
               wanted, given_back);
        free(wanted);
        free(given_back);
        tally->failed++;
    }
    json_decref(got);
}

static void run_file(const json_t *file, struct tally tallies[AREAS])
{
    struct span name = text_of(json_object_get(file, "area"));
    json_t *vector;
    size_t i;

    fixtures = json_object_get(file, "fixtures");
    for (size_t a = 0; a < AREAS; a++)
        if (span_equal(name, span_of(areas[a].name)))
            json_array_foreach(json_object_get(file, "vectors"), i, vector)
                run_vector(&areas[a], vector, &tallies[a]);
}

/* Reads and runs one file; false when it is no JSON. */
static bool run_path(const char *folder, const char *name, struct tally tallies[AREAS])
{
    char path[4096];
    json_error_t error;
    json_t *file;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = json_load_file(path, JSON_ALLOW_NUL, &error);
    if (!file) {
        fprintf(stderr, "%s:%d: %s\n", path, error.line, error.text);
        return false;
    }
    run_file(file, tallies);
    json_decref(file);
    return true;
}

static bool run_folder(const char *path, struct tally tallies[AREAS])
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    bool read = true;

    if (!folder) {
        perror(path);
        return false;
    }
    while ((entry = readdir(folder)))
        if (span_ends_with_nocase(span_of(entry->d_name), SPAN(".json")))
            read = run_path(path, entry->d_name, tallies) && read;
    closedir(folder);
    return read;
}

int main(int argc, char **argv)
{
    struct tally tallies[AREAS] = { { 0, 0, 0 } };
    unsigned passed = 0, failed = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: run_vectors FOLDER\n");
        return 2;
    }
    if (!run_folder(argv[1], tallies))
        failed++;
    for (size_t a = 0; a < AREAS; a++) {
        printf("%s: %u passed, %u failed", areas[a].name, tallies[a].passed, tallies[a].failed);
        if (tallies[a].not_run > 0)
            printf(", %u not run", tallies[a].not_run);
        printf("\n");
        passed += tallies[a].passed;
        failed += tallies[a].failed;
    }
    printf("%u passed, %u failed\n", passed, failed);
    return passed > 0 && failed == 0 ? 0 : 1;
}
