#include "queue/control.h"

#include <stdlib.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "queue/store_manage.h"
#include "queue/store_read.h"

enum {
    PAGE_ROWS = 500,
    PAGE_BYTES = 16 * 1024 * 1024,
    PLACE_SIZE = HOP_NAME_MAX + 1,
    PAGE_PAUSE_MS = 5, /* between pages of a long list: mail comes first */
};

static void fail(struct role_request **request, struct error **err)
{
    role_reply_failed(request, error_text(*err));
    error_free(err);
}

static void reply_json(struct role_request **request, struct json **value, bool last)
{
    struct buf text;

    buf_init(&text, PAGE_BYTES);
    if (json_write(*value, JSON_ON_ONE_LINE, &text))
        role_reply(request, buf_span(&text), last);
    else
        role_reply_failed(request, "the answer is too long");
    buf_clear(&text);
    json_free(value);
}

/* ---- lists: what they are of ---------------------------------------------------------------- */

/* Appends rows from a place on, and moves it behind them.  The empty place is the beginning. */
typedef struct error *list_read_fn(struct store *store, char place[PLACE_SIZE], size_t most,
                                   struct json *array, bool *out_more);

struct list_kind {
    const char *rows; /* what a page calls them */
    bool (*is_place)(struct span text);
    list_read_fn *read;
};

/* "3f9c21.7": the row from which a page begins. */
static void place_format(struct row_place place, char text[PLACE_SIZE])
{
    char id[QID_TEXT_SIZE];
    struct buf out;

    qid_format(place.id, id);
    buf_init(&out, PLACE_SIZE - 1);
    ensure(buf_printf(&out, "%s.%u", id, (unsigned)place.number));
    span_to_string(buf_span(&out), text, PLACE_SIZE);
    buf_clear(&out);
}

static bool place_parse(struct span text, struct row_place *out)
{
    struct span id;
    uint64_t number;

    *out = (struct row_place){ 0, 0 };
    if (text.len == 0)
        return true;
    if (!span_cut(&text, '.', &id) || !qid_parse(id, &out->id) ||
        !span_to_number(text, UINT32_MAX, &number))
        return false;
    out->number = (uint32_t)number;
    return true;
}

static bool is_recipient_place(struct span text)
{
    struct row_place place;

    return place_parse(text, &place);
}

static struct error *read_recipients(struct store *store, char place[PLACE_SIZE], size_t most,
                                     struct json *array, bool *out_more)
{
    struct row_place at;

    ensure(place_parse(span_of(place), &at));
    struct error *err = store_list(store, &at, most, array, out_more);
    place_format(at, place);
    return err;
}

static bool is_hop_name(struct span text)
{
    return text.len <= HOP_NAME_MAX;
}

static struct error *read_hops(struct store *store, char place[PLACE_SIZE], size_t most,
                               struct json *array, bool *out_more)
{
    return store_summary(store, place, most, array, out_more);
}

static const struct list_kind recipients = { "messages", is_recipient_place, read_recipients };
static const struct list_kind hops = { "hops", is_hop_name, read_hops };

/* ---- lists: a page -------------------------------------------------------------------------- */

static void list_page(struct control *control, struct role_request *request,
                      const struct list_kind *kind, size_t rows)
{
    struct span after = role_request_argument(request, "after");
    struct json *page = json_new_object();
    struct json *array = json_add_array(page, kind->rows);
    char place[PLACE_SIZE] = "";
    bool more = false;
    struct error *err = NULL;

    if (!kind->is_place(after) || !span_to_string(after, place, sizeof(place)))
        err = error_new(ERROR_PERMANENT, "\"after\" is not what an earlier page gave as \"next\"");
    if (!err)
        err = kind->read(control->store, place, rows, array, &more);
    if (err) {
        json_free(&page);
        fail(&request, &err);
        return;
    }
    json_add_string(page, "next", more ? place : NULL);
    reply_json(&request, &page, true);
}

/* ---- lists: all of one ---------------------------------------------------------------------- */

/* A list on its way: one array, sent page by page. */
struct listing {
    struct control *control;
    struct role_request *request;
    const struct list_kind *kind;
    struct loop_timer *timer;
    char place[PLACE_SIZE];
    bool begun;
};

static void listing_free(struct listing *listing)
{
    loop_timer_free(&listing->timer);
    free(listing);
}

/* The rows of a page without the brackets around them. */
static bool send_rows(struct listing *listing, const struct json *rows, bool last)
{
    struct buf text;

    buf_init(&text, PAGE_BYTES);
    bool ok = json_write(rows, JSON_ON_ONE_LINE, &text) && buf_len(&text) >= 2;
    struct span inside = ok ? buf_span(&text) : SPAN("[]");
    inside = span_first(span_from(inside, 1), inside.len - 2);
    if (!listing->begun)
        role_reply(&listing->request, SPAN("["), false);
    else if (inside.len > 0)
        role_reply(&listing->request, SPAN(","), false);
    listing->begun = true;
    role_reply(&listing->request, inside, false);
    if (last)
        role_reply(&listing->request, SPAN("]"), true);
    buf_clear(&text);
    return ok;
}

static void on_list_more(void *ctx)
{
    struct listing *listing = ctx;
    struct json *rows = json_new_array();
    bool more = false;
    struct error *err =
        listing->kind->read(listing->control->store, listing->place, PAGE_ROWS, rows, &more);

    if (err)
        fail(&listing->request, &err);
    else
        send_rows(listing, rows, !more);
    json_free(&rows);
    if (more)
        loop_timer_start(listing->timer, PAGE_PAUSE_MS);
    else
        listing_free(listing);
}

static void list(struct control *control, struct role_request *request,
                 const struct list_kind *kind)
{
    struct span limit = role_request_argument(request, "limit");
    uint64_t rows;

    if (limit.data) {
        if (span_to_number(limit, PAGE_ROWS, &rows) && rows > 0)
            list_page(control, request, kind, (size_t)rows);
        else
            role_reply_failed(&request, "\"limit\" is a number from 1 to 500");
        return;
    }
    struct listing *listing = memory_new(sizeof(*listing));
    listing->control = control;
    listing->request = request;
    listing->kind = kind;
    listing->timer = loop_timer_new(control->loop, on_list_more, listing);
    loop_timer_start(listing->timer, 0);
}

static void answer_list(struct control *control, struct role_request *request)
{
    list(control, request, &recipients);
}

static void answer_summary(struct control *control, struct role_request *request)
{
    list(control, request, &hops);
}

static void answer_counts(struct control *control, struct role_request *request)
{
    struct json *counts = json_new_object();
    struct error *err = store_add_counts(control->store, counts);

    if (!err) {
        reply_json(&request, &counts, true);
        return;
    }
    json_free(&counts);
    fail(&request, &err);
}

/* ---- queue show --------------------------------------------------------------------------- */

static void no_such_message(struct role_request *request)
{
    char id[QID_TEXT_SIZE] = "?";
    char sentence[80];
    struct buf out;

    span_to_string(role_request_argument(request, "id"), id, sizeof(id));
    buf_init(&out, sizeof(sentence) - 1);
    if (!buf_printf(&out, "there is no message %s", id))
        buf_reset(&out);
    span_to_string(buf_span(&out), sentence, sizeof(sentence));
    buf_clear(&out);
    role_reply_failed(&request, sentence);
}

static void answer_show(struct control *control, struct role_request *request)
{
    struct json *shown = NULL;
    uint64_t id;

    if (!qid_parse(role_request_argument(request, "id"), &id)) {
        no_such_message(request);
        return;
    }
    struct error *err = store_show(control->store, id, &shown);
    if (err)
        fail(&request, &err);
    else if (!shown)
        no_such_message(request);
    else
        reply_json(&request, &shown, true);
}

/* ---- queue retry -------------------------------------------------------------------------- */

struct retry {
    struct sweep sweep;
    struct control *control;
    struct role_request *request;
    int64_t count;
};

static void retry_ended(struct retry *retry, enum operation_outcome outcome)
{
    if (outcome != OPERATION_COMMITTED) {
        role_reply_failed(&retry->request, "the store has no room at the moment; the log says why");
    } else if (retry->count == 0 && retry->sweep.id != 0) {
        no_such_message(retry->request);
    } else {
        struct json *answer = json_new_object();
        json_add_number(answer, "retried", retry->count);
        reply_json(&retry->request, &answer, true);
    }
    free(retry);
}

static void on_retried(struct operation *operation, enum operation_outcome outcome)
{
    struct retry *retry = (struct retry *)operation;

    dispatch_look(retry->control->dispatch);
    if (outcome == OPERATION_COMMITTED)
        retry->count += (int64_t)retry->sweep.changed;
    if (outcome != OPERATION_COMMITTED || !retry->sweep.more) {
        retry_ended(retry, outcome);
        return;
    }
    sweep_advance(&retry->sweep);
    committer_add(retry->control->committer, operation);
}

static void answer_retry(struct control *control, struct role_request *request)
{
    bool all = role_request_argument(request, "all").data != NULL;
    uint64_t id = 0;

    if (!all && (!qid_parse(role_request_argument(request, "id"), &id) || id == 0)) {
        no_such_message(request);
        return;
    }
    struct retry *retry = memory_new(sizeof(*retry));
    retry->control = control;
    retry->request = request;
    retry->sweep.kind = SWEEP_RETRY;
    retry->sweep.id = id;
    retry->sweep.operation.done = on_retried;
    sweep_prepare(&retry->sweep);
    committer_add(control->committer, &retry->sweep.operation);
}

/* ---- which one ---------------------------------------------------------------------------- */

static const struct verb {
    const char *name;
    void (*answer)(struct control *control, struct role_request *request);
} verbs[] = {
    { "queue list", answer_list },     { "queue summary", answer_summary },
    { "queue counts", answer_counts }, { "queue show", answer_show },
    { "queue retry", answer_retry },
};

void control_answer(struct control *control, struct role_request *request)
{
    struct span name = role_request_verb(request);

    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (span_equal(name, span_of(verbs[i].name))) {
            verbs[i].answer(control, request);
            return;
        }
    }
    role_reply_failed(&request, "the queue does not know this request");
}
