/*
 * fuzz_session - a whole session with a fake queue: whatever a client sends, in whatever pieces,
 * every reply is well-formed, nothing goes to the queue but within DATA, and no session is left.
 * Input: a byte for the size of the pieces, a byte for the queue's mood and the listener's duties,
 * then what the client says.
 */
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "tests/support/smtpd/session_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const size_t pieces[] = { 1, 2, 3, 7, 64, 1000, 65536, 1 };
static const enum accept_outcome outcomes[] = { ACCEPT_DONE, ACCEPT_FULL, ACCEPT_TROUBLE,
                                                ACCEPT_LOST };

/* The listener does all that it may do to a message. */
static void give_duties(struct rig *rig)
{
    struct listener_settings *listener = &rig->settings.listeners[0];

    listener->submission_fixes = SWITCH_ON;
    listener->complete_addresses = SWITCH_ON;
    listener->remove_headers = (struct field_names){ .items = { "X" }, .count = 1 };
    strcpy(listener->copy_to, "journal@example.org");
    rig->settings.rewrites = (struct rewrite_list){
        .items = { { "a@b.lan", "c@e.test" }, { ".lan", "e.test" } },
        .count = 2,
    };
}

static void mend_lines(struct rig *rig)
{
    struct network_list *networks = &rig->settings.listeners[0].normalise_from;

    networks->items[0] = rig->settings.listeners[0].relay_from.items[0];
    networks->count = 1;
}

/* It may speak for others. */
static void trust_client(struct rig *rig)
{
    struct network_list *networks = &rig->settings.listeners[0].xclient_from;

    networks->items[0] = rig->settings.listeners[0].relay_from.items[0];
    networks->count = 1;
}

static void run_once(struct rig *rig)
{
    loop_timer_start(rig->patience, 0);
    loop_run(rig->loop);
}

static void check_line(struct span line)
{
    uint64_t code;

    ensure(line.len >= 4 && line.data[line.len - 1] == '\r');
    ensure(span_to_number(span_first(line, 3), 599, &code) && code >= 200);
    ensure(line.data[3] == ' ' || line.data[3] == '-');
    ensure(span_is_printable(span_first(line, line.len - 1)));
}

static void check_replies(struct rig *rig)
{
    struct span heard = buf_span(&rig->heard);
    struct span line;

    ensure(heard.len == 0 || heard.data[heard.len - 1] == '\n');
    while (heard.len > 0 && span_cut(&heard, '\n', &line))
        if (line.data && line.len > 0)
            check_line(line);
}

static void check_queue(void)
{
    ensure(fake_queue.ended + fake_queue.aborted <= fake_queue.begun);
    for (size_t i = 0; i < buf_len(&fake_queue.content); i++)
        ensure(fake_queue.content.base[fake_queue.content.start + i] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rig rig;

    if (size < 2)
        return 0;
    rig_init(&rig);
    log_open(rig.log_fd, LOG_ERROR, "fuzz");
    fake_queue.outcome = outcomes[data[1] % 4];
    fake_queue.window = data[1] & 4 ? 5 : STREAM_WINDOW;
    if (data[1] & 16)
        give_duties(&rig);
    if (data[1] & 32)
        mend_lines(&rig);
    if (data[1] & 64)
        trust_client(&rig);
    rig_open(&rig, data[1] & 8 ? "198.51.100.1" : "192.0.2.7");
    run_once(&rig);
    struct span rest = { (const char *)data + 2, size - 2 };
    while (rest.len > 0 && !rig.hung_up) {
        struct span piece = span_first(rest, pieces[data[0] % 8]);
        rig_say_bytes(&rig, piece);
        rest = span_from(rest, piece.len);
        run_once(&rig);
    }
    for (int i = 0; i < 3; i++)
        run_once(&rig);
    check_replies(&rig);
    check_queue();
    session_host_clear(&rig.host);
    ensure(rig.host.session_count == 0 && !fake_queue_is_busy());
    rig_close(&rig);
    return 0;
}
