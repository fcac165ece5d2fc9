#include "queue/deliver/dialogue_private.h"

#include "lib/base/clock.h"

#include <stdio.h>
#include <string.h>

/*
 * The message itself.  To a host with CHUNKING it goes in chunks (RFC 3030), each behind a BDAT
 * that says its size: as many of the queue's chunks as are at hand, half a window of them or the
 * rest. They are pipelined where that is offered; every chunk has an answer of its own, and the
 * first that is a refusal counts.  To all others it goes behind DATA, with its dots doubled.  Its
 * DKIM-Signature fields, which came with the job, stand in front of it (rfc/dkim.md DKIM-6).
 */
enum {
    BDAT_CHUNKS = CONTENT_WINDOW_CHUNKS / 2,
};

bool dialogue_says_bdat(const struct dialogue *d)
{
    return d->offered.chunking && !d->plan.no_chunking;
}

void dialogue_more_content(void *ctx)
{
    struct dialogue *d = ctx;

    dialogue_hold(d);
    dialogue_pump(d);
    dialogue_release(d);
}

/* --- sending */

static void write_content(void *ctx, struct span content)
{
    struct dialogue *d = ctx;

    stream_write(d->stream, content);
}

void say_content(struct dialogue *d)
{
    if (dialogue_says_bdat(d))
        data_writer_init_plain(&d->writer, write_content, d);
    else
        data_writer_init(&d->writer, write_content, d);
    if (!d->job->content.running) /* neither a group nor DATA came before */
        content_start(&d->job->content, dialogue_more_content, d);
    d->sending = true;
    dialogue_pump(d);
}

/* Our own trouble: the connection is cut before the final dot, so that nothing of it is taken. */
static void content_is_bad(struct dialogue *d)
{
    bool damaged = d->job->content.damaged;
    struct outcome o = { .kind = damaged ? OUTCOME_DEFERRED : OUTCOME_FAILED, .hang_up = true };
    char words[80];
    int len;

    strcpy(o.status, damaged ? "4.3.0" : "5.6.0");
    len = damaged ? snprintf(words, sizeof(words), "the stored message is damaged")
                  : snprintf(words, sizeof(words), "the message holds a %s",
                             data_fault_name(d->writer.fault));
    dialogue_give_up(d,
                     (struct dialogue_end){
                         .stage = STAGE_CONTENT, .outcome = o, .words = { words, (size_t)len } },
                     false);
}

/*
 * Design.md section 10: the next message's commands leave in the same write as this one's end.
 * Behind a chunk RSET stands before them: should it be refused, its transaction is still open.
 */
static void say_next_along(struct dialogue *d)
{
    if (!d->offered.pipelining || !dialogue_has_room(d, 2))
        return;
    d->next_job = d->events->next(d->ctx, d);
    if (!d->next_job)
        return;
    dialogue_mark_recipients(d, d->next_job);
    d->next_said = !dialogue_unfit(d, d->next_job) && !dialogue_has_nobody(d->next_job) &&
                   !d->next_job->is_probe;
    if (!d->next_said)
        return;
    d->dirty = dialogue_says_bdat(d);
    if (d->dirty)
        dialogue_say(d, "RSET\r\n");
    dialogue_put_group(d, d->next_job);
}

/* All of it is out, the final dot or the last chunk with it. */
static void content_ends(struct dialogue *d)
{
    size_t pending = stream_pending(d->stream);

    d->sending = false;
    d->dirty = false;
    d->job->dot_is_out = true;
    stream_deadline(d->stream, dialogue_wait_ms(d, WAIT_END));
    say_next_along(d);
    d->behind_dot = stream_pending(d->stream) - pending;
}

/* What stands in front of the content: nothing, once something is out. */
static struct span signatures_due(const struct dialogue *d)
{
    return d->writer.bytes == 0 ? d->job->signatures : (struct span){ NULL, 0 };
}

/* Hands so many chunks to the writer, signatures first; false when one is not fit to leave. */
static bool put_content(struct dialogue *d, unsigned chunks)
{
    struct content *content = &d->job->content;
    struct span signatures = signatures_due(d);
    struct span chunk;

    if (signatures.len > 0 && data_writer_put(&d->writer, signatures) != DATA_CLEAN)
        return false;
    while (chunks-- > 0 && content_peek(content, &chunk)) {
        if (data_writer_put(&d->writer, chunk) != DATA_CLEAN)
            return false;
        content_next(content);
    }
    return true;
}

/* --- behind DATA */

static bool pump_lines(struct dialogue *d)
{
    while (stream_pending(d->stream) < DIALOGUE_BLOCK_SIZE && !list_empty(&d->job->content.kept))
        if (!put_content(d, 1))
            return false;
    if (!content_at_end(&d->job->content))
        return true;
    if (data_writer_finish(&d->writer) != DATA_CLEAN)
        return false;
    d->owed++;
    content_ends(d);
    return true;
}

/* --- in chunks */

/* May the next chunk leave?  Without PIPELINING the one before is answered first. */
static bool is_chunk_due(const struct dialogue *d, const struct content_block *block)
{
    if (!d->sending || (!block->is_end && block->chunks < BDAT_CHUNKS))
        return false;
    if (d->chunks_owed > 0 && !d->offered.pipelining)
        return false;
    return stream_pending(d->stream) <= DIALOGUE_BLOCK_SIZE / 2;
}

/* A last line that has no end gets one.  Content with a fault is short of what BDAT promises. */
static bool put_chunk(struct dialogue *d, const struct content_block *block)
{
    bool in_line = block->len > 0 ? block->last != '\n' : data_writer_is_in_line(&d->writer);
    size_t line_end = block->is_end && in_line ? strlen("\r\n") : 0;
    size_t len = signatures_due(d).len + block->len + line_end;

    dialogue_say(d, "BDAT %zu%s\r\n", len, block->is_end ? " LAST" : "");
    d->chunks_owed++;
    if (!put_content(d, block->chunks))
        return false;
    if (!block->is_end)
        return true;
    if (data_writer_finish(&d->writer) != DATA_CLEAN)
        return false;
    content_ends(d);
    return true;
}

static bool pump_chunks(struct dialogue *d)
{
    struct content_block block = content_ready(&d->job->content, BDAT_CHUNKS);

    while (is_chunk_due(d, &block)) {
        if (!put_chunk(d, &block))
            return false;
        block = content_ready(&d->job->content, BDAT_CHUNKS);
    }
    return true;
}

void dialogue_pump(struct dialogue *d)
{
    bool fine;

    if (d->dead || d->phase != PH_CONTENT || !d->sending)
        return;
    dialogue_wait(d, WAIT_BLOCK);
    fine = dialogue_says_bdat(d) ? pump_chunks(d) : pump_lines(d);
    if (!fine || d->job->content.damaged)
        content_is_bad(d);
}

/* --- the answers */

/* What is not even out is not what the server answers. */
bool content_is_early(const struct dialogue *d)
{
    if (d->sending)
        return d->chunks_owed == 0;
    return d->job->dot_is_out && d->chunks_owed <= 1 && stream_pending(d->stream) > d->behind_dot;
}

/* An answer to what was not yet asked: never taken for acceptance. */
enum phase content_interrupted(struct dialogue *d, const struct reply *reply)
{
    struct reply_facts facts = dialogue_facts_of(d, STAGE_CONTENT, reply);
    struct dialogue_end end = { .stage = STAGE_CONTENT,
                                .outcome = outcome_of_reply(facts),
                                .words = dialogue_words(d, reply),
                                .remote = true };

    return dialogue_give_up(d, end, false);
}

/* It offered CHUNKING and does not know BDAT: what else it reads in the message nobody can say. */
static enum phase bdat_unknown(struct dialogue *d, const struct reply *reply)
{
    struct dialogue_end end = { .stage = STAGE_DATA,
                                .outcome = outcome_of_loss(STAGE_DATA, LOSS_PROTOCOL),
                                .words = dialogue_words(d, reply),
                                .remote = true,
                                .no_chunking = true };

    return dialogue_give_up(d, end, false);
}

static bool is_unknown_command(const struct reply *reply)
{
    return reply_is(reply, 500) || reply_is(reply, 502) || reply_is(reply, 504);
}

/* No further chunk follows; those that have left are answered, too (RFC 3030 s.2). */
static void refuse_message(struct dialogue *d, const struct reply *reply)
{
    struct outcome o = outcome_of_reply(dialogue_facts_of(d, STAGE_DATA, reply));

    dialogue_note_refusal(d, STAGE_DATA, reply);
    d->chunk_refused = d->dirty = true;
    d->sending = false;
    content_stop(&d->job->content);
    job_settle(d->job, RECIPIENT_ACCEPTED, &o, dialogue_words(d, reply), true);
}

/* One of the chunks before the last, or what comes of a message that was refused already. */
static enum phase chunk_answered(struct dialogue *d, const struct reply *reply)
{
    if (!reply_is_positive(reply) && !d->chunk_refused)
        refuse_message(d, reply);
    if (d->chunk_refused && d->chunks_owed == 0)
        return dialogue_transaction_over(d);
    dialogue_pump(d);
    return PH_STAY;
}

static bool is_before_the_end(const struct dialogue *d)
{
    return d->sending || d->chunks_owed > 0 || d->chunk_refused;
}

enum phase content_answered(struct dialogue *d, const struct reply *reply)
{
    bool is_bdat = dialogue_says_bdat(d);
    struct outcome o;

    if (is_bdat && is_unknown_command(reply) && !d->chunk_refused)
        return bdat_unknown(d, reply);
    if (reply_is_intermediate(reply))
        return dialogue_nonsense(d, d->job->dot_is_out ? STAGE_DOT : STAGE_CONTENT, reply);
    if (is_bdat && d->chunks_owed > 0)
        d->chunks_owed--;
    if (is_before_the_end(d))
        return chunk_answered(d, reply);
    dialogue_note_refusal(d, STAGE_DOT, reply);
    o = outcome_of_reply(dialogue_facts_of(d, STAGE_DOT, reply));
    o.without_dsn = o.kind == OUTCOME_DELIVERED && !d->offered.dsn;
    d->dirty = d->dirty || (is_bdat && o.kind != OUTCOME_DELIVERED);
    job_settle(d->job, RECIPIENT_ACCEPTED, &o, dialogue_words(d, reply), true);
    return dialogue_transaction_over(d);
}
