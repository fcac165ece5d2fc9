#include "lib/mail/data_writer.h"

#include "lib/mail/clean_lines.h"

enum state {
    STATE_LINE_START, /* behind CRLF, or at the very beginning */
    STATE_IN_LINE,
    STATE_CR, /* a CR's LF is still to come; till then it is held back */
};

void data_writer_init(struct data_writer *writer, data_emit_fn *emit, void *ctx)
{
    *writer = (struct data_writer){ .emit = emit, .ctx = ctx, .state = STATE_LINE_START };
}

void data_writer_init_plain(struct data_writer *writer, data_emit_fn *emit, void *ctx)
{
    data_writer_init(writer, emit, ctx);
    writer->plain = true;
}

static void hand_on(struct data_writer *writer, struct span run)
{
    if (run.len == 0)
        return;
    writer->bytes += run.len;
    writer->emit(writer->ctx, run);
}

/* What stands before `end` is handed on; the fault stands behind it. */
static void refuse(struct data_writer *writer, struct span content, size_t run, size_t end,
                   enum data_fault fault)
{
    hand_on(writer, (struct span){ content.data + run, end - run });
    writer->fault = fault;
}

/* The LF of a CR at the end of the last piece, where it was held back, but in plain form. */
static size_t finish_line_end(struct data_writer *writer, struct span content)
{
    if (content.data[0] != '\n') {
        writer->fault = DATA_BARE_CR;
        return 0;
    }
    hand_on(writer, writer->plain ? SPAN("\n") : SPAN("\r\n"));
    writer->state = STATE_LINE_START;
    return 1;
}

/* Goes to the end of the line that begins or goes on at `at`; gives where the next begins. */
static size_t check_line(struct data_writer *writer, struct span content, size_t run, size_t at)
{
    struct span rest = span_from(content, at);
    size_t cr = span_find(rest, '\r');
    size_t lf = span_find(span_first(rest, cr), '\n');
    size_t nul = span_find(span_first(rest, lf), '\0');

    writer->state = STATE_IN_LINE;
    if (nul < lf) {
        refuse(writer, content, run, at + nul, DATA_NUL);
    } else if (lf < cr) {
        refuse(writer, content, run, at + lf, DATA_BARE_LF);
    } else if (cr + 1 < rest.len) {
        writer->state = STATE_LINE_START;
        if (rest.data[cr + 1] != '\n')
            refuse(writer, content, run, at + cr, DATA_BARE_CR);
    } else if (cr < rest.len) {
        writer->state = STATE_CR;
    }
    return cr + 1 < rest.len ? at + cr + 2 : content.len;
}

/* Goes over content line by line. */
static void put_lines(struct data_writer *writer, struct span content, size_t at)
{
    size_t run = at; /* where what is not yet handed on begins */

    while (at < content.len && writer->fault == DATA_CLEAN) {
        if (writer->state == STATE_LINE_START)
            at += clean_lines_of(span_from(content, at), writer->plain ? "" : ".").len;
        if (at == content.len)
            break;
        if (writer->state == STATE_LINE_START && content.data[at] == '.' && !writer->plain) {
            hand_on(writer, (struct span){ content.data + run, at - run });
            hand_on(writer, SPAN("."));
            run = at;
        }
        at = check_line(writer, content, run, at);
    }
    if (writer->fault != DATA_CLEAN)
        return;
    if (writer->state == STATE_CR && !writer->plain)
        at--;
    hand_on(writer, (struct span){ content.data + run, at - run });
}

enum data_fault data_writer_put(struct data_writer *writer, struct span content)
{
    size_t at = 0;

    if (writer->fault != DATA_CLEAN || content.len == 0)
        return writer->fault;
    if (writer->state == STATE_CR)
        at = finish_line_end(writer, content);
    if (writer->fault == DATA_CLEAN)
        put_lines(writer, content, at);
    return writer->fault;
}

bool data_writer_is_in_line(const struct data_writer *writer)
{
    return writer->state != STATE_LINE_START;
}

enum data_fault data_writer_finish(struct data_writer *writer)
{
    bool is_ended = writer->state == STATE_LINE_START;

    if (writer->fault == DATA_CLEAN && writer->state == STATE_CR)
        writer->fault = DATA_BARE_CR;
    if (writer->fault != DATA_CLEAN)
        return writer->fault;
    if (writer->plain)
        hand_on(writer, is_ended ? SPAN("") : SPAN("\r\n"));
    else
        hand_on(writer, is_ended ? SPAN(".\r\n") : SPAN("\r\n.\r\n"));
    writer->state = STATE_LINE_START;
    return DATA_CLEAN;
}
