#include "queue/due_walk.h"

/* Each fourth turn has retries before new mail, and each sixteenth goes from the last to the first:
 * nobody starves. */
enum { RETRY_TURN = 4, LOW_TURN = 16, WALKED_CLASSES = 5 };

/* A position: a row of the hop, or the end of its rows. */
struct position {
    struct due row;
    bool at_row;
};

static void set_position(struct position *p, struct span key, const struct hop *hop)
{
    p->at_row = key.data && key_read_due(key, &p->row) && span_equal(p->row.hop, hop_name(hop));
    p->row.hop = hop_name(hop); /* the key's is gone with the next step */
}

static struct error *seek_row(struct due_walk *walk, const struct hop *hop, const struct due *from,
                              struct position *out)
{
    struct record_key at = key_of_due(from);
    struct span key;
    struct span value;
    struct error *err = kv_cursor_seek(walk->cursor, key_span(&at), &key, &value);

    if (!err)
        set_position(out, key, hop);
    return err;
}

/* Is the row in the mark's bucket, and not behind it? */
static bool is_marked(const struct hop *hop, const struct due *row)
{
    const struct due *mark = &hop->mark;

    if (!hop->has_mark || row->due_class != mark->due_class || row->bucket != mark->bucket)
        return false;
    return row->utc_ms != mark->utc_ms ? row->utc_ms < mark->utc_ms : row->id < mark->id;
}

/* The first row at or behind `from`; of the bucket that is marked, the mark. */
static struct error *seek(struct due_walk *walk, const struct hop *hop, const struct due *from,
                          struct position *out)
{
    struct error *err = seek_row(walk, hop, from, out);

    return err || !out->at_row || !is_marked(hop, &out->row) ? err
                                                             : seek_row(walk, hop, &hop->mark, out);
}

static struct error *step(struct due_walk *walk, const struct hop *hop, struct position *p)
{
    struct span key;
    struct span value;
    struct error *err = kv_cursor_next(walk->cursor, &key, &value);

    if (!err)
        set_position(p, key, hop);
    return err;
}

static struct due begin_of(const struct hop *hop, enum due_class due_class, unsigned bucket)
{
    return (struct due){ .hop = hop_name(hop), .due_class = due_class, .bucket = bucket };
}

/* From a row on that is no use: the next one, or the next bucket when the rest is not due yet. */
static struct error *pass_over(struct due_walk *walk, const struct hop *hop, struct position *p)
{
    if (p->row.utc_ms <= walk->now_ms)
        return step(walk, hop, p);
    if (p->row.utc_ms < walk->next_ms)
        walk->next_ms = p->row.utc_ms;
    struct due next = begin_of(hop, p->row.due_class, p->row.bucket + 1);
    return seek(walk, hop, &next, p);
}

/* The first row that is due and free in the buckets from `first` to before `end`. */
static struct error *find_free(struct due_walk *walk, const struct hop *hop,
                               enum due_class due_class, unsigned first, unsigned end,
                               struct position *out)
{
    struct due from = begin_of(hop, due_class, first);
    struct error *err = seek(walk, hop, &from, out);

    while (!err && out->at_row && out->row.due_class == due_class && out->row.bucket < end) {
        if (out->row.utc_ms <= walk->now_ms &&
            !lease_covers(walk->leases, out->row.id, out->row.number))
            return NULL;
        err = pass_over(walk, hop, out);
    }
    out->at_row = false;
    return err;
}

static bool same_group(const struct due *a, const struct due *b)
{
    return a->id == b->id && a->utc_ms == b->utc_ms && a->bucket == b->bucket &&
           a->due_class == b->due_class;
}

/* Further recipients of the same message stand right behind. */
static struct error *gather(struct due_walk *walk, struct hop *hop, struct position *p,
                            struct due_group *out)
{
    struct error *err = NULL;

    out->first = p->row;
    out->count = 0;
    while (!err && p->at_row && same_group(&p->row, &out->first) &&
           out->count < RECIPIENTS_PER_JOB_MAX) {
        if (!lease_covers(walk->leases, p->row.id, p->row.number))
            out->numbers[out->count++] = p->row.number;
        hop->mark = p->row;
        hop->has_mark = true;
        err = step(walk, hop, p);
    }
    return err;
}

/* The bucket whose turn it is, then those behind it, then those before it. */
static struct error *next_of_class(struct due_walk *walk, struct hop *hop, enum due_class due_class,
                                   struct due_group *out, bool *out_found)
{
    unsigned turn = hop->next_bucket[due_class];
    struct position p = { .at_row = false };
    struct error *err = find_free(walk, hop, due_class, turn, SENDER_BUCKETS, &p);

    if (!err && !p.at_row && turn > 0)
        err = find_free(walk, hop, due_class, 0, turn, &p);
    *out_found = !err && p.at_row;
    if (!*out_found)
        return err;
    hop->next_bucket[due_class] = p.row.bucket + 1;
    return gather(walk, hop, &p, out);
}

static struct error *next_in_order(struct due_walk *walk, struct hop *hop, struct due_group *out,
                                   bool *out_found)
{
    static const enum due_class orders[3][WALKED_CLASSES] = {
        { DUE_URGENT, DUE_FIRST, DUE_LENIENT, DUE_RETRY, DUE_LOW },
        { DUE_URGENT, DUE_LENIENT, DUE_RETRY, DUE_FIRST, DUE_LOW },
        { DUE_LOW, DUE_RETRY, DUE_LENIENT, DUE_FIRST, DUE_URGENT },
    };
    bool is_low = hop->turn % LOW_TURN == LOW_TURN - 1;
    const enum due_class *order =
        is_low ? orders[2] : orders[hop->turn % RETRY_TURN == RETRY_TURN - 1];
    struct error *err = NULL;

    *out_found = false;
    for (int i = 0; i < WALKED_CLASSES && !err && !*out_found; i++)
        err = next_of_class(walk, hop, order[i], out, out_found);
    return err;
}

struct error *due_walk_next(struct due_walk *walk, struct hop *hop, struct due_group *out,
                            bool *out_found)
{
    struct error *err = next_in_order(walk, hop, out, out_found);

    hop->turn++;
    if (err || *out_found || !hop->has_mark)
        return err;
    hop->has_mark = false; /* before saying "nothing": once more from the front */
    return next_in_order(walk, hop, out, out_found);
}

static bool is_free(const struct due_walk *walk, const struct due *row)
{
    return row->utc_ms <= walk->now_ms && row->due_class != DUE_SUSPECT &&
           !lease_covers(walk->leases, row->id, row->number);
}

struct error *due_walk_from(struct due_walk *walk, const struct hop *hop, struct due *from,
                            struct due_group *out, bool *out_found)
{
    struct position p;
    struct error *err = seek_row(walk, hop, from, &p);

    while (!err && p.at_row && !is_free(walk, &p.row))
        err = pass_over(walk, hop, &p);
    out->first = p.row;
    out->count = 0;
    while (!err && p.at_row && same_group(&p.row, &out->first) &&
           out->count < RECIPIENTS_PER_JOB_MAX) {
        if (is_free(walk, &p.row))
            out->numbers[out->count++] = p.row.number;
        *from = p.row;
        from->number++;
        err = step(walk, hop, &p);
    }
    *out_found = !err && out->count > 0;
    return err;
}

struct error *due_walk_lenient(struct due_walk *walk, struct hop *hop, struct due_group *out,
                               bool *out_found)
{
    return next_of_class(walk, hop, DUE_LENIENT, out, out_found);
}

struct error *due_walk_suspect(struct due_walk *walk, struct hop *hop, struct due_group *out,
                               bool *out_found)
{
    return next_of_class(walk, hop, DUE_SUSPECT, out, out_found);
}
