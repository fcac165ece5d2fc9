#include "lib/mail/dkim_published.h"

#include "lib/mail/dkim_record.h"

enum finding {
    NOT_LOOKED_UP,
    NO_RECORD,
    SEVERAL,
    BROKEN,
    REVOKED,
    OTHER_KIND,
    OTHER_KEY,
    BARE_KEY,
    NOT_SHA256,
    NOT_FOR_EMAIL,
    NOT_FOR_REPORTS,
    TESTING,
};

static const struct dkim_finding findings[] = {
    [NOT_LOOKED_UP] = { DKIM_UNKNOWN, false, "not-looked-up", "DNS does not answer now.",
                        "Try again; receivers wait with such mail or take it as unsigned." },
    [NO_RECORD] = { DKIM_WRONG, true, "no-record",
                    "DNS has no key there: receivers find no signature good.",
                    "Publish our record." },
    [SEVERAL] = { DKIM_WRONG, true, "several-records",
                  "DNS has several TXT records there: receivers take any of them, or none.",
                  "Leave our record alone there, and take the others out." },
    [BROKEN] = { DKIM_WRONG, true, "broken-record",
                 "What DNS has there is not the record of a key:", "Publish ours in its place." },
    [REVOKED] = { DKIM_WRONG, false, "revoked",
                  "The key is revoked (p= is empty): receivers find no signature good.",
                  "Make a new key with a new selector (waxseal dkim new), and sign with that." },
    [OTHER_KIND] = { DKIM_WRONG, true, "other-kind",
                     "DNS has a key of another kind there: receivers find no signature good.",
                     "Publish our record in its place; a second key needs a selector of its own." },
    [OTHER_KEY] = { DKIM_WRONG, true, "other-key",
                    "DNS has another key there: receivers find no signature good.",
                    "Publish our record in its place, or configure the file of the key that is "
                    "published." },
    [BARE_KEY] = { DKIM_WARNING, true, "bare-key",
                   "Its p= is the key without the words in front that say what it is: some "
                   "receivers cannot read it.",
                   "Publish our record in its place." },
    [NOT_SHA256] = { DKIM_WRONG, true, "not-sha256",
                     "Its h= leaves out sha256, with which we sign: receivers find no signature "
                     "good.",
                     "Take h= out of the record." },
    [NOT_FOR_EMAIL] = { DKIM_WRONG, true, "not-for-email",
                        "Its s= does not name email: receivers find no signature of mail good.",
                        "Take s= out of the record." },
    [NOT_FOR_REPORTS] = { DKIM_WARNING, true, "not-for-reports",
                          "Its s= does not name tlsrpt: receivers may ignore our TLS reports.",
                          "Take s= out of the record, or make it s=email:tlsrpt." },
    [TESTING] = { DKIM_WARNING, true, "testing",
                  "Its t= says that DKIM is being tested: receivers treat mail as if it were not "
                  "signed.",
                  "Take y out of t= when all works." },
};

struct judging {
    const struct dkim_public *ours;
    dkim_finding_fn *visit;
    void *ctx;
};

static void tell(const struct judging *j, enum finding finding, struct span detail)
{
    j->visit(j->ctx, &findings[finding], detail);
}

/* Of a key that is ours. */
static void judge_words(const struct judging *j, const struct dkim_record *record, bool key_is_bare)
{
    if (!record->takes_sha256)
        tell(j, NOT_SHA256, SPAN(""));
    if (!record->is_for_email)
        tell(j, NOT_FOR_EMAIL, SPAN(""));
    if (!record->is_for_reports)
        tell(j, NOT_FOR_REPORTS, SPAN(""));
    if (key_is_bare)
        tell(j, BARE_KEY, SPAN(""));
    if (record->is_testing)
        tell(j, TESTING, SPAN(""));
}

/*
 * RFC 6376 s.3.6.1 says RSAPublicKey, and means SubjectPublicKeyInfo (erratum 3017): that ends with
 * the former, which is a sequence.
 */
static bool is_bare(const struct judging *j, struct span key)
{
    struct span ours = j->ours->key;

    return j->ours->algorithm == DKIM_RSA_SHA256 && key.len > ours.len / 2 && key.len < ours.len &&
           key.data[0] == '\x30' && span_equal(span_from(ours, ours.len - key.len), key);
}

static bool is_ours(const struct judging *j, struct span key)
{
    return span_equal(key, j->ours->key) || is_bare(j, key);
}

static void judge_record(const struct judging *j, struct span text)
{
    struct dkim_record record;
    const char *fault = dkim_record_parse(text, &record);
    struct span key = { (const char *)record.key, record.key_len };

    if (fault)
        tell(j, BROKEN, span_of(fault));
    else if (record.key_len == 0)
        tell(j, REVOKED, SPAN(""));
    else if (record.algorithm != j->ours->algorithm)
        tell(j, OTHER_KIND, SPAN(""));
    else if (!is_ours(j, key))
        tell(j, OTHER_KEY, SPAN(""));
    else
        judge_words(j, &record, is_bare(j, key));
}

void dkim_published_judge(const struct dns_answer *answer, const struct dkim_public *ours,
                          dkim_finding_fn *visit, void *ctx)
{
    const struct judging j = { ours, visit, ctx };

    if (answer->outcome == DNS_TEMPFAIL)
        tell(&j, NOT_LOOKED_UP, span_of(answer->reason));
    else if (answer->outcome != DNS_ANSWER || answer->count == 0)
        tell(&j, NO_RECORD, SPAN(""));
    else if (answer->count > 1)
        tell(&j, SEVERAL, SPAN(""));
    else
        judge_record(&j, (struct span){ answer->records[0].data, answer->records[0].data_len });
}
