#include "queue/salvage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "lib/io/kv_scan.h"
#include "lib/ipc/channel.h"
#include "queue/store_held.h"
#include "queue/transfer.h"

enum { CHUNKS_MAX = 1024 * 1024 };

/* Where a chunk of content stands in the damaged file; len 0: it was not found. */
struct found_chunk {
    uint64_t offset;
    uint32_t len;
};

/* What was found of one message. */
struct found {
    uint64_t id;
    Queue__MessageRecord *message; /* NULL: not found */
    bool message_is_sure;          /* the tree led to it: it is not an old version */
    Queue__RecipientRecord **recipients;
    size_t recipient_count;
    size_t sure_count;       /* of these, the first: the tree led to them */
    Queue__HeldRecord *held; /* NULL: not found */
    struct found_chunk *chunks;
    size_t chunk_count;
};

struct salvage {
    struct map *found; /* by id */
    int fd;            /* the damaged file */
    struct queue_report *report;
    /* while one message is put */
    const struct found *reading;
    uint32_t next_chunk;
    struct span rest; /* of the chunk being read */
    char chunk[CONTENT_CHUNK_SIZE];
};

static struct found *found_of(struct salvage *s, uint64_t id)
{
    struct found *found = map_get_number(s->found, id);

    if (found)
        return found;
    found = memory_new(sizeof(*found));
    found->id = id;
    map_put_number(s->found, id, found);
    return found;
}

static void found_free(struct found *found)
{
    if (found->message)
        queue__message_record__free_unpacked(found->message, NULL);
    for (size_t i = 0; i < found->recipient_count; i++)
        queue__recipient_record__free_unpacked(found->recipients[i], NULL);
    if (found->held)
        queue__held_record__free_unpacked(found->held, NULL);
    free(found->recipients);
    free(found->chunks);
    free(found);
}

/* ---- collecting -------------------------------------------------------------------------------
 */

static void find_message(struct salvage *s, struct span key, struct span value, bool sure)
{
    uint64_t id;
    Queue__MessageRecord *message;

    if (!key_read_id(key, &id))
        return;
    message = record_read(TABLE_MESSAGE, key, value, &queue__message_record__descriptor, NULL);
    if (!message)
        return;
    struct found *found = found_of(s, id);
    if (found->message) {
        queue__message_record__free_unpacked(message, NULL);
        return; /* those the tree leads to come first */
    }
    found->message = message;
    found->message_is_sure = sure;
}

/* Was it found before?  Of several versions one may be old: if any is held, so is the recipient. */
static bool had_recipient(struct found *found, uint32_t number,
                          const Queue__RecipientRecord *another)
{
    for (size_t i = 0; i < found->recipient_count; i++) {
        Queue__RecipientRecord *recipient = found->recipients[i];
        if (recipient->recipient->number != number)
            continue;
        recipient->held = recipient->held || (i >= found->sure_count && another->held);
        return true;
    }
    return false;
}

static void find_recipient(struct salvage *s, struct span key, struct span value, bool sure)
{
    uint64_t id;
    uint32_t number;
    Queue__RecipientRecord *recipient;

    if (!key_read_part(key, &id, &number))
        return;
    recipient =
        record_read(TABLE_RECIPIENT, key, value, &queue__recipient_record__descriptor, NULL);
    if (!recipient)
        return;
    struct found *found = found_of(s, id);
    if (!recipient->recipient || had_recipient(found, number, recipient)) {
        queue__recipient_record__free_unpacked(recipient, NULL);
        return;
    }
    found->recipients = memory_resize(found->recipients, (found->recipient_count + 1) *
                                                             sizeof(Queue__RecipientRecord *));
    found->recipients[found->recipient_count++] = recipient;
    found->sure_count += sure;
}

/* An old version of what was set aside for damage says nothing of whom an operator held since. */
static void find_held(struct salvage *s, struct span key, struct span value, bool sure)
{
    uint64_t id;
    Queue__HeldRecord *held;

    if (!key_read_id(key, &id))
        return;
    held = record_read(TABLE_HELD, key, value, &queue__held_record__descriptor, NULL);
    if (!held)
        return;
    struct found *found = found_of(s, id);
    if (found->held || (!sure && held_is_damage_alone(held)))
        queue__held_record__free_unpacked(held, NULL);
    else
        found->held = held;
}

static void find_chunk(struct salvage *s, struct span key, struct span value, uint64_t offset)
{
    uint64_t id;
    uint32_t chunk;
    struct span bytes;

    if (!key_read_part(key, &id, &chunk) || chunk >= CHUNKS_MAX || value.len > CONTENT_CHUNK_SIZE ||
        !chunk_read(key, value, &bytes))
        return;
    struct found *found = found_of(s, id);
    if (chunk >= found->chunk_count) {
        size_t count = (size_t)chunk + 1;
        found->chunks = memory_resize(found->chunks, count * sizeof(*found->chunks));
        memset(found->chunks + found->chunk_count, 0,
               (count - found->chunk_count) * sizeof(*found->chunks));
        found->chunk_count = count;
    }
    if (found->chunks[chunk].len == 0)
        found->chunks[chunk] = (struct found_chunk){ offset, (uint32_t)value.len };
}

static bool may_be(const char *table, enum queue_table which)
{
    return !table || strcmp(table, queue_tables[which]) == 0;
}

static void on_entry(void *ctx, const char *table, struct span key, struct span value,
                     uint64_t offset)
{
    struct salvage *s = ctx;

    if (may_be(table, TABLE_MESSAGE))
        find_message(s, key, value, table != NULL);
    if (may_be(table, TABLE_RECIPIENT))
        find_recipient(s, key, value, table != NULL);
    if (may_be(table, TABLE_HELD))
        find_held(s, key, value, table != NULL);
    if (may_be(table, TABLE_CONTENT))
        find_chunk(s, key, value, offset);
}

/* ---- putting ----------------------------------------------------------------------------------
 */

/* Reads the chunk once more from the file, and checks it once more. */
static bool load_chunk(struct salvage *s)
{
    struct record_key key = key_of_part(s->reading->id, s->next_chunk);

    if (s->next_chunk >= s->reading->chunk_count)
        return false;
    struct found_chunk chunk = s->reading->chunks[s->next_chunk++];
    struct span value = { s->chunk, chunk.len };
    return chunk.len > 0 &&
           pread(s->fd, s->chunk, chunk.len, (off_t)chunk.offset) == (ssize_t)chunk.len &&
           chunk_read(key_span(&key), value, &s->rest);
}

static struct span read_content(void *ctx, size_t most)
{
    struct salvage *s = ctx;

    if (s->rest.len == 0 && !load_chunk(s))
        return (struct span){ NULL, 0 };
    struct span piece = span_first(s->rest, most);
    s->rest = span_from(s->rest, piece.len);
    return piece;
}

static void say_damaged(struct salvage *s, const struct found *found, const char *why)
{
    char id[QID_TEXT_SIZE];
    char *sentence;

    s->report->damaged++;
    if (!s->report->say)
        return;
    qid_format(found->id, id);
    ensure(asprintf(&sentence, "message %s could not be read whole: %s", id, why) > 0);
    s->report->say(s->report->ctx, sentence);
    free(sentence);
}

/* The rest of it is taken all the same.  What may be an old version does not know how many wait. */
static void say_missing(struct salvage *s, const struct found *found, uint32_t waiting)
{
    char why[80];

    if (!found->message_is_sure || found->recipient_count >= waiting)
        return;
    snprintf(why, sizeof(why), "%zu of its %u recipients are missing",
             waiting - found->recipient_count, waiting);
    say_damaged(s, found, why);
}

/* Where in doubt, of a message that was held: better than to try what an operator held. */
static void hold_in_doubt(struct found *found)
{
    for (size_t i = found->sure_count; found->held && i < found->recipient_count; i++)
        found->recipients[i]->held = true;
}

static struct error *put_message(struct salvage *s, const struct transfer_target *target,
                                 struct found *found)
{
    Queue__ExportRecord record = QUEUE__EXPORT_RECORD__INIT;
    struct transfer_ids ids;
    uint32_t waiting = found->message->pending; /* to put it counts them anew */

    record.message = found->message;
    record.recipients = found->recipients;
    record.n_recipients = found->recipient_count;
    record.held = found->held;
    record.id = found->id;
    s->reading = found;
    s->next_chunk = 0;
    s->rest = SPAN("");
    struct error *err = transfer_put(target, &record, read_content, s, &ids);
    if (err)
        return err;
    queue_report_message(s->report, NULL, &ids);
    say_missing(s, found, waiting);
    return NULL;
}

static struct error *put_found(struct salvage *s, const struct transfer_target *target,
                               struct found *found)
{
    if (found->message && found->recipient_count == 0 && !found->message_is_sure)
        return NULL; /* an old version of one that was delivered */
    if (!found->message || found->recipient_count == 0) {
        if (found->message || found->recipient_count > 0)
            say_damaged(s, found, "its envelope is damaged");
        return NULL; /* content alone: it was never accepted, or is long gone */
    }
    hold_in_doubt(found);
    struct error *err = put_message(s, target, found);
    if (err && error_kind(err) != ERROR_PERMANENT)
        return err; /* our own trouble: no use to go on */
    if (err)
        say_damaged(s, found, error_text(err));
    error_free(&err);
    return NULL;
}

static int by_id(const void *a, const void *b)
{
    const struct found *x = *(struct found *const *)a;
    const struct found *y = *(struct found *const *)b;

    return (x->id > y->id) - (x->id < y->id);
}

/* In the order in which they were accepted. */
static struct error *put_all(struct salvage *s, const struct transfer_target *target)
{
    size_t count = map_count(s->found);
    struct found **all = memory_new_array(count + 1, sizeof(struct found *));
    struct error *err = NULL;
    size_t cursor = 0;

    for (size_t i = 0; i < count; i++)
        all[i] = map_next(s->found, &cursor, NULL);
    qsort(all, count, sizeof(struct found *), by_id);
    for (size_t i = 0; i < count && !err; i++)
        err = put_found(s, target, all[i]);
    free(all);
    return err;
}

static int open_data(const char *folder)
{
    char *path;

    ensure(asprintf(&path, "%s/data.mdb", folder) > 0);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    free(path);
    return fd;
}

struct error *salvage_into(struct store *store, const char *damaged, struct queue_report *report)
{
    struct salvage *s = memory_new(sizeof(*s));
    struct found *found;
    size_t cursor = 0;
    struct transfer_target target;
    bool whole = true;

    s->report = report;
    s->found = map_new();
    s->fd = open_data(damaged);
    struct error *err = s->fd < 0 ? error_errno(ERROR_LOCAL, errno, "open %s/data.mdb", damaged)
                                  : kv_scan(damaged, on_entry, s, &whole);
    if (!err)
        err = transfer_open(store, &target);
    if (!err)
        err = put_all(s, &target);
    report->is_stale = !whole;
    while ((found = map_next(s->found, &cursor, NULL)) != NULL)
        found_free(found);
    map_free(&s->found);
    if (s->fd >= 0)
        close(s->fd);
    free(s);
    return err;
}
