#include "lib/mail/data_stream.h"

#include "lib/mail/clean_lines.h"

#include <string.h>

enum state {
    STATE_LINE_START, /* behind CRLF, or at the very beginning */
    STATE_IN_LINE,
    STATE_CR,     /* a CR has come: LF must follow */
    STATE_DOT,    /* a dot at the line's start: stuffed, or the end's */
    STATE_DOT_CR, /* dot and CR: LF would end the data */
};

const char *data_fault_name(enum data_fault fault)
{
    static const char *const names[] = {
        [DATA_CLEAN] = "",
        [DATA_BARE_CR] = "bare CR",
        [DATA_BARE_LF] = "bare LF",
        [DATA_NUL] = "NUL",
    };

    return names[fault];
}

void data_stream_init(struct data_stream *data, data_emit_fn *emit, void *ctx)
{
    *data = (struct data_stream){
        .in_header = true,
        .emit = emit,
        .ctx = ctx,
        .state = STATE_LINE_START,
    };
}

void data_stream_init_chunked(struct data_stream *data, data_emit_fn *emit, void *ctx)
{
    data_stream_init(data, emit, ctx);
    data->is_chunked = true;
}

void data_stream_mend(struct data_stream *data)
{
    data->mends = true;
}

void data_stream_end(struct data_stream *data)
{
    if (data->state == STATE_CR && data->fault == DATA_CLEAN)
        data->fault = DATA_BARE_CR;
    data->ended = true;
}

/* Is there a byte above 127?  Eight at a time. */
static bool has_eight_bit(struct span s)
{
    uint64_t seen = 0;
    size_t i = 0;

    for (; i + sizeof(seen) <= s.len; i += sizeof(seen)) {
        uint64_t word;
        memcpy(&word, s.data + i, sizeof(word));
        seen |= word;
    }
    for (; i < s.len; i++)
        seen |= (unsigned char)s.data[i];
    return (seen & UINT64_C(0x8080808080808080)) != 0;
}

/* Hands on a run of content, as far as there is no fault. */
static void hand_on(struct data_stream *data, struct span run)
{
    size_t clean;

    data->bytes += run.len;
    if (data->fault != DATA_CLEAN || run.len == 0)
        return;
    clean = span_find(run, '\0');
    if (clean < run.len)
        data->fault = DATA_NUL;
    run = span_first(run, clean);
    if (run.len == 0)
        return;
    data->eight_bit = data->eight_bit || has_eight_bit(run);
    data->emit(data->ctx, run);
}

/* Notes the fault that stands behind a run. */
static void refuse(struct data_stream *data, struct span run, enum data_fault fault)
{
    hand_on(data, run);
    if (data->fault == DATA_CLEAN)
        data->fault = fault;
}

/* Counts bytes of the line begun, and remembers its first ones: it may be a header field. */
static void count_in_line(struct data_stream *data, struct span part)
{
    if ((data->in_header || data->in_part) && !data->eight_bit_header)
        data->eight_bit_header = has_eight_bit(part);
    if (data->in_header)
        tls_required_take(&data->tls_required, part);
    if (data->line_bytes < DATA_FIELD_NAME_SIZE) {
        size_t have = (size_t)data->line_bytes;
        size_t room = DATA_FIELD_NAME_SIZE - have;
        memcpy(data->name + have, part.data, part.len < room ? part.len : room);
    }
    data->line_bytes += part.len;
    if (data->line_bytes > data->longest_line)
        data->longest_line = data->line_bytes;
}

static void count_header_line(struct data_stream *data)
{
    struct span name = { data->name, DATA_FIELD_NAME_SIZE };

    data->header_bytes += data->line_bytes + 2;
    tls_required_end_line(&data->tls_required);
    if (data->line_bytes == 0)
        data->in_header = false;
    else if (data->line_bytes >= name.len && span_equal_nocase(name, SPAN("Received:")))
        data->received++;
}

/*
 * The header of a MIME part begins behind a boundary (RFC 2046 s.5.1.1) and ends with an empty
 * line.  Which lines are boundaries only their header says, so each that could be one counts; the
 * "-- " above a signature could not.
 */
static void count_body_line(struct data_stream *data)
{
    if (data->line_bytes == 0)
        data->in_part = false;
    else if (data->line_bytes > 2 && memcmp(data->name, "--", 2) == 0)
        data->in_part = data->line_bytes > 3 || data->name[2] != ' ';
}

static void end_line(struct data_stream *data)
{
    data->lines++;
    if (data->in_header)
        count_header_line(data);
    else
        count_body_line(data);
    data->line_bytes = 0;
}

/* A bare LF at `at` becomes the line's CRLF. */
static size_t mend(struct data_stream *data, struct span input, size_t at, size_t *run)
{
    hand_on(data, (struct span){ input.data + *run, at - *run });
    hand_on(data, SPAN("\r\n"));
    data->mended++;
    data->state = STATE_LINE_START;
    data->follows_bare_lf = true;
    end_line(data);
    *run = at + 1;
    return at + 1;
}

/*
 * Goes over the rest of a line, with its CR if that has come.  *run, which is not yet handed on,
 * begins anew behind a bare LF.
 */
static size_t scan_line(struct data_stream *data, struct span input, size_t at, size_t *run)
{
    struct span rest = span_from(input, at);
    size_t len = span_find(rest, '\r');
    size_t bare = span_find(span_first(rest, len), '\n');

    if (bare < len && data->mends) {
        count_in_line(data, span_first(rest, bare));
        return mend(data, input, at + bare, run);
    }
    if (bare < len && data->fault == DATA_CLEAN) {
        refuse(data, (struct span){ input.data + *run, at + bare - *run }, DATA_BARE_LF);
        *run = at + bare;
    }
    count_in_line(data, span_first(rest, len));
    if (len == rest.len)
        return input.len;
    data->state = STATE_CR;
    return at + len + 1;
}

/* The steps below take the byte at `at` or only change the state; each gives where to go on. */

static size_t begin_line(struct data_stream *data, struct span input, size_t at, size_t *run)
{
    data->state = STATE_IN_LINE;
    if (input.data[at] != '.' || data->is_chunked)
        return at;
    hand_on(data, (struct span){ input.data + *run, at - *run });
    data->state = STATE_DOT;
    *run = at + 1;
    return at + 1;
}

static size_t behind_cr(struct data_stream *data, struct span input, size_t at, size_t *run)
{
    if (input.data[at] == '\n') {
        data->state = STATE_LINE_START;
        data->follows_bare_lf = false;
        end_line(data);
        return at + 1;
    }
    refuse(data, (struct span){ input.data + *run, at - *run }, DATA_BARE_CR);
    *run = at;
    count_in_line(data, SPAN("\r"));
    data->state = STATE_IN_LINE;
    return at;
}

/* A dot alone on its line that ends nothing, for a bare LF is beside it: it is content. */
static void keep_dot(struct data_stream *data)
{
    hand_on(data, SPAN("."));
    count_in_line(data, SPAN("."));
}

static size_t behind_dot(struct data_stream *data, struct span input, size_t at, size_t *run)
{
    bool cr = input.data[at] == '\r';

    if (input.data[at] == '\n' && data->mends)
        keep_dot(data);

    data->state = cr ? STATE_DOT_CR : STATE_IN_LINE;
    *run = cr ? at + 1 : at;
    return *run;
}

static size_t behind_dot_cr(struct data_stream *data, struct span input, size_t at, size_t *run)
{
    if (input.data[at] == '\n' && data->follows_bare_lf) {
        keep_dot(data);
        hand_on(data, SPAN("\r\n"));
        data->state = STATE_LINE_START;
        data->follows_bare_lf = false;
        end_line(data);
        *run = at + 1;
        return at + 1;
    }
    if (input.data[at] == '\n') {
        data->ended = true;
        *run = at + 1;
        return at + 1;
    }
    *run = at;
    refuse(data, (struct span){ "", 0 }, DATA_BARE_CR);
    data->bytes++; /* the CR */
    count_in_line(data, SPAN("\r"));
    data->state = STATE_IN_LINE;
    return at;
}

static size_t step(struct data_stream *data, struct span input, size_t at, size_t *run)
{
    switch ((enum state)data->state) {
    case STATE_LINE_START:
        return begin_line(data, input, at, run);
    case STATE_IN_LINE:
        return scan_line(data, input, at, run);
    case STATE_CR:
        return behind_cr(data, input, at, run);
    case STATE_DOT:
        return behind_dot(data, input, at, run);
    case STATE_DOT_CR:
        break;
    }
    return behind_dot_cr(data, input, at, run);
}

/* Lines of the body that need no look at each: most of them (clean_lines.h).  A dot or what may be
 * a MIME boundary does. */
static size_t take_clean_lines(struct data_stream *data, struct span input, size_t at, size_t *run)
{
    if (data->state != STATE_LINE_START || data->in_header || data->in_part || data->mends ||
        data->fault != DATA_CLEAN)
        return at;
    struct clean_lines lines = clean_lines_of(span_from(input, at), data->is_chunked ? "-" : ".-");
    if (lines.len == 0)
        return at;
    hand_on(data, (struct span){ input.data + *run, at - *run });
    *run = at;
    if (data->fault != DATA_CLEAN)
        return at; /* it was in the run */
    data->lines += lines.lines;
    if (lines.longest > data->longest_line)
        data->longest_line = lines.longest;
    data->eight_bit = data->eight_bit || lines.eight_bit;
    data->bytes += lines.len;
    data->emit(data->ctx, (struct span){ input.data + at, lines.len });
    *run = at + lines.len;
    return *run;
}

size_t data_stream_take(struct data_stream *data, struct span input)
{
    size_t run = 0; /* where what is not yet handed on begins */
    size_t at = 0;

    while (at < input.len && !data->ended) {
        at = take_clean_lines(data, input, at, &run);
        if (at < input.len)
            at = step(data, input, at, &run);
    }
    if (run < at)
        hand_on(data, (struct span){ input.data + run, at - run });
    return at;
}
