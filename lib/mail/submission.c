#include "lib/mail/submission.h"

void submission_begin(struct submission *s, struct span commands, bool all_or_none,
                      submission_refused_fn *on_refused, void *ctx)
{
    *s = (struct submission){
        .rest = commands,
        .all_or_none = all_or_none,
        .on_refused = on_refused,
        .ctx = ctx,
    };
}

static enum submission_step failure(const struct reply *reply)
{
    return reply_is_permanent(reply) ? SUBMISSION_REFUSED : SUBMISSION_LATER;
}

static enum submission_step say(struct submission *s, enum submission_stage stage,
                                struct span words, struct span *out_words)
{
    s->stage = stage;
    *out_words = words;
    return SUBMISSION_SAY;
}

/* The next command of the envelope, or DATA behind the last. */
static enum submission_step say_next(struct submission *s, struct span *out_words)
{
    size_t end = span_find(s->rest, '\n');

    if (s->rest.len > 0) {
        s->said = span_first(s->rest, end);
        s->rest = span_from(s->rest, end + 1);
        return say(s, SUBMISSION_COMMANDS, s->said, out_words);
    }
    if (s->accepted == 0 || (s->all_or_none && s->refused > 0))
        return SUBMISSION_REFUSED;
    return say(s, SUBMISSION_DATA, SPAN("DATA"), out_words);
}

/* MAIL has to be taken, and no RCPT may have to wait; one that is refused may be one of many. */
static enum submission_step take_command(struct submission *s, const struct reply *reply,
                                         struct span *out_words)
{
    if (!span_starts_with(s->said, SPAN("RCPT"))) {
        if (!reply_is_positive(reply))
            return failure(reply);
    } else if (reply_is_positive(reply)) {
        s->accepted++;
    } else if (reply_is_permanent(reply)) {
        s->refused++;
        s->on_refused(s->ctx, s->said, reply);
    } else {
        return SUBMISSION_LATER;
    }
    return say_next(s, out_words);
}

enum submission_step submission_take(struct submission *s, const struct reply *reply,
                                     struct span *out_words)
{
    switch (s->stage) {
    case SUBMISSION_GREETING: /* whatever it is refused for, it is not the message */
        if (!reply_is_positive(reply))
            return SUBMISSION_LATER;
        return say(s, SUBMISSION_EHLO, SPAN("EHLO localhost"), out_words);
    case SUBMISSION_EHLO:
        return reply_is_positive(reply) ? say_next(s, out_words) : SUBMISSION_LATER;
    case SUBMISSION_COMMANDS:
        return take_command(s, reply, out_words);
    case SUBMISSION_DATA:
        s->stage = SUBMISSION_END;
        return reply_is(reply, 354) ? SUBMISSION_CONTENT : failure(reply);
    case SUBMISSION_END:
        return reply_is_positive(reply) ? SUBMISSION_TAKEN : failure(reply);
    }
    return SUBMISSION_LATER;
}
