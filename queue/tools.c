#include "queue/tools.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "queue/salvage.h"
#include "queue/store_held.h"
#include "queue/store_rows.h"
#include "queue/transfer.h"

static const char suffix[] = ".message";

static struct error *open_store(const struct settings *settings, const char *folder,
                                struct store **out_store)
{
    int exit_status;
    struct error *err = store_open(folder, store_limits_of(settings), 0, out_store, &exit_status);

    if (!err)
        store_set_schedule(*out_store, settings);
    return err;
}

static void say(struct queue_report *report, const struct error *err)
{
    report->damaged++;
    if (report->say)
        report->say(report->ctx, error_text(err));
}

/* The id is another one here: logs and mails know the message by the one it had. */
static void say_id(struct queue_report *report, const char *path, const struct transfer_ids *ids)
{
    char there[QID_TEXT_SIZE];
    char here[QID_TEXT_SIZE];
    char *sentence;

    qid_format(ids->there, there);
    qid_format(ids->here, here);
    const char *name = ids->there == 0 && path ? path : there;
    ensure(asprintf(&sentence, "message %s is %s here", name, here) > 0);
    report->say(report->ctx, sentence);
    free(sentence);
}

void queue_report_message(struct queue_report *report, const char *path,
                          const struct transfer_ids *ids)
{
    report->messages++;
    if (report->say && ids->here != ids->there)
        say_id(report, path, ids);
}

/* ---- export -----------------------------------------------------------------------------------
 */

/* One message being read out of the store. */
struct exporting {
    struct store_txn txn; /* a read transaction in its place */
    const char *into;
    struct queue_report *report;
    uint64_t id;
    uint32_t chunk;
    struct span rest;
};

static struct span read_content(void *ctx, size_t most)
{
    struct exporting *e = ctx;
    struct span value;

    if (e->rest.len == 0) {
        struct record_key key = key_of_part(e->id, e->chunk++);
        struct error *err = kv_get(e->txn.kv, TABLE_CONTENT, key_span(&key), &value);
        if (err || !value.data || !chunk_read(key_span(&key), value, &e->rest)) {
            error_free(&err);
            return (struct span){ NULL, 0 };
        }
    }
    struct span piece = span_first(e->rest, most);
    e->rest = span_from(e->rest, piece.len);
    return piece;
}

static struct error *collect_recipients(struct exporting *e, Queue__ExportRecord *record)
{
    struct row_place *places;
    size_t count;
    struct error *err = recipient_places(&e->txn, (struct row_place){ e->id, 0 }, true,
                                         record->message->recipients, &places, &count);

    record->recipients = arena_take(e->txn.arena, (count + 1) * sizeof(Queue__RecipientRecord *));
    for (size_t i = 0; i < count && !err; i++) {
        err = recipient_get(&e->txn, e->id, places[i].number, &record->recipients[i]);
        record->n_recipients = i + 1;
    }
    return err;
}

static struct error *read_message(struct exporting *e, Queue__ExportRecord *record)
{
    char id[QID_TEXT_SIZE];

    qid_format(e->id, id);
    struct error *err = message_get(&e->txn, e->id, &record->message);
    if (!err)
        err = collect_recipients(e, record);
    if (!err)
        err = held_get(&e->txn, e->id, &record->held);
    return err ? error_wrap(err, "message %s", id) : NULL;
}

static struct error *write_message(struct exporting *e, const Queue__ExportRecord *record)
{
    char id[QID_TEXT_SIZE];
    char *path;

    qid_format(e->id, id);
    ensure(asprintf(&path, "%s/%s%s", e->into, id, suffix) > 0);
    struct error *err = transfer_write(path, record, read_content, e);
    free(path);
    return err;
}

/* A damaged message is told and left out; trouble of our own ends the export. */
static struct error *export_message(struct exporting *e, uint64_t id)
{
    Queue__ExportRecord record = QUEUE__EXPORT_RECORD__INIT;

    arena_reset(e->txn.arena);
    e->id = record.id = id;
    e->chunk = 0;
    e->rest = SPAN("");
    struct error *err = read_message(e, &record);
    if (!err) {
        err = write_message(e, &record);
        if (err && error_kind(err) != ERROR_PERMANENT)
            return err;
    }
    if (err)
        say(e->report, err);
    else
        e->report->messages++;
    error_free(&err);
    return NULL;
}

static struct error *export_all(struct exporting *e)
{
    struct kv_cursor *cursor = NULL;
    struct span key;
    struct span value;
    uint64_t id;

    struct error *err = kv_cursor_open(e->txn.kv, TABLE_MESSAGE, &cursor);
    if (!err)
        err = kv_cursor_seek(cursor, SPAN(""), &key, &value);
    while (!err && key.data) {
        if (key_read_id(key, &id))
            err = export_message(e, id);
        if (!err)
            err = kv_cursor_next(cursor, &key, &value);
    }
    kv_cursor_close(&cursor);
    return err;
}

/* All files at once: one by one it would take a disk's turn for each. */
static struct error *sync_files(const char *into)
{
    int fd = open(into, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct error *err =
        fd < 0 || syncfs(fd) ? error_errno(ERROR_LOCAL, errno, "sync %s", into) : NULL;

    if (fd >= 0)
        close(fd);
    return err;
}

struct error *queue_export(const struct settings *settings, const char *folder, const char *into,
                           struct queue_report *report)
{
    struct store *store = NULL;
    struct arena arena;
    struct exporting e = { .into = into, .report = report };

    if (mkdir(into, 0700) && errno != EEXIST)
        return error_errno(ERROR_LOCAL, errno, "make %s", into);
    struct error *err = open_store(settings, folder, &store);
    if (err)
        return err;
    arena_init(&arena);
    e.txn.store = store;
    e.txn.arena = &arena;
    err = kv_begin_read(store_kv(store), &e.txn.kv);
    if (!err)
        err = export_all(&e);
    if (!err)
        err = sync_files(into);
    kv_abort(&e.txn.kv);
    arena_clear(&arena);
    store_close(&store);
    return err;
}

/* ---- import -----------------------------------------------------------------------------------
 */

static int is_message(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    size_t suffix_len = sizeof(suffix) - 1;

    return len > suffix_len && strcmp(entry->d_name + len - suffix_len, suffix) == 0;
}

static struct error *mark_imported(const char *path)
{
    char *renamed;

    ensure(asprintf(&renamed, "%s.imported", path) > 0);
    struct error *err =
        rename(path, renamed) ? error_errno(ERROR_LOCAL, errno, "rename %s", path) : NULL;
    free(renamed);
    return err;
}

static struct error *import_file(const struct transfer_target *target, const char *path,
                                 struct queue_report *report)
{
    struct transfer_ids ids;
    struct error *err = transfer_load(target, path, &ids);

    if (!err) {
        queue_report_message(report, path, &ids);
        return mark_imported(path);
    }
    if (error_kind(err) != ERROR_PERMANENT)
        return err;
    say(report, err);
    error_free(&err);
    return NULL;
}

static struct error *import_all(struct store *store, const char *from, struct queue_report *report)
{
    struct dirent **entries;
    struct transfer_target target;
    struct error *err = transfer_open(store, &target);

    if (err)
        return err;
    int count = scandir(from, &entries, is_message, alphasort);
    if (count < 0)
        return error_errno(ERROR_LOCAL, errno, "read %s", from);
    for (int i = 0; i < count; i++) {
        char *path;
        ensure(asprintf(&path, "%s/%s", from, entries[i]->d_name) > 0);
        if (!err)
            err = import_file(&target, path, report);
        free(path);
        free(entries[i]);
    }
    free(entries);
    return err;
}

struct error *queue_import(const struct settings *settings, const char *folder, const char *from,
                           struct queue_report *report)
{
    struct store *store = NULL;
    struct error *err = open_store(settings, folder, &store);

    if (!err)
        err = import_all(store, from, report);
    store_close(&store);
    return err;
}

/* ---- salvage ----------------------------------------------------------------------------------
 */

static bool is_same_folder(const char *a, const char *b)
{
    struct stat x;
    struct stat y;

    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

struct error *queue_salvage(const struct settings *settings, const char *folder,
                            const char *damaged, struct queue_report *report)
{
    struct store *store = NULL;

    if (is_same_folder(folder, damaged))
        return error_new(ERROR_PERMANENT,
                         "%s is the queue in use; move it aside, make an empty folder in its "
                         "place, and salvage from where it was moved to",
                         damaged);
    struct error *err = open_store(settings, folder, &store);
    if (!err)
        err = salvage_into(store, damaged, report);
    store_close(&store);
    return err;
}
