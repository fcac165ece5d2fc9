#include "tlsrpt/database.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/base/settings.h"
#include "lib/ipc/role.h"
#include "tlsrpt/upgrade.h"

#include <stdio.h>
#include <stdlib.h>

enum { VERSION = 2, LOCK_WAIT_MS = 60 * SECOND_MS };

static const uint64_t map_bytes = UINT64_C(8) << 30; /* address space; ledger.h bounds a day */

static const char *const table_names[DATABASE_TABLES] = {
    [DATABASE_META] = "meta",     [DATABASE_DAY] = "day",       [DATABASE_SUBJECT] = "subject",
    [DATABASE_POLICY] = "policy", [DATABASE_DETAIL] = "detail", [DATABASE_WISH] = "wish",
    [DATABASE_OUTBOX] = "outbox", [DATABASE_DUE] = "due",       [DATABASE_SENT] = "sent",
};

struct database {
    struct kv *kv;
    char *folder;
};

/* --- records and their checksums */

void database_put_number(char *room, uint32_t number)
{
    for (int i = 0; i < DATABASE_SUM_SIZE; i++)
        room[i] = (char)(number >> (8 * i));
}

uint32_t database_get_number(const char *bytes)
{
    uint32_t number = 0;

    for (int i = 0; i < DATABASE_SUM_SIZE; i++)
        number |= (uint32_t)(unsigned char)bytes[i] << (8 * i);
    return number;
}

static uint32_t sum_of(struct span key, struct span packed)
{
    return kv_checksum(kv_checksum(0, key), packed);
}

struct error *database_put(struct kv_txn *txn, kv_table table, struct span key,
                           const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    struct error *err;
    char *room;

    err = kv_put_room(txn, table, key, DATABASE_SUM_SIZE + len, &room);
    if (err)
        return err;
    protobuf_c_message_pack(message, (uint8_t *)room + DATABASE_SUM_SIZE);
    database_put_number(room, sum_of(key, (struct span){ room + DATABASE_SUM_SIZE, len }));
    return NULL;
}

ProtobufCMessage *database_unpack(struct span key, struct span value,
                                  const ProtobufCMessageDescriptor *descriptor)
{
    struct span packed = span_from(value, DATABASE_SUM_SIZE);
    ProtobufCMessage *message = NULL;

    if (value.len >= DATABASE_SUM_SIZE && database_get_number(value.data) == sum_of(key, packed))
        message =
            protobuf_c_message_unpack(descriptor, NULL, packed.len, (const uint8_t *)packed.data);
    if (!message)
        log_event(LOG_ERROR, "tlsrpt-record-damaged");
    return message;
}

/* --- opening */

/* Under a name of its own: what was set aside before may still be wanted. */
static void set_aside(const char *folder)
{
    char from[SETTINGS_PATH_SIZE + 32], to[SETTINGS_PATH_SIZE + 48];
    struct log_line line;

    snprintf(from, sizeof(from), "%s/data.mdb", folder);
    snprintf(to, sizeof(to), "%s/damaged-%lld.mdb", folder, (long long)clock_utc_ms());
    rename(from, to);
    log_begin(&line, LOG_ERROR, "tlsrpt-database-damaged");
    log_string(&line, "set-aside", to);
    log_end(&line);
}

static struct error *write_version(struct database *database)
{
    struct kv_txn *txn = NULL;
    char number[DATABASE_SUM_SIZE];
    bool is_full = false;
    struct error *err;

    database_put_number(number, VERSION);
    err = kv_begin_write(database->kv, &txn);
    if (!err)
        err =
            kv_put(txn, DATABASE_META, SPAN("version"), (struct span){ number, DATABASE_SUM_SIZE });
    return database_end(database, &txn, err, &is_full);
}

/* 0 for a database that was just made. */
static struct error *read_version(struct database *database, uint32_t *out_version)
{
    struct kv_txn *txn = NULL;
    struct span value = { NULL, 0 };
    struct error *err;

    *out_version = 0;
    err = kv_begin_read(database->kv, &txn);
    if (!err)
        err = kv_get(txn, DATABASE_META, SPAN("version"), &value);
    if (!err && value.len == DATABASE_SUM_SIZE)
        *out_version = database_get_number(value.data);
    kv_abort(&txn);
    return err;
}

static struct error *check_version(struct database *database, int *out_exit_status)
{
    uint32_t version;
    struct error *err = read_version(database, &version);

    if (!err && version > VERSION) {
        *out_exit_status = ROLE_EXIT_REFUSED;
        return error_new(ERROR_LOCAL, "written by a newer waxseal (version %u, known here: %d)",
                         version, VERSION);
    }
    if (!err && version < VERSION)
        err = upgrade_days(database);
    if (!err && version < VERSION)
        err = write_version(database);
    return err;
}

static struct error *open_store(struct database *database, enum kv_trouble *out_trouble)
{
    return kv_open(database->folder, map_bytes, table_names, DATABASE_TABLES, LOCK_WAIT_MS,
                   &database->kv, out_trouble);
}

struct error *database_open(const char *folder, struct database **out_database,
                            int *out_exit_status)
{
    struct database *database = memory_new(sizeof(*database));
    enum kv_trouble trouble = KV_FINE;
    struct error *err;

    database->folder = memory_copy_text(folder);
    err = open_store(database, &trouble);
    if (err && trouble == KV_BROKEN) {
        log_failure(LOG_ERROR, "tlsrpt-database-damaged", err);
        error_free(&err);
        set_aside(folder);
        err = open_store(database, &trouble);
    }
    *out_exit_status = trouble == KV_FINE ? ROLE_EXIT_REFUSED : ROLE_EXIT_TROUBLE;
    if (!err) {
        *out_exit_status = ROLE_EXIT_TROUBLE;
        err = check_version(database, out_exit_status);
    }
    if (err) {
        database_close(&database);
        return error_wrap(err, "report database");
    }
    *out_database = database;
    return NULL;
}

void database_close(struct database **database)
{
    struct database *d = *database;

    *database = NULL;
    if (!d)
        return;
    kv_close(&d->kv);
    free(d->folder);
    free(d);
}

struct kv *database_kv(const struct database *database)
{
    return database->kv;
}

struct error *database_end(struct database *database, struct kv_txn **txn, struct error *err,
                           bool *out_full)
{
    enum kv_trouble trouble;

    if (!err)
        err = kv_commit(txn);
    else if (*txn && kv_txn_trouble(*txn) == KV_FULL)
        *out_full = true;
    kv_abort(txn);
    trouble = kv_trouble(database->kv);
    if (err && trouble == KV_FULL)
        *out_full = true;
    else if (err && trouble == KV_BROKEN)
        set_aside(database->folder);
    return err;
}
