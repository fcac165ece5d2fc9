#include "tlsrpt/upgrade.h"

#include "lib/mail/dns_message.h"
#include "tlsrpt/ledger.h"

#include <string.h>

enum { RECORDS_AT_ONCE = 256 };

/* Its key was the day and the domain. */
static bool subject_of_key(struct span key, struct subject *out)
{
    struct span domain = span_from(key, SUBJECT_DAY_SIZE);
    uint32_t day = 0;

    if (key.len <= SUBJECT_DAY_SIZE || !dns_name_is_valid(domain))
        return false;
    for (int i = 0; i < SUBJECT_DAY_SIZE; i++)
        day = day << 8 | (unsigned char)key.data[i];
    *out = subject_of_domain(day, domain);
    return true;
}

/* The policy's domain in the form of counts_pack. */
static struct error *add_event(struct ledger *ledger, const struct subject *subject,
                               const Ipc__SessionEvent *event, struct ledger_times times)
{
    Ipc__SessionEvent *counted;
    struct span packed;
    struct error *err;
    struct buf buf;

    buf_init(&buf, 1 << 20);
    counts_pack(event, span_of(subject->domain), &buf);
    packed = buf_span(&buf);
    counted = ipc__session_event__unpack(NULL, packed.len, (const uint8_t *)packed.data);
    ensure(counted != NULL);
    err = ledger_add(ledger, subject, counted, times);
    ipc__session_event__free_unpacked(counted, NULL);
    buf_clear(&buf);
    return err;
}

static struct error *add_policy(struct ledger *ledger, const struct subject *subject,
                                Tlsrpt__PolicyCount *policy)
{
    Ipc__SessionEvent event = IPC__SESSION_EVENT__INIT;
    struct error *err;

    event.policy_type = policy->type;
    event.policy_domain = policy->domain;
    event.policy_text = policy->text;
    event.n_mx_patterns = policy->n_mx_patterns;
    event.mx_patterns = policy->mx_patterns;
    err = add_event(ledger, subject, &event,
                    (struct ledger_times){ policy->succeeded, policy->failed, 0 });
    event.n_failures = 1;
    for (size_t i = 0; !err && i < policy->n_failures; i++) {
        if (!counts_failure_is_valid(policy->failures[i]))
            continue;
        event.failures = &policy->failures[i]->failure;
        err = add_event(ledger, subject, &event,
                        (struct ledger_times){ 0, 0, policy->failures[i]->sessions });
    }
    return err;
}

/* One that is damaged is left behind. */
static struct error *add_record(struct ledger *ledger, struct span key, struct span value)
{
    Tlsrpt__DayRecord *record =
        (Tlsrpt__DayRecord *)database_unpack(key, value, &tlsrpt__day_record__descriptor);
    struct subject subject;
    struct error *err = NULL;

    if (!record)
        return NULL;
    for (size_t i = 0; !err && i < record->n_policies; i++)
        if (subject_of_key(key, &subject) && counts_policy_is_valid(record->policies[i]))
            err = add_policy(ledger, &subject, record->policies[i]);
    tlsrpt__day_record__free_unpacked(record, NULL);
    return err;
}

/* The first record of the table. */
static struct error *first_row(struct kv_txn *txn, struct span *out_key, struct span *out_value)
{
    struct kv_cursor *cursor = NULL;
    struct error *err = kv_cursor_open(txn, DATABASE_DAY, &cursor);

    if (!err)
        err = kv_cursor_seek(cursor, (struct span){ "", 0 }, out_key, out_value);
    kv_cursor_close(&cursor);
    return err;
}

/* Value and key are the map's: both are copied before anything is written. */
static struct error *move_row(struct kv_txn *txn, struct ledger *ledger, bool *out_any)
{
    struct span key = { NULL, 0 }, value = { NULL, 0 };
    char key_room[KV_KEY_MAX];
    struct buf copy;
    struct error *err = first_row(txn, &key, &value);

    *out_any = !err && key.data;
    if (!*out_any)
        return err;
    memcpy(key_room, key.data, key.len);
    key.data = key_room;
    buf_init(&copy, value.len);
    ensure(buf_append(&copy, value));
    err = kv_remove(txn, DATABASE_DAY, key);
    if (!err)
        err = add_record(ledger, key, buf_span(&copy));
    buf_clear(&copy);
    return err;
}

static struct error *move_some(struct database *database, bool *out_any)
{
    struct kv_txn *txn = NULL;
    struct ledger *ledger = NULL;
    uint64_t dropped = 0;
    bool is_full = false;
    struct error *err = kv_begin_write(database_kv(database), &txn);

    *out_any = !err;
    if (!err)
        ledger = ledger_begin(txn);
    for (int i = 0; !err && *out_any && i < RECORDS_AT_ONCE; i++)
        err = move_row(txn, ledger, out_any);
    if (!err)
        err = ledger_end(&ledger, &dropped);
    ledger_free(&ledger);
    return database_end(database, &txn, err, &is_full);
}

struct error *upgrade_days(struct database *database)
{
    bool any = true;
    struct error *err = NULL;

    while (!err && any)
        err = move_some(database, &any);
    return err ? error_wrap(err, "counts of an earlier version") : NULL;
}
