#include "queue/deliver/job.h"

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/base/settings.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/envelope_codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOB_CHUNKS_MAX = 1 << 20 };

/* Texts that live as long as the job: a few blocks, each filled from the front. */
struct job_words {
    struct job_words *older;
    size_t used;
    size_t size;
    char text[];
};
enum { WORDS_BLOCK_SIZE = 1000 };

struct job *job_new(const Ipc__Job *message, const struct content_source *source)
{
    struct job *job = memory_new(sizeof(*job));

    list_init(&job->others);
    envelope_init(&job->envelope);
    content_init(&job->content, source, message->lease, message->chunks);
    if (!envelope_from_message(message->envelope, &job->envelope) ||
        job->envelope.recipient_count == 0 || message->chunks > JOB_CHUNKS_MAX) {
        job_free(&job);
        return NULL;
    }
    job->lease = message->lease;
    job->id = message->id;
    job->size = message->size + message->signatures.len;
    job->chunks = message->chunks;
    job->eight_bit = message->eight_bit;
    job->skip_policy = message->skip_policy;
    job->is_probe = message->probe;
    job->last_attempt = message->last_attempt;
    job->is_first_try = message->attempts == 0;
    job->policy = job->policy_id = job->policy_trouble = job->route = "";
    job->signatures.data = job_keep(job, span_of_bytes(message->signatures));
    job->signatures.len = message->signatures.len;
    job->signed_by = job_keep(job, span_of_bytes(message->signed_by));
    job->unsigned_because = job_keep(job, span_of_bytes(message->unsigned_because));
    job->at_utc_ms = clock_utc_ms();
    job->results = memory_new_array(job->envelope.recipient_count, sizeof(*job->results));
    return job;
}

void job_free(struct job **job)
{
    struct job *j = *job;

    if (!j)
        return;
    list_remove(&j->others);
    content_clear(&j->content);
    envelope_clear(&j->envelope);
    free(j->results);
    free(j->candidates);
    while (j->words) {
        struct job_words *older = j->words->older;
        free(j->words);
        j->words = older;
    }
    free(j);
    *job = NULL;
}

bool job_requires_tls(const struct job *job)
{
    return job->envelope.requiretls && job->envelope.reverse_path.text[0] != '\0';
}

/* REQUIRETLS on MAIL takes the header's word away. */
bool job_says_tls_required_no(const struct job *job)
{
    return job->envelope.tls_required_no && !job->envelope.requiretls;
}

bool job_is_report(const struct job *job)
{
    return job->envelope.tls_report;
}

bool job_may_skip_policy(const struct job *job)
{
    return job->skip_policy && !job_requires_tls(job);
}

static struct job_words *words_room(struct job *job, size_t len)
{
    struct job_words *block = job->words;
    size_t size = len > WORDS_BLOCK_SIZE ? len : WORDS_BLOCK_SIZE;

    if (block && block->size - block->used >= len)
        return block;
    block = memory_new(sizeof(*block) + size);
    block->size = size;
    block->older = job->words;
    job->words = block;
    return block;
}

const char *job_keep(struct job *job, struct span text)
{
    struct job_words *block;
    char *kept;

    if (text.len == 0)
        return "";
    block = words_room(job, text.len + 1);
    kept = block->text + block->used;
    memcpy(kept, text.data, text.len);
    kept[text.len] = '\0';
    block->used += text.len + 1;
    return kept;
}

/* --- results */

void job_reopen(struct job *job)
{
    for (unsigned i = 0; i < job->envelope.recipient_count; i++)
        if (job->results[i].state == RECIPIENT_ACCEPTED)
            job->results[i].state = RECIPIENT_OPEN;
}

/* One host's "never" does not outweigh another's "not now". */
static bool is_outweighed(const struct job_result *result, const struct outcome *outcome)
{
    return result->is_given && result->kind == OUTCOME_DEFERRED && outcome->elsewhere &&
           outcome->kind == OUTCOME_FAILED;
}

static void result_set(struct job_result *result, const struct outcome *outcome, const char *reply,
                       bool remote)
{
    result->state = outcome->elsewhere || outcome->again ? RECIPIENT_OPEN : RECIPIENT_SETTLED;
    if (is_outweighed(result, outcome))
        return;
    result->is_given = true;
    result->kind = outcome->kind;
    memcpy(result->status, outcome->status, sizeof(result->status));
    result->reply = reply;
    result->remote = remote;
    result->without_dsn = outcome->without_dsn;
}

void job_settle_one(struct job *job, unsigned index, const struct outcome *outcome,
                    struct span words, bool remote)
{
    result_set(&job->results[index], outcome, job_keep(job, words), remote);
}

void job_settle(struct job *job, enum recipient_state state, const struct outcome *outcome,
                struct span words, bool remote)
{
    const char *reply = job_keep(job, words);

    for (unsigned i = 0; i < job->envelope.recipient_count; i++)
        if (job->results[i].state == state)
            result_set(&job->results[i], outcome, reply, remote);
}

void job_end(struct job *job, const struct outcome *outcome, struct span words, bool remote)
{
    struct outcome final = *outcome;

    final.elsewhere = final.again = false;
    job_reopen(job);
    job_settle(job, RECIPIENT_OPEN, &final, words, remote);
}

void job_close(struct job *job)
{
    const struct outcome none = { .kind = OUTCOME_DEFERRED, .status = "4.3.0" };

    for (unsigned i = 0; i < job->envelope.recipient_count; i++) {
        if (!job->results[i].is_given) /* nobody was asked about it */
            result_set(&job->results[i], &none, "no host was tried", false);
        job->results[i].state = RECIPIENT_SETTLED;
    }
}

unsigned job_open_count(const struct job *job)
{
    unsigned count = 0;

    for (unsigned i = 0; i < job->envelope.recipient_count; i++)
        count += job->results[i].state == RECIPIENT_OPEN;
    return count;
}

/* --- the decision record */

struct job_candidate *job_add_candidate(struct job *job, const char *mx)
{
    struct job_candidate *candidate;

    if (job->candidate_count == JOB_CANDIDATES_MAX)
        job->candidate_count--;
    job->candidates =
        memory_resize(job->candidates, (job->candidate_count + 1) * sizeof(*job->candidates));
    candidate = &job->candidates[job->candidate_count++];
    *candidate = (struct job_candidate){ .mx = job_keep(job, span_of(mx)),
                                         .address = "",
                                         .verdict = "",
                                         .tls = "",
                                         .tls_version = "",
                                         .cipher = "",
                                         .reply = "",
                                         .group = "",
                                         .auth = "",
                                         .next_hop = "",
                                         .level_wanted = "",
                                         .level = "",
                                         .key_sha256 = "",
                                         .verify_result = "",
                                         .subject = "",
                                         .names = "",
                                         .issuer = "",
                                         .tlsa_base = "",
                                         .tlsa = "",
                                         .tlsa_record = "" };
    return candidate;
}

static const Ipc__ResultKind result_kinds[] = {
    [OUTCOME_DELIVERED] = IPC__RESULT_KIND__DELIVERED,
    [OUTCOME_DEFERRED] = IPC__RESULT_KIND__DEFERRED,
    [OUTCOME_FAILED] = IPC__RESULT_KIND__FAILED,
    [OUTCOME_UNKNOWN] = IPC__RESULT_KIND__UNKNOWN_RESULT,
    [OUTCOME_POLICY_UNKNOWN] = IPC__RESULT_KIND__POLICY_UNKNOWN,
    [OUTCOME_RETURNED] = IPC__RESULT_KIND__RETURNED,
};

static ProtobufCBinaryData text_bytes(const char *text)
{
    return bytes_of_span(span_of(text));
}

/* A refusal before RCPT says nothing about the mailbox that a probe is about. */
static enum outcome_kind kind_of(const struct job *job, const struct job_result *result)
{
    bool is_vain = job->is_probe && !job->was_answered;

    return is_vain && result->kind == OUTCOME_FAILED ? OUTCOME_DEFERRED : result->kind;
}

static void fill_result(Ipc__Result *m, const struct job *job, unsigned i)
{
    const struct job_result *result = &job->results[i];

    ipc__result__init(m);
    m->number = job->envelope.recipients[i].number;
    m->kind = result_kinds[kind_of(job, result)];
    m->status = text_bytes(result->status);
    m->reply = text_bytes(result->reply);
    m->remote = result->remote;
    m->relayed = result->without_dsn;
}

static void fill_candidate(Ipc__Candidate *m, const struct job_candidate *c)
{
    ipc__candidate__init(m);
    m->mx = text_bytes(c->mx);
    m->address = text_bytes(c->address);
    m->verdict = text_bytes(c->verdict);
    m->tls = text_bytes(c->tls);
    m->tls_version = text_bytes(c->tls_version);
    m->cipher = text_bytes(c->cipher);
    m->reply = text_bytes(c->reply);
    m->group = text_bytes(c->group);
    m->certificate_expires_utc_ms = c->certificate_expires_utc_ms;
    m->resumed = c->resumed;
    m->auth = text_bytes(c->auth);
    m->next_hop = text_bytes(c->next_hop);
    m->level_wanted = text_bytes(c->level_wanted);
    m->level = text_bytes(c->level);
    m->key_sha256 = text_bytes(c->key_sha256);
    m->verify_result = text_bytes(c->verify_result);
    m->certificate_subject = text_bytes(c->subject);
    m->certificate_names = text_bytes(c->names);
    m->certificate_issuer = text_bytes(c->issuer);
    m->tlsa_base = text_bytes(c->tlsa_base);
    m->tlsa = text_bytes(c->tlsa);
    m->tlsa_record = text_bytes(c->tlsa_record);
}

/* One piece of memory for all messages of an outcome. */
struct outcome_room {
    Ipc__Outcome outcome;
    Ipc__Decision decision;
    Ipc__Result *results;
    Ipc__Result **result_at;
    Ipc__Candidate *candidates;
    Ipc__Candidate **candidate_at;
};

static struct outcome_room *room_new(size_t results, size_t candidates)
{
    struct outcome_room *room =
        memory_new(sizeof(*room) + results * (sizeof(Ipc__Result) + sizeof(Ipc__Result *)) +
                   candidates * (sizeof(Ipc__Candidate) + sizeof(Ipc__Candidate *)));

    room->results = (void *)(room + 1);
    room->candidates = (void *)(room->results + results);
    room->result_at = (void *)(room->candidates + candidates);
    room->candidate_at = (void *)(room->result_at + results);
    return room;
}

static const char *relief_words(const struct job *job)
{
    if (job->relief.exception)
        return exception_allow_name(job->relief.exception->allow);
    return job_is_report(job) ? "TLS report" : "TLS-Required: No";
}

static void fill_relief(Ipc__Decision *decision, const struct job *job)
{
    const struct exception_settings *exception = job->relief.exception;

    if (job->relief.kind == RELIEF_NONE)
        return;
    decision->relief = text_bytes(relief_words(job));
    decision->relief_reason = text_bytes(exception ? exception->reason : "");
    decision->relief_domain = text_bytes(exception ? exception->domain : "");
    decision->relief_needed = job->relief_needed;
}

static void fill_decision(struct outcome_room *room, const struct job *job)
{
    Ipc__Decision *decision = &room->decision;

    ipc__decision__init(decision);
    decision->at_utc_ms = job->at_utc_ms;
    decision->policy = text_bytes(job->policy);
    decision->route = text_bytes(job->route);
    decision->policy_id = text_bytes(job->policy_id);
    decision->policy_trouble = text_bytes(job->policy_trouble);
    decision->policy_expires_utc_ms = job->policy_expires_utc_ms;
    decision->took_ms = job->took_ms;
    decision->signed_by = text_bytes(job->signed_by);
    decision->unsigned_because = text_bytes(job->unsigned_because);
    fill_relief(decision, job);
    decision->n_candidates = job->candidate_count;
    decision->candidates = room->candidate_at;
    for (unsigned i = 0; i < job->candidate_count; i++) {
        fill_candidate(&room->candidates[i], &job->candidates[i]);
        room->candidate_at[i] = &room->candidates[i];
    }
}

void job_outcome(const struct job *job, void (*send)(void *ctx, const Ipc__Outcome *outcome),
                 void *ctx)
{
    unsigned count = job->envelope.recipient_count;
    struct outcome_room *room = room_new(count, job->candidate_count);
    Ipc__Outcome *outcome = &room->outcome;

    ipc__outcome__init(outcome);
    outcome->lease = job->lease;
    outcome->id = job->id;
    outcome->hop_failed = job->hop_failed;
    outcome->n_results = count;
    outcome->results = room->result_at;
    for (unsigned i = 0; i < count; i++) {
        fill_result(&room->results[i], job, i);
        room->result_at[i] = &room->results[i];
    }
    fill_decision(room, job);
    outcome->decision = &room->decision;
    send(ctx, outcome);
    free(room);
}
