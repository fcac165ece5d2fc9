#include "queue/control_lists.h"

#include <stdlib.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/mail/next_hop.h"
#include "queue/host_list.h"
#include "queue/store_read.h"
#include "queue/store_summary.h"

enum {
    PAGE_ROWS = 500,
    PAGE_ROWS_MAX = 5000,
    PAGE_BYTES = 16 * 1024 * 1024,
    PLACE_SIZE = HOST_PLACE_SIZE, /* the longest of them */
    PAGE_PAUSE_MS = 1,            /* between pieces of a long list: mail comes first */
};

void control_reply_error(struct role_request **request, struct error **err)
{
    role_reply_failed(request, error_text(*err));
    error_free(err);
}

void control_reply_json(struct role_request **request, struct json **value, bool last)
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

void control_no_such_message(struct role_request **request, const char *more)
{
    char id[QID_TEXT_SIZE] = "?";
    char sentence[160];
    struct buf out;

    span_to_string(role_request_argument(*request, "id"), id, sizeof(id));
    buf_init(&out, sizeof(sentence) - 1);
    if (!buf_printf(&out, "there is no message %s%s", id, more))
        buf_reset(&out);
    span_to_string(buf_span(&out), sentence, sizeof(sentence));
    buf_clear(&out);
    role_reply_failed(request, sentence);
}

struct error *control_filter(const struct role_request *request, struct filter *out)
{
    struct error *err = NULL;

    filter_init(out);
    for (unsigned i = 0; i < filter_name_count && !err; i++) {
        struct span value = role_request_argument(request, filter_names[i]);
        if (value.data)
            err = filter_take(out, span_of(filter_names[i]), value);
    }
    return err;
}

/* ---- lists: what they are of ---------------------------------------------------------------- */

/* Appends rows from a place on, and moves it behind them.  The empty text is the beginning. */
struct list_place {
    const struct control *control;
    struct filter filter; /* of recipients */
    char text[PLACE_SIZE];
};
typedef struct error *list_read_fn(struct list_place *place, size_t most, struct json *array,
                                   bool *out_more);

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

static struct error *read_recipients(struct list_place *place, size_t most, struct json *array,
                                     bool *out_more)
{
    struct waiting_walk walk = {
        .filter = &place->filter,
        .leases = place->control->leases,
        .most = most,
    };

    ensure(place_parse(span_of(place->text), &walk.place));
    struct error *err = store_list(place->control->store, &walk, array);
    place_format(walk.place, place->text);
    *out_more = walk.more;
    return err;
}

static bool is_hop_name(struct span text)
{
    return text.len <= HOP_NAME_MAX;
}

static struct error *read_hops(struct list_place *place, size_t most, struct json *array,
                               bool *out_more)
{
    return store_summary(place->control->store, place->text, most, array, out_more);
}

static const struct list_kind recipients = { "messages", is_recipient_place, read_recipients };
static struct error *read_hosts(struct list_place *place, size_t most, struct json *array,
                                bool *out_more)
{
    return host_list_read(place->control->hosts, place->text, most, array, out_more);
}

static const struct list_kind hops = { "hops", is_hop_name, read_hops };
static const struct list_kind hosts = { "hosts", host_list_is_place, read_hosts };

/* ---- lists: a page -------------------------------------------------------------------------- */

static void list_page(struct list_place *place, struct role_request *request,
                      const struct list_kind *kind, size_t rows)
{
    struct span after = role_request_argument(request, "after");
    struct json *page = json_new_object();
    struct json *array = json_add_array(page, kind->rows);
    bool more = false;
    struct error *err = NULL;

    if (!kind->is_place(after) || !span_to_string(after, place->text, sizeof(place->text)))
        err = error_new(ERROR_PERMANENT, "\"after\" is not what an earlier page gave as \"next\"");
    if (!err)
        err = kind->read(place, rows, array, &more);
    if (err) {
        json_free(&page);
        control_reply_error(&request, &err);
        return;
    }
    json_add_string(page, "next", more ? place->text : NULL);
    control_reply_json(&request, &page, true);
}

/* ---- lists: all of one ---------------------------------------------------------------------- */

/* A list on its way: one array, sent page by page. */
struct listing {
    struct list_place place;
    struct role_request *request;
    const struct list_kind *kind;
    struct loop_timer *timer;
    bool begun;
    bool has_rows;
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
    else if (inside.len > 0 && listing->has_rows)
        role_reply(&listing->request, SPAN(","), false);
    listing->begun = true;
    listing->has_rows = listing->has_rows || inside.len > 0;
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
    struct error *err = NULL;

    if (role_request_is_gone(listing->request))
        err = error_new(ERROR_TRANSIENT, "nobody waits for the rest");
    if (!err)
        err = listing->kind->read(&listing->place, PAGE_ROWS, rows, &more);
    if (err)
        control_reply_error(&listing->request, &err);
    else
        send_rows(listing, rows, !more);
    json_free(&rows);
    if (more)
        loop_timer_start(listing->timer, PAGE_PAUSE_MS);
    else
        listing_free(listing);
}

static void list_all(const struct list_place *place, struct role_request *request,
                     const struct list_kind *kind)
{
    struct listing *listing = memory_new(sizeof(*listing));

    listing->place = *place;
    listing->request = request;
    listing->kind = kind;
    listing->timer = loop_timer_new(place->control->loop, on_list_more, listing);
    loop_timer_start(listing->timer, 0);
}

static void list(struct control *control, struct role_request *request,
                 const struct list_kind *kind)
{
    struct span limit = role_request_argument(request, "limit");
    struct list_place place = { .control = control };
    uint64_t rows = 0;
    struct error *err = control_filter(request, &place.filter);

    if (!err && limit.data && (!span_to_number(limit, PAGE_ROWS_MAX, &rows) || rows == 0))
        err = error_new(ERROR_PERMANENT, "\"limit\" is a number from 1 to %d", PAGE_ROWS_MAX);
    if (err)
        control_reply_error(&request, &err);
    else if (limit.data)
        list_page(&place, request, kind, (size_t)rows);
    else
        list_all(&place, request, kind);
}

void control_list(struct control *control, struct role_request *request)
{
    list(control, request, &recipients);
}

void control_summary(struct control *control, struct role_request *request)
{
    list(control, request, &hops);
}

/* As somebody writes it; what is no name of a host stays as it is, and is found with nobody. */
static struct span host_name(const struct role_request *request, char room[HOP_NAME_MAX + 1])
{
    struct span name = role_request_argument(request, "host");

    return next_hop_read(name, room) ? span_of(room) : name;
}

/* Of one name: as a page that is the last, or as an array. */
static void answer_host(struct control *control, struct role_request *request, struct span name)
{
    struct json *page = json_new_object();
    struct json *rows = json_new_array();

    host_list_read_one(control->hosts, name, rows);
    if (!role_request_argument(request, "limit").data) {
        control_reply_json(&request, &rows, true);
        json_free(&page);
        return;
    }
    json_add(page, hosts.rows, &rows);
    json_add_null(page, "next");
    control_reply_json(&request, &page, true);
}

void control_hosts(struct control *control, struct role_request *request)
{
    char room[HOP_NAME_MAX + 1];

    if (role_request_argument(request, "host").data)
        answer_host(control, request, host_name(request, room));
    else
        list(control, request, &hosts);
}

void control_forget_host(struct control *control, struct role_request *request)
{
    char room[HOP_NAME_MAX + 1];

    if (!hosts_forget(control->hosts, host_name(request, room))) {
        role_reply_failed(&request, "nothing was learned of a host or next hop of that name");
        return;
    }
    struct json *answer = json_new_object();
    json_add_bool(answer, "forgotten", true);
    control_reply_json(&request, &answer, true);
}
