#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#include "lib/ipc/channel.h"
#include "lib/ipc/envelope_codec.h"
#include "queue/deliver/job.h"

static void no_pull(void *ctx, uint64_t lease, uint32_t first_chunk, uint32_t count)
{
    (void)ctx;
    (void)lease;
    (void)first_chunk;
    (void)count;
}

static const struct content_source source = { no_pull, NULL };

/* A job for so many recipients, with the numbers 10, 11, ... */
static struct job *job_for(unsigned recipients)
{
    Ipc__Job message = IPC__JOB__INIT;
    struct envelope e;
    struct address address;
    struct job *job;

    envelope_init(&e);
    assert_int_equal(address_parse_reverse(SPAN("a@example.org"), &e.reverse_path), ADDRESS_FINE);
    assert_int_equal(address_parse(SPAN("b@example.net"), &address), ADDRESS_FINE);
    for (unsigned i = 0; i < recipients; i++)
        envelope_add(&e, &address)->number = 10 + i;
    message.lease = 7;
    message.id = 8;
    message.envelope = envelope_to_message(&e);
    job = job_new(&message, &source);
    envelope_message_free(&message.envelope);
    envelope_clear(&e);
    return job;
}

static struct outcome outcome_of(enum outcome_kind kind, const char *status, bool elsewhere)
{
    struct outcome o = { .kind = kind, .elsewhere = elsewhere };

    strcpy(o.status, status);
    return o;
}

static void settle(struct job *job, enum outcome_kind kind, const char *status, bool elsewhere)
{
    struct outcome o = outcome_of(kind, status, elsewhere);

    job_settle(job, RECIPIENT_OPEN, &o, span_of(status), true);
}

static void check_signed(void *ctx, const Ipc__Outcome *outcome)
{
    const char *const *expected = ctx;
    const Ipc__Decision *decision = outcome->decision;

    assert_true(span_equal(span_of_bytes(decision->signed_by), span_of(expected[0])));
    assert_true(span_equal(span_of_bytes(decision->unsigned_because), span_of(expected[1])));
}

static void signatures_count_and_are_told_of(void **state)
{
    const struct span fields = SPAN("DKIM-Signature: d=a.b; s=c\r\n");
    const char *expected[] = { "a.b:c", "x" };
    char name[] = "a.b:c", because[] = "x";
    Ipc__Job message = IPC__JOB__INIT;
    struct job *job = job_for(1);

    (void)state;
    message.envelope = envelope_to_message(&job->envelope);
    message.size = 1000;
    message.signatures = bytes_of_span(fields);
    message.signed_by = bytes_of_span(span_of(name));
    message.unsigned_because = bytes_of_span(span_of(because));
    struct job *with = job_new(&message, &source);
    name[0] = because[0] = '?'; /* the frame is gone */
    assert_int_equal(with->size, 1000 + fields.len);
    assert_true(span_equal(with->signatures, fields));
    job_outcome(with, check_signed, expected);
    expected[0] = expected[1] = "";
    job_outcome(job, check_signed, expected);
    envelope_message_free(&message.envelope);
    job_free(&with);
    job_free(&job);
}

static void job_without_recipients_is_none(void **state)
{
    (void)state;
    assert_null(job_for(0));
}

static void final_result_settles(void **state)
{
    struct job *job = job_for(2);
    struct outcome o = outcome_of(OUTCOME_FAILED, "5.1.1", false);

    (void)state;
    job_settle_one(job, 1, &o, SPAN("550 no"), true);
    assert_int_equal(job_open_count(job), 1);
    assert_int_equal(job->results[1].state, RECIPIENT_SETTLED);
    settle(job, OUTCOME_DELIVERED, "2.0.0", false);
    assert_int_equal(job_open_count(job), 0);
    assert_int_equal(job->results[1].kind, OUTCOME_FAILED);
    job_free(&job);
}

static void result_that_may_be_bettered_elsewhere_stays_open(void **state)
{
    struct job *job = job_for(1);

    (void)state;
    settle(job, OUTCOME_DEFERRED, "4.4.1", true);
    assert_int_equal(job_open_count(job), 1);
    settle(job, OUTCOME_DELIVERED, "2.0.0", false);
    assert_int_equal(job->results[0].kind, OUTCOME_DELIVERED);
    job_free(&job);
}

static void one_hosts_never_does_not_outweigh_anothers_not_now(void **state)
{
    struct job *job = job_for(1);

    (void)state;
    settle(job, OUTCOME_FAILED, "5.3.2", true);
    settle(job, OUTCOME_DEFERRED, "4.4.1", true);
    assert_string_equal(job->results[0].status, "4.4.1");
    settle(job, OUTCOME_FAILED, "5.4.4", true);
    assert_string_equal(job->results[0].status, "4.4.1");
    settle(job, OUTCOME_FAILED, "5.1.1", false); /* a refusal of the recipient is another matter */
    assert_string_equal(job->results[0].status, "5.1.1");
    job_free(&job);
}

static void hosts_that_all_say_never_fail_the_mail(void **state)
{
    struct job *job = job_for(1);

    (void)state;
    settle(job, OUTCOME_FAILED, "5.3.2", true);
    settle(job, OUTCOME_FAILED, "5.4.4", true);
    job_close(job);
    assert_int_equal(job->results[0].kind, OUTCOME_FAILED);
    assert_int_equal(job->results[0].state, RECIPIENT_SETTLED);
    job_free(&job);
}

static void reopening_leaves_the_settled_alone(void **state)
{
    struct job *job = job_for(3);

    (void)state;
    job->results[0].state = RECIPIENT_ACCEPTED;
    job->results[1].state = RECIPIENT_SETTLED;
    job_reopen(job);
    assert_int_equal(job->results[0].state, RECIPIENT_OPEN);
    assert_int_equal(job->results[1].state, RECIPIENT_SETTLED);
    assert_int_equal(job_open_count(job), 2);
    job_free(&job);
}

static void ending_and_closing_leave_nothing_open(void **state)
{
    struct job *job = job_for(3);
    struct outcome o = outcome_of(OUTCOME_DEFERRED, "4.4.3", true);

    (void)state;
    job->results[2].state = RECIPIENT_ACCEPTED;
    job_end(job, &o, SPAN("no route"), false);
    assert_int_equal(job_open_count(job), 0);
    assert_string_equal(job->results[2].reply, "no route");
    job_free(&job);
    job = job_for(1);
    job_close(job);
    assert_int_equal(job->results[0].kind, OUTCOME_DEFERRED);
    assert_true(job->results[0].reply[0] != '\0');
    job_free(&job);
}

static void record_does_not_grow_without_bound(void **state)
{
    struct job *job = job_for(1);

    (void)state;
    for (int i = 0; i < 10 * JOB_CANDIDATES_MAX; i++)
        job_add_candidate(job, "mx.example.net")->verdict = "no connection";
    assert_int_equal(job->candidate_count, JOB_CANDIDATES_MAX);
    job_free(&job);
}

static void texts_of_any_length_are_kept(void **state)
{
    struct job *job = job_for(1);
    char text[5000];
    const char *kept[20];

    (void)state;
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < 20; i++)
        kept[i] = job_keep(job, (struct span){ text, i * 250 });
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(strlen(kept[i]), i * 250);
    job_free(&job);
}

static void assert_text(ProtobufCBinaryData bytes, const char *text)
{
    assert_true(span_equal(span_of_bytes(bytes), span_of(text)));
}

static void check_decision(const Ipc__Decision *decision)
{
    const Ipc__Candidate *candidate = decision->candidates[0];

    assert_int_equal(decision->at_utc_ms, 5);
    assert_int_equal(decision->took_ms, 6);
    assert_text(decision->policy, "sts enforce");
    assert_text(decision->policy_id, "A1");
    assert_int_equal(decision->policy_expires_utc_ms, 9);
    assert_int_equal(decision->n_candidates, 1);
    assert_text(candidate->mx, "mx.example.net");
    assert_text(candidate->address, "192.0.2.1");
    assert_text(candidate->verdict, "delivered");
    assert_text(candidate->tls, "verified");
    assert_text(candidate->tls_version, "TLSv1.3");
    assert_text(candidate->cipher, "TLS_AES_256_GCM_SHA384");
    assert_text(candidate->level_wanted, "verified");
    assert_text(candidate->level, "dane");
    assert_text(candidate->certificate_subject, "CN=mx.example.net");
    assert_text(candidate->certificate_names, "mx.example.net mx2.example.net");
    assert_text(candidate->certificate_issuer, "CN=CA");
    assert_text(candidate->key_sha256, "0102");
    assert_text(candidate->verify_result, "ok");
    assert_text(candidate->tlsa_base, "base.example.net");
    assert_text(candidate->tlsa, "usable");
    assert_text(candidate->tlsa_record, "3 1 1");
    assert_text(candidate->reply, "250 ok");
    assert_text(candidate->group, "x25519");
    assert_text(candidate->auth, "PLAIN");
    assert_text(candidate->next_hop, "relay.example.net");
    assert_int_equal(candidate->certificate_expires_utc_ms, 10);
    assert_true(candidate->resumed);
    assert_text(decision->route, "partner");
}

static void check_outcome(void *ctx, const Ipc__Outcome *outcome)
{
    bool *called = ctx;

    *called = true;
    assert_int_equal(outcome->lease, 7);
    assert_int_equal(outcome->id, 8);
    assert_int_equal(outcome->n_results, 2);
    assert_int_equal(outcome->results[0]->number, 10);
    assert_int_equal(outcome->results[1]->number, 11);
    assert_int_equal(outcome->results[1]->kind, IPC__RESULT_KIND__UNKNOWN_RESULT);
    assert_true(span_equal(span_of_bytes(outcome->results[0]->reply), SPAN("250 ok")));
    check_decision(outcome->decision);
    assert_true(outcome->hop_failed);
}

static void outcome_says_all_to_the_queue(void **state)
{
    struct job *job = job_for(2);
    struct outcome o = outcome_of(OUTCOME_DELIVERED, "2.0.0", false);
    bool called = false;

    (void)state;
    job_settle_one(job, 0, &o, SPAN("250 ok"), true);
    settle(job, OUTCOME_UNKNOWN, "4.4.2", false);
    *job_add_candidate(job, "mx.example.net") = (struct job_candidate){
        .mx = "mx.example.net",
        .address = "192.0.2.1",
        .verdict = "delivered",
        .tls = "verified",
        .tls_version = "TLSv1.3",
        .cipher = "TLS_AES_256_GCM_SHA384",
        .level_wanted = "verified",
        .level = "dane",
        .subject = "CN=mx.example.net",
        .names = "mx.example.net mx2.example.net",
        .issuer = "CN=CA",
        .key_sha256 = "0102",
        .verify_result = "ok",
        .tlsa_base = "base.example.net",
        .tlsa = "usable",
        .tlsa_record = "3 1 1",
        .reply = "250 ok",
        .group = "x25519",
        .auth = "PLAIN",
        .next_hop = "relay.example.net",
        .certificate_expires_utc_ms = 10,
        .resumed = true,
    };
    job->at_utc_ms = 5;
    job->took_ms = 6;
    job->policy = "sts enforce";
    job->policy_id = "A1";
    job->route = "partner";
    job->policy_expires_utc_ms = 9;
    job->hop_failed = true;
    job_outcome(job, check_outcome, &called);
    assert_true(called);
    job_free(&job);
}

static void check_relief(void *ctx, const Ipc__Outcome *outcome)
{
    assert_text(outcome->decision->relief, ctx);
    assert_false(outcome->decision->relief_needed);
}

static void the_record_says_what_lets_it_go(void **state)
{
    char header[] = "TLS-Required: No", report[] = "TLS report", none[] = "";
    struct job *job = job_for(1);

    (void)state;
    job->policy = job->route = job->policy_id = job->policy_trouble = "";
    job_close(job);
    job_outcome(job, check_relief, none);
    job->relief.kind = RELIEF_FULL;
    job_outcome(job, check_relief, header);
    job->envelope.tls_report = true;
    job_outcome(job, check_relief, report);
    job_free(&job);
}

static void check_probe(void *ctx, const Ipc__Outcome *outcome)
{
    *(Ipc__ResultKind *)ctx = outcome->results[0]->kind;
}

static void refusal_before_rcpt_tells_nothing_of_a_mailbox(void **state)
{
    (void)state;
    for (int answered = 0; answered < 2; answered++) {
        struct job *job = job_for(1);
        Ipc__ResultKind kind = IPC__RESULT_KIND__RETURNED;
        job->is_probe = true;
        job->was_answered = answered == 1;
        settle(job, OUTCOME_FAILED, "5.7.1", false);
        job_outcome(job, check_probe, &kind);
        assert_int_equal(kind, answered ? IPC__RESULT_KIND__FAILED : IPC__RESULT_KIND__DEFERRED);
        job_free(&job);
    }
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("signatures count for the size, and the record names who signed",
          signatures_count_and_are_told_of),
        T("a job without recipients is no job", job_without_recipients_is_none),
        T("a final result settles its recipient alone", final_result_settles),
        T("a result that another host may better stays open",
          result_that_may_be_bettered_elsewhere_stays_open),
        T("one host's never does not outweigh another's not now",
          one_hosts_never_does_not_outweigh_anothers_not_now),
        T("hosts that all say never fail the mail", hosts_that_all_say_never_fail_the_mail),
        T("reopening leaves the settled alone", reopening_leaves_the_settled_alone),
        T("ending and closing leave nothing open", ending_and_closing_leave_nothing_open),
        T("a refusal before RCPT tells a probe nothing of the mailbox",
          refusal_before_rcpt_tells_nothing_of_a_mailbox),
        T("the record does not grow without bound", record_does_not_grow_without_bound),
        T("texts of any length are kept", texts_of_any_length_are_kept),
        T("the record says what lets it go whatever a policy asks",
          the_record_says_what_lets_it_go),
        T("the outcome says all to the queue", outcome_says_all_to_the_queue),
    };

    return cmocka_run_group_tests_name("job", tests, NULL, NULL);
}
