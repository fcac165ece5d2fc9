#include "queue/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "queue/store_accept.h"
#include "queue/store_rows.h"

enum {
    PART_BYTES = 512 * CHUNK_BYTES, /* put in one transaction */
    RECORD_MAX = 64 * 1024 * 1024,
    SUM_SIZE = 4,
    PIECE_BYTES = 64 * 1024,
};

/* The second for recipients that are held: who does not know of that would try them. */
static const char first_line[] = "waxseal-message 1\n";
static const char first_line_held[] = "waxseal-message 2\n";

/* ---- into a store -----------------------------------------------------------------------------
 */

/* Operations in the caller's thread, whose outcome is wanted at once. */
struct restore {
    struct operation operation; /* first */
    uint64_t id;
    Queue__ExportRecord *record;
};

struct putting {
    struct store *store;
    struct accept part; /* of the content */
    struct restore restore;
};

static void on_done(struct operation *operation, enum operation_outcome outcome)
{
    (void)operation;
    (void)outcome; /* stays in the operation */
}

static struct error *commit_list(struct putting *p, struct list *operations,
                                 const struct operation *last)
{
    if (commit_now(p->store, operations) == KV_FINE && last->outcome == OPERATION_COMMITTED)
        return NULL;
    return error_new(ERROR_LOCAL, last->outcome == OPERATION_FULL
                                      ? "no room in the queue or on its disk"
                                      : "the queue's database failed");
}

/* Collects up to a part of the content. */
static bool read_part(struct buf *part, uint64_t left, transfer_read_fn *read, void *ctx)
{
    while (buf_len(part) < PART_BYTES && buf_len(part) < left) {
        uint64_t want = left - buf_len(part);
        size_t most = PART_BYTES - buf_len(part);
        struct span piece = read(ctx, want < most ? (size_t)want : most);
        if (!piece.data || piece.len == 0 || !buf_append(part, piece))
            return false;
    }
    return true;
}

/* With the last part of its content it becomes a message. */
static struct error *commit_part(struct putting *p, uint64_t at, struct span content, bool last)
{
    struct list operations;

    list_init(&operations);
    p->part.first_chunk = content_chunks(at);
    p->part.content = content;
    accept_prepare(&p->part);
    list_append(&operations, &p->part.operation.others);
    if (last)
        list_append(&operations, &p->restore.operation.others);
    return commit_list(p, &operations, last ? &p->restore.operation : &p->part.operation);
}

static struct error *put_parts(struct putting *p, uint64_t size, transfer_read_fn *read, void *ctx,
                               struct buf *part)
{
    struct error *err = NULL;
    uint64_t done = 0;

    do {
        buf_reset(part);
        if (!read_part(part, size - done, read, ctx))
            return error_new(ERROR_PERMANENT, "its content is damaged");
        err = commit_part(p, done, buf_span(part), done + buf_len(part) == size);
        done += buf_len(part);
    } while (!err && done < size);
    return err;
}

static struct error *apply_restore(struct operation *operation, struct store_txn *txn)
{
    const struct restore *restore = (const struct restore *)operation;

    return message_restore(txn, restore->id, restore->record);
}

static void discard_parts(struct putting *p)
{
    struct discard discard = { .id = p->restore.id };
    struct list operations;

    list_init(&operations);
    discard.operation.done = on_done;
    discard_prepare(&discard);
    list_append(&operations, &discard.operation.others);
    (void)commit_now(p->store, &operations); /* what is left is swept when the relay starts */
}

struct error *transfer_open(struct store *store, struct transfer_target *out_target)
{
    struct kv_txn *txn = NULL;
    uint64_t waiting = 0;
    struct error *err = kv_begin_read(store_kv(store), &txn);

    if (!err)
        err = kv_count(txn, TABLE_DUE, &waiting);
    kv_abort(&txn);
    *out_target = (struct transfer_target){ .store = store, .keeps_ids = waiting == 0 };
    return err;
}

/* Does a key of the table begin with this id? */
static struct error *look_for_id(struct kv_txn *txn, enum queue_table table, uint64_t id,
                                 bool *out_there)
{
    struct record_key start = key_of_id(id);
    struct kv_cursor *cursor = NULL;
    struct span key = { NULL, 0 };
    struct span value;
    struct error *err = kv_cursor_open(txn, table, &cursor);

    if (!err)
        err = kv_cursor_seek(cursor, key_span(&start), &key, &value);
    *out_there = !err && key.data && span_equal(span_first(key, start.len), key_span(&start));
    kv_cursor_close(&cursor);
    return err;
}

static struct error *is_free(struct store *store, uint64_t id, bool *out_free)
{
    static const enum queue_table tables[] = { TABLE_MESSAGE,   TABLE_CONTENT, TABLE_RECEIVING,
                                               TABLE_RECIPIENT, TABLE_HELD,    TABLE_HISTORY };
    struct kv_txn *txn = NULL;
    bool is_there = false;
    struct error *err = kv_begin_read(store_kv(store), &txn);

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && !err && !is_there; i++)
        err = look_for_id(txn, tables[i], id, &is_there);
    kv_abort(&txn);
    *out_free = !err && !is_there;
    return err;
}

/* What has an id is overwritten by what is put under it: so it is looked for everywhere. */
static struct error *choose_id(const struct transfer_target *target, struct transfer_ids *ids)
{
    bool keeps_it = false;
    struct error *err = target->keeps_ids ? is_free(target->store, ids->there, &keeps_it) : NULL;

    if (err)
        return err;
    keeps_it = keeps_it && store_take_id(target->store, ids->there);
    ids->here = keeps_it ? ids->there : store_new_id(target->store);
    return ids->here > 0 ? NULL : error_new(ERROR_LOCAL, "no room in the queue or on its disk");
}

static bool is_complete(const Queue__ExportRecord *record)
{
    if (!record->message || !record->message->envelope ||
        !record->message->envelope->reverse_path || record->n_recipients == 0)
        return false;
    for (size_t i = 0; i < record->n_recipients; i++)
        if (!record->recipients[i]->recipient || !record->recipients[i]->recipient->forward_path ||
            record->recipients[i]->recipient->forward_path->domain.len > DOMAIN_MAX)
            return false;
    return true;
}

struct error *transfer_put(const struct transfer_target *target, Queue__ExportRecord *record,
                           transfer_read_fn *read, void *ctx, struct transfer_ids *out_ids)
{
    struct putting p = { .store = target->store, .restore = { .record = record } };
    struct buf part;

    if (!is_complete(record))
        return error_new(ERROR_PERMANENT, "its envelope is damaged");
    *out_ids = (struct transfer_ids){ .there = record->id };
    struct error *err = choose_id(target, out_ids);
    if (err)
        return err;
    p.restore.id = p.part.id = out_ids->here;
    p.part.operation.done = p.restore.operation.done = on_done;
    p.restore.operation.apply = apply_restore;
    p.restore.operation.lane = LANE_ACCEPT;
    buf_init(&part, PART_BYTES);
    err = put_parts(&p, record->message->size, read, ctx, &part);
    buf_clear(&part);
    if (err)
        discard_parts(&p);
    return err;
}

/* ---- into a file ------------------------------------------------------------------------------
 */

static void sum_format(uint32_t sum, char room[SUM_SIZE])
{
    for (unsigned i = 0; i < SUM_SIZE; i++)
        room[i] = (char)(sum >> (8 * (SUM_SIZE - 1 - i)) & 0xff);
}

static uint32_t sum_parse(const char room[SUM_SIZE])
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < SUM_SIZE; i++)
        sum = sum << 8 | (unsigned char)room[i];
    return sum;
}

static bool write_span(FILE *file, struct span s)
{
    return fwrite(s.data, 1, s.len, file) == s.len;
}

static bool write_sum(FILE *file, uint32_t sum)
{
    char room[SUM_SIZE];

    sum_format(sum, room);
    return write_span(file, (struct span){ room, sizeof(room) });
}

static const char *first_line_of(const Queue__ExportRecord *record)
{
    for (size_t i = 0; i < record->n_recipients; i++)
        if (record->recipients[i]->held)
            return first_line_held;
    return first_line;
}

static bool write_record(FILE *file, const Queue__ExportRecord *record)
{
    size_t len = queue__export_record__get_packed_size(record);
    uint8_t *packed = memory_new(len + 1);

    queue__export_record__pack(record, packed);
    struct span body = { (const char *)packed, len };
    bool fine = write_span(file, span_of(first_line_of(record))) &&
                write_sum(file, (uint32_t)len) && write_span(file, body) &&
                write_sum(file, kv_checksum(0, body));
    free(packed);
    return fine;
}

static struct error *write_content(FILE *file, uint64_t size, transfer_read_fn *read, void *ctx)
{
    uint32_t sum = 0;

    for (uint64_t done = 0; done < size;) {
        uint64_t left = size - done;
        struct span piece = read(ctx, left < PIECE_BYTES ? (size_t)left : PIECE_BYTES);
        if (!piece.data || piece.len == 0)
            return error_new(ERROR_PERMANENT, "its content is damaged");
        if (!write_span(file, piece))
            return error_errno(ERROR_LOCAL, errno, "write");
        sum = kv_checksum(sum, piece);
        done += piece.len;
    }
    return write_sum(file, sum) ? NULL : error_errno(ERROR_LOCAL, errno, "write");
}

struct error *transfer_write(const char *path, const Queue__ExportRecord *record,
                             transfer_read_fn *read, void *ctx)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    struct error *err = NULL;

    if (!file)
        return error_errno(ERROR_LOCAL, errno, "make %s", path);
    if (!write_record(file, record))
        err = error_errno(ERROR_LOCAL, errno, "write");
    if (!err)
        err = write_content(file, record->message->size, read, ctx);
    if (fclose(file) && !err)
        err = error_errno(ERROR_LOCAL, errno, "write");
    if (err)
        unlink(path);
    return err ? error_wrap(err, "%s", path) : NULL;
}

/* ---- from a file ------------------------------------------------------------------------------
 */

struct loading {
    FILE *file;
    uint32_t sum;
    char piece[PIECE_BYTES];
};

static bool read_sum(FILE *file, uint32_t *out_sum)
{
    char room[SUM_SIZE];

    if (fread(room, 1, sizeof(room), file) != sizeof(room))
        return false;
    *out_sum = sum_parse(room);
    return true;
}

static bool read_first_line(FILE *file)
{
    char line[sizeof(first_line)] = "";

    return fread(line, 1, sizeof(line) - 1, file) == sizeof(line) - 1 &&
           (strcmp(line, first_line) == 0 || strcmp(line, first_line_held) == 0);
}

static Queue__ExportRecord *read_record(FILE *file)
{
    Queue__ExportRecord *record = NULL;
    uint32_t len;
    uint32_t sum;

    if (!read_first_line(file) || !read_sum(file, &len) || len > RECORD_MAX)
        return NULL;
    char *packed = memory_new((size_t)len + 1);
    if (fread(packed, 1, len, file) == len && read_sum(file, &sum) &&
        sum == kv_checksum(0, (struct span){ packed, len }))
        record = queue__export_record__unpack(NULL, len, (const uint8_t *)packed);
    free(packed);
    return record;
}

static struct span read_piece(void *ctx, size_t most)
{
    struct loading *loading = ctx;
    size_t want = most < sizeof(loading->piece) ? most : sizeof(loading->piece);
    struct span piece = { loading->piece, fread(loading->piece, 1, want, loading->file) };

    loading->sum = kv_checksum(loading->sum, piece);
    return piece;
}

/* The checksum stands behind the content: it is checked before any of it is put. */
static bool check_content(struct loading *loading, uint64_t size)
{
    uint32_t sum;

    for (uint64_t left = size; left > 0;) {
        struct span piece = read_piece(loading, left < PIECE_BYTES ? (size_t)left : PIECE_BYTES);
        if (piece.len == 0)
            return false;
        left -= piece.len;
    }
    return read_sum(loading->file, &sum) && sum == loading->sum;
}

static struct error *load(const struct transfer_target *target, struct loading *loading,
                          Queue__ExportRecord *record, struct transfer_ids *out_ids)
{
    long content_at = ftell(loading->file);

    if (!record->message || content_at < 0 || !check_content(loading, record->message->size) ||
        fseek(loading->file, content_at, SEEK_SET))
        return error_new(ERROR_PERMANENT, "its content is damaged");
    return transfer_put(target, record, read_piece, loading, out_ids);
}

struct error *transfer_load(const struct transfer_target *target, const char *path,
                            struct transfer_ids *out_ids)
{
    struct loading *loading = memory_new(sizeof(*loading));
    struct error *err = NULL;

    loading->file = fopen(path, "re");
    if (!loading->file) {
        err = error_errno(ERROR_LOCAL, errno, "open");
    } else {
        Queue__ExportRecord *record = read_record(loading->file);
        err = record ? load(target, loading, record, out_ids)
                     : error_new(ERROR_PERMANENT, "it is no exported message, or damaged");
        if (record)
            queue__export_record__free_unpacked(record, NULL);
        fclose(loading->file);
    }
    free(loading);
    return err ? error_wrap(err, "%s", path) : NULL;
}
