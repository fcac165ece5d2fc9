#include "tests/support/test.h"

#include "tests/support/store_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/ipc/channel.h"
#include "queue/store_rows.h"

static struct store_rig rig;

static bool comes_old;  /* a message that is taken came five hours ago */
static uint64_t newest; /* the message taken last */

static int open_rig(void **state)
{
    (void)state;
    comes_old = false;
    newest = 0;
    store_rig_open(&rig);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    store_rig_close(&rig);
    return 0;
}

/* ---- messages ----------------------------------------------------------------------------- */

static const struct span letter = { "Subject: lunch\r\n\r\nSee you at noon.\r\n", 36 };

static struct envelope an_envelope(const char *sender, unsigned recipients, uint32_t notify)
{
    struct envelope envelope;
    struct address address;
    char text[64];

    envelope_init(&envelope);
    assert_int_equal(address_parse_reverse(span_of(sender), &envelope.reverse_path), ADDRESS_FINE);
    for (unsigned i = 0; i < recipients; i++) {
        snprintf(text, sizeof(text), "bob%u@example.net", i);
        assert_int_equal(address_parse(span_of(text), &address), ADDRESS_FINE);
        envelope_add(&envelope, &address)->notify = notify;
    }
    return envelope;
}

static struct error *apply_age(struct operation *operation, struct store_txn *txn)
{
    Queue__MessageRecord *message;

    (void)operation;
    assert_null(message_get(txn, newest, &message));
    message->accepted_utc_ms -= 5 * HOUR_MS;
    return message_update(txn, newest, message);
}

static void age_the_newest(void)
{
    struct operation operation = { .lane = LANE_SETTLEMENT, .apply = apply_age };

    assert_int_equal(store_rig_commit(&rig, &operation), OPERATION_COMMITTED);
}

/* Takes the envelope. */
static uint64_t taken(struct envelope *envelope, struct span content)
{
    struct accept accept = { .content = content, .last = true, .envelope = envelope };

    accept.size = content.len;
    accept.id = store_new_id(rig.store);
    accept_prepare(&accept);
    assert_int_equal(store_rig_commit(&rig, &accept.operation), OPERATION_COMMITTED);
    envelope_clear(envelope);
    newest = accept.id;
    if (comes_old)
        age_the_newest();
    return accept.id;
}

static uint64_t a_message(unsigned recipients, uint32_t notify)
{
    struct envelope envelope = an_envelope("ada@sender.test", recipients, notify);

    return taken(&envelope, letter);
}

static uint64_t a_strangers_message(void)
{
    struct envelope envelope = an_envelope("innocent@sender.test", 1, 0);

    envelope.from_stranger = true;
    return taken(&envelope, letter);
}

/* ---- what comes of them ------------------------------------------------------------------- */

/* Of recipients `first` to `first + count - 1` the same. */
static struct settle a_settle(uint64_t id, uint32_t first, size_t count, const Ipc__Result *like)
{
    static uint64_t lease = 1000;
    struct settle settle = { .notices.settings = &rig.notify };
    Ipc__Outcome outcome = IPC__OUTCOME__INIT;
    Ipc__Result results[16];
    Ipc__Result *pointers[16];
    uint8_t packed[4096];

    for (size_t i = 0; i < count; i++) {
        results[i] = *like;
        results[i].number = first + (uint32_t)i;
        pointers[i] = &results[i];
    }
    outcome.lease = ++lease;
    outcome.id = id;
    outcome.results = pointers;
    outcome.n_results = count;
    settle.outcome = ipc__outcome__unpack(NULL, ipc__outcome__pack(&outcome, packed), packed);
    settle_prepare(&settle);
    return settle;
}

static Ipc__Result a_result(Ipc__ResultKind kind, const char *status)
{
    Ipc__Result result = IPC__RESULT__INIT;

    result.kind = kind;
    result.status = bytes_of_span(span_of(status));
    result.reply = bytes_of_span(SPAN("the server's words"));
    result.remote = true;
    return result;
}

static struct notices commit(struct settle *settle)
{
    assert_int_equal(store_rig_commit(&rig, &settle->operation), OPERATION_COMMITTED);
    struct notices notices = settle->notices;
    settle_clear(settle);
    return notices;
}

static struct notices settled(uint64_t id, uint32_t first, size_t count, Ipc__ResultKind kind,
                              const char *status)
{
    const Ipc__Result like = a_result(kind, status);
    struct settle settle = a_settle(id, first, count, &like);

    return commit(&settle);
}

static struct notices failed(uint64_t id)
{
    return settled(id, 0, 1, IPC__RESULT_KIND__FAILED, "5.1.1");
}

static struct notices deferred(uint64_t id, uint32_t number)
{
    return settled(id, number, 1, IPC__RESULT_KIND__DEFERRED, "4.2.1");
}

/* For the message taken last, and for all that come. */
static void five_hours_pass(void)
{
    if (newest != 0 && store_rig_count(&rig, TABLE_MESSAGE) > 0)
        age_the_newest();
    comes_old = true;
}

/* ---- what was put into the queue ---------------------------------------------------------- */

static bool says(uint64_t id, const char *words)
{
    struct span content = store_rig_content(&rig, id);

    assert_non_null(content.data);
    bool found = memmem(content.data, content.len, words, strlen(words)) != NULL;
    free((void *)(uintptr_t)content.data);
    return found;
}

static void assert_goes_to(uint64_t id, const char *recipient, bool is_postmasters)
{
    Queue__MessageRecord *message = store_rig_message(&rig, id);
    Queue__RecipientRecord *row;

    assert_non_null(message);
    assert_true(message->notification);
    assert_int_equal(message->postmaster_copy, is_postmasters);
    assert_int_equal(message->envelope->reverse_path->text.len, 0); /* RFC 3464 s.2 */
    assert_int_equal(message->envelope->ret, 0);                    /* RFC 3461 s.6.1 */
    assert_true(store_rig_recipient(&rig, id, 0, &row));
    assert_int_equal(message->recipients, 1);
    assert_true(span_equal(span_of_bytes(row->recipient->forward_path->text), span_of(recipient)));
    assert_int_equal(row->recipient->notify, 0);
    queue__message_record__free_unpacked(message, NULL);
    queue__recipient_record__free_unpacked(row, NULL);
}

/* ---- delays ------------------------------------------------------------------------------- */

static void a_delay_is_told_once_when_the_time_has_come(void **state)
{
    (void)state;
    uint64_t id = a_message(1, 0);
    assert_int_equal(deferred(id, 0).notification, 0);
    five_hours_pass();
    struct notices notices = deferred(id, 0);
    assert_true(notices.notification > id);
    assert_int_equal(notices.action, ACTION_DELAYED);
    assert_goes_to(notices.notification, "ada@sender.test", false);
    assert_true(says(notices.notification, "Action: delayed\r\nStatus: 4.2.1\r\n"));
    assert_true(says(notices.notification, "Will-Retry-Until: "));
    assert_true(says(notices.notification, "Subject: lunch"));
    assert_false(says(notices.notification, "See you at noon")); /* RFC 3461 s.6.2 */
    assert_int_equal(deferred(id, 0).notification, 0);
    assert_true(failed(id).notification > 0);
}

static void without_a_time_no_delay_is_told(void **state)
{
    (void)state;
    rig.settings.delay_notice_after_s = 0;
    store_set_schedule(rig.store, &rig.settings);
    uint64_t id = a_message(1, NOTIFY_DELAY);
    five_hours_pass();
    assert_int_equal(deferred(id, 0).notification, 0);
}

static void a_route_has_a_time_of_its_own(void **state)
{
    struct route_settings *route = &rig.settings.routes[rig.settings.route_count++];
    (void)state;
    strcpy(route->name, "slow");
    route->delay_notice_after_s = 6 * 3600;
    store_set_schedule(rig.store, &rig.settings);
    uint64_t id = a_message(1, 0);
    five_hours_pass();
    assert_int_equal(deferred(id, 0).notification, 0);
    route->delay_notice_after_s = 3 * 3600;
    store_set_schedule(rig.store, &rig.settings);
    assert_true(deferred(id, 0).notification > 0);
}

static void notify_decides_about_delays(void **state)
{
    static const struct {
        uint32_t notify;
        bool told;
    } rows[] = { { 0, true },
                 { NOTIFY_NEVER, false },
                 { NOTIFY_FAILURE, false },
                 { NOTIFY_SUCCESS | NOTIFY_FAILURE, false },
                 { NOTIFY_DELAY, true } };
    (void)state;
    five_hours_pass();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct notices notices = deferred(a_message(1, rows[i].notify), 0);
        assert_int_equal(notices.notification != 0, rows[i].told);
        assert_int_equal(notices.untold, TOLD);
    }
}

static void delayed_recipients_of_a_message_come_in_one_notification(void **state)
{
    (void)state;
    uint64_t id = a_message(4, 0);
    deferred(id, 1);
    deferred(id, 2);
    five_hours_pass();
    uint64_t told = deferred(id, 0).notification;
    assert_true(says(told, "bob0@example.net"));
    assert_true(says(told, "bob1@example.net"));
    assert_true(says(told, "bob2@example.net"));
    assert_false(says(told, "bob3@example.net")); /* was not tried yet */
    assert_int_equal(deferred(id, 1).notification, 0);
    assert_int_equal(deferred(id, 2).notification, 0);
    assert_true(says(deferred(id, 3).notification, "bob3@example.net"));
}

static void as_many_as_there_are_are_told_of(void **state)
{
    char address[32];
    (void)state;
    uint64_t id = a_message(100, 0);
    for (uint32_t i = 1; i < 100; i++)
        deferred(id, i);
    five_hours_pass();
    uint64_t told = deferred(id, 0).notification;
    for (int i = 0; i < 100; i++) {
        snprintf(address, sizeof(address), "rfc822; bob%d@example.net\r\n", i);
        assert_true(says(told, address));
    }
}

static void machines_and_lists_hear_of_delays_when_they_ask(void **state)
{
    static const struct span content = { "Auto-Submitted: auto-generated\r\n\r\nx\r\n", 37 };
    (void)state;
    five_hours_pass();
    struct envelope envelope = an_envelope("robot@sender.test", 1, 0);
    struct notices notices = deferred(taken(&envelope, content), 0);
    assert_int_equal(notices.notification, 0);
    envelope = an_envelope("robot@sender.test", 1, NOTIFY_DELAY | NOTIFY_FAILURE);
    notices = deferred(taken(&envelope, content), 0);
    assert_true(notices.notification > 0);
    envelope = an_envelope("robot@sender.test", 1, 0);
    assert_true(failed(taken(&envelope, content)).notification > 0); /* failures always */
}

static void waiting_for_a_policy_is_no_delay_to_tell_of(void **state)
{
    (void)state;
    uint64_t id = a_message(1, 0);
    five_hours_pass();
    assert_int_equal(settled(id, 0, 1, IPC__RESULT_KIND__POLICY_UNKNOWN, "").notification, 0);
}

static void a_failure_comes_before_a_delay_of_the_same_message(void **state)
{
    (void)state;
    uint64_t id = a_message(2, 0);
    deferred(id, 1);
    five_hours_pass();
    struct notices notices = failed(id);
    assert_int_equal(notices.action, ACTION_FAILED);
    assert_false(says(notices.notification, "bob1@example.net")); /* it was not tried now */
    assert_int_equal(deferred(id, 1).action, ACTION_DELAYED);
}

/* ---- successes ---------------------------------------------------------------------------- */

static void a_discarded_recipient_is_told_as_delivered_to_who_asked(void **state)
{
    Ipc__Result discarded = a_result(IPC__RESULT_KIND__DELIVERED, "2.0.0");
    (void)state;
    discarded.cause = IPC__CAUSE__DISCARDED;
    discarded.remote = false;
    struct settle settle = a_settle(a_message(1, NOTIFY_SUCCESS), 0, 1, &discarded);
    uint64_t told = commit(&settle).notification;
    assert_true(says(told, "Action: delivered\r\nStatus: 2.0.0\r\n"));
    assert_true(says(told, "set up not to pass on"));
    settle = a_settle(a_message(1, 0), 0, 1, &discarded);
    assert_int_equal(commit(&settle).notification, 0);
}

static void only_a_host_without_dsn_makes_a_relay_to_tell_of(void **state)
{
    Ipc__Result relayed = a_result(IPC__RESULT_KIND__DELIVERED, "2.0.0");
    (void)state;
    struct settle settle = a_settle(a_message(1, NOTIFY_SUCCESS), 0, 1, &relayed);
    assert_int_equal(commit(&settle).notification, 0);
    relayed.relayed = true;
    settle = a_settle(a_message(1, NOTIFY_SUCCESS), 0, 1, &relayed);
    assert_true(says(commit(&settle).notification, "Action: relayed\r\n"));
}

/* Accepted, with the alias "both" in front of its two recipients. */
static struct notices expanded(const char *sender, uint32_t notify)
{
    struct envelope envelope = an_envelope(sender, 2, 0);
    struct address address;

    assert_int_equal(address_parse(SPAN("both@relay.example"), &address), ADDRESS_FINE);
    envelope_add_expanded(&envelope, &address)->notify = notify;
    struct accept accept = { .content = letter, .last = true, .envelope = &envelope };
    accept.size = letter.len;
    accept.id = store_new_id(rig.store);
    accept.notices.settings = &rig.notify;
    accept_prepare(&accept);
    assert_int_equal(store_rig_commit(&rig, &accept.operation), OPERATION_COMMITTED);
    envelope_clear(&envelope);
    assert_int_equal(settled(accept.id, 0, 2, IPC__RESULT_KIND__DELIVERED, "2.0.0").notification,
                     0);
    return accept.notices;
}

static void an_alias_of_several_is_told_as_expanded_with_the_message(void **state)
{
    (void)state;
    uint64_t told = expanded("ada@sender.test", NOTIFY_SUCCESS).notification;
    assert_goes_to(told, "ada@sender.test", false);
    assert_true(says(told, "Final-Recipient: rfc822; both@relay.example\r\n"
                           "Action: expanded\r\nStatus: 2.0.0\r\n"));
    assert_true(says(told, "stands for several others"));
    assert_true(says(told, "Subject: lunch"));
    assert_false(says(told, "See you at noon"));
    assert_false(says(told, "example.net"));
    assert_int_equal(expanded("ada@sender.test", NOTIFY_FAILURE).notification, 0);
    assert_int_equal(expanded("", NOTIFY_SUCCESS).notification, 0);
    assert_int_equal(store_usage(rig.store).messages, 1);
}

/* ---- who is not told ---------------------------------------------------------------------- */

static void strangers_are_counted_and_not_told(void **state)
{
    (void)state;
    struct notices notices = failed(a_strangers_message());
    assert_int_equal(notices.notification, 0);
    assert_int_equal(notices.postmaster_copy, 0);
    assert_int_equal(notices.untold, UNTOLD_STRANGER);
    five_hours_pass();
    assert_int_equal(deferred(a_strangers_message(), 0).untold, UNTOLD_STRANGER);
    assert_int_equal(store_usage(rig.store).strangers_untold, 2);
    store_rig_reopen(&rig);
    assert_int_equal(store_usage(rig.store).strangers_untold, 2);
}

static void beyond_the_limit_a_sender_is_counted_and_not_told(void **state)
{
    (void)state;
    rig.notify.notices_per_sender = 2;
    uint64_t first = failed(a_message(1, 0)).notification;
    uint64_t second = failed(a_message(1, 0)).notification;
    assert_false(says(first, "told nothing more until"));
    assert_true(says(second, "told nothing more until"));
    struct notices third = settled(a_message(3, 0), 0, 3, IPC__RESULT_KIND__FAILED, "5.1.1");
    assert_int_equal(third.notification, 0);
    assert_int_equal(third.untold, UNTOLD_LIMIT);
    assert_int_equal(store_usage(rig.store).senders_untold, 3);
    struct envelope other = an_envelope("eve@sender.test", 1, 0);
    assert_true(failed(taken(&other, letter)).notification > 0);
    store_rig_reopen(&rig);
    assert_int_equal(store_usage(rig.store).senders_untold, 3);
}

static void a_sender_that_is_no_address_is_not_told(void **state)
{
    struct envelope envelope = an_envelope("ada@sender.test", 1, 0);
    (void)state;
    strcpy(envelope.reverse_path.text, "no address");
    struct notices notices = failed(taken(&envelope, letter));
    assert_int_equal(notices.notification, 0);
    assert_int_equal(notices.untold, UNTOLD_NO_SENDER);
}

/* ---- the postmaster ----------------------------------------------------------------------- */

static void the_postmaster_gets_copies_of_the_classes_that_are_set(void **state)
{
    static const struct {
        unsigned copies;
        const char *status;
        bool copied;
    } rows[] = {
        { 0, "5.7.1", false },
        { CLASS_BOUNCE, "5.1.1", true },
        { CLASS_POLICY, "5.1.1", false },
        { CLASS_POLICY, "5.7.1", true },
        { CLASS_RESOURCE, "5.2.2", true },
        { CLASS_RESOURCE, "5.7.1", false },
        { CLASS_PROTOCOL, "5.5.1", true },
        { CLASS_DELAY | CLASS_DOUBLE_BOUNCE, "5.7.1", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rig.notify.postmaster_copies = rows[i].copies;
        struct notices notices =
            settled(a_message(1, 0), 0, 1, IPC__RESULT_KIND__FAILED, rows[i].status);
        assert_true(notices.notification > 0);
        assert_int_equal(notices.postmaster_copy != 0, rows[i].copied);
    }
}

static void a_copy_has_the_headers_alone(void **state)
{
    (void)state;
    rig.notify.postmaster_copies = CLASS_BOUNCE;
    struct notices notices = failed(a_message(1, 0));
    assert_goes_to(notices.postmaster_copy, "postmaster@relay.example", true);
    assert_true(says(notices.notification, "See you at noon"));
    assert_false(says(notices.postmaster_copy, "See you at noon"));
    assert_true(says(notices.postmaster_copy, "copy for the postmaster"));
    assert_true(says(notices.postmaster_copy, "<ada@sender.test>"));
}

static void delays_are_copied_as_delays(void **state)
{
    (void)state;
    rig.notify.postmaster_copies = CLASS_DELAY;
    five_hours_pass();
    struct notices notices = deferred(a_message(1, 0), 0);
    assert_true(says(notices.postmaster_copy, "has not been delivered yet"));
    assert_int_equal(failed(a_message(1, 0)).postmaster_copy, 0);
}

static void without_a_mailbox_set_it_is_postmaster_at_our_name(void **state)
{
    (void)state;
    rig.notify.postmaster_copies = CLASS_BOUNCE;
    rig.notify.postmaster[0] = '\0';
    assert_goes_to(failed(a_message(1, 0)).postmaster_copy, "postmaster@relay.example", true);
}

static void the_postmaster_as_sender_gets_no_second_one(void **state)
{
    struct envelope envelope = an_envelope("Postmaster@relay.example", 1, 0);
    (void)state;
    rig.notify.postmaster_copies = CLASS_BOUNCE;
    struct notices notices = failed(taken(&envelope, letter));
    assert_true(notices.notification > 0);
    assert_int_equal(notices.postmaster_copy, 0);
}

static void a_double_bounce_goes_to_the_postmaster_and_no_further(void **state)
{
    (void)state;
    rig.notify.postmaster_copies = CLASS_DOUBLE_BOUNCE | CLASS_BOUNCE;
    struct notices first = failed(a_message(1, 0));
    struct notices second = failed(first.notification);
    assert_int_equal(second.notification, 0);
    assert_int_equal(second.untold, UNTOLD_NO_SENDER);
    assert_goes_to(second.postmaster_copy, "postmaster@relay.example", true);
    assert_true(says(second.postmaster_copy, "There is nobody else to tell"));
    assert_true(says(second.postmaster_copy, "See you at noon"));
    struct notices third = failed(second.postmaster_copy);
    assert_int_equal(third.notification + third.postmaster_copy, 0);
    third = failed(first.postmaster_copy);
    assert_int_equal(third.notification + third.postmaster_copy, 0);
}

static void copies_are_limited_too(void **state)
{
    (void)state;
    rig.notify.postmaster_copies = CLASS_BOUNCE;
    rig.notify.notices_per_sender = 1;
    assert_true(failed(a_message(1, 0)).postmaster_copy > 0);
    struct envelope envelope = an_envelope("eve@sender.test", 1, 0);
    struct notices notices = failed(taken(&envelope, letter));
    assert_true(notices.notification > 0);
    assert_int_equal(notices.postmaster_copy, 0);
}

/* ---- the same transaction ----------------------------------------------------------------- */

static void a_transaction_given_up_leaves_neither_and_the_next_both_once(void **state)
{
    Ipc__Result result = a_result(IPC__RESULT_KIND__FAILED, "5.1.1");
    struct store_txn txn;
    (void)state;
    rig.notify.notices_per_sender = 1;
    rig.notify.postmaster_copies = CLASS_BOUNCE;
    uint64_t id = a_message(1, 0);
    struct settle settle = a_settle(id, 0, 1, &result);
    assert_null(store_begin(rig.store, &txn));
    assert_null(settle.operation.apply(&settle.operation, &txn));
    uint64_t promised = settle.notices.notification;
    store_abort(&txn);
    assert_int_equal(store_rig_count(&rig, TABLE_MESSAGE), 1);
    assert_int_equal(store_rig_count(&rig, TABLE_RECIPIENT), 1);
    struct notices notices = commit(&settle);
    assert_int_equal(notices.notification, promised); /* and it was not counted twice */
    assert_int_equal(store_rig_count(&rig, TABLE_MESSAGE), 2);
}

static void what_was_settled_before_a_crash_is_told_after_it_once(void **state)
{
    (void)state;
    uint64_t id = a_message(1, 0);
    store_close(&rig.store);
    pid_t child = fork();
    if (child == 0) {
        int exit_status;
        if (store_open(rig.folder, store_limits_of(&rig.settings), 1000, &rig.store, &exit_status))
            _exit(2);
        store_set_schedule(rig.store, &rig.settings);
        if (failed(id).notification == 0)
            _exit(3);
        _exit(0); /* nothing is closed */
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    store_rig_reopen(&rig);
    assert_int_equal(store_rig_count(&rig, TABLE_MESSAGE), 1); /* the notification */
    assert_int_equal(failed(id).notification, 0);              /* the outcome is handed in again */
    assert_int_equal(store_rig_count(&rig, TABLE_MESSAGE), 1);
}

/* ---- operators ---------------------------------------------------------------------------- */

/* As an operation of `queue bounce` does it. */
struct sent_back {
    struct operation operation;
    struct notices notices;
    uint64_t id;
};

static struct error *apply_sent_back(struct operation *operation, struct store_txn *txn)
{
    struct sent_back *sent = (struct sent_back *)operation;
    Queue__MessageRecord *message;
    Queue__RecipientRecord *recipient;
    Ipc__Result result;

    assert_null(message_get(txn, sent->id, &message));
    notices_begin(&sent->notices, txn, sent->id, message, 1);
    assert_null(recipient_get(txn, sent->id, 0, &recipient));
    notices_operator_result(SPAN("phishing; ticket 77"), &result);
    assert_null(recipient_remove(txn, sent->id, 0, recipient));
    notices_add(&sent->notices, &(struct notify_recipient){ .record = recipient,
                                                            .result = &result,
                                                            .action = ACTION_FAILED });
    struct error *err = notices_put(&sent->notices);
    return err ? err : message_remove(txn, sent->id, message);
}

static void what_an_operator_sends_back_gives_the_reason(void **state)
{
    struct sent_back sent = { .operation = { .lane = LANE_SETTLEMENT, .apply = apply_sent_back },
                              .notices.settings = &rig.notify };
    (void)state;
    sent.id = a_message(1, 0);
    assert_int_equal(store_rig_commit(&rig, &sent.operation), OPERATION_COMMITTED);
    uint64_t told = sent.notices.notification;
    assert_true(says(told, "The administrator of this mail system sent the message back."));
    assert_true(says(told, "The reason that was given:\r\n    phishing; ticket 77\r\n"));
    assert_true(says(told, "Status: 5.7.0\r\nDiagnostic-Code: x-waxseal; phishing; ticket 77\r\n"));
    assert_false(says(told, "Remote-MTA"));
}

/* ---- the log ------------------------------------------------------------------------------ */

static void assert_logs(const struct notices *notices, const char *line)
{
    FILE *file = tmpfile();
    char text[512];

    assert_non_null(file);
    log_open(fileno(file), LOG_INFO, "queue");
    notices_log(notices, 0x3f9c21);
    log_flush();
    log_open(STDERR_FILENO, LOG_INFO, "test");
    rewind(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    text[len] = '\0';
    fclose(file);
    if (line[0] == '\0')
        assert_int_equal(len, 0);
    else
        assert_non_null(strstr(text, line));
}

static void the_log_says_what_was_told_and_what_was_not(void **state)
{
    (void)state;
    assert_logs(&(struct notices){ .notification = 0 }, "");
    assert_logs(&(struct notices){ .notification = 0xabc, .action = ACTION_DELAYED },
                "info queue[");
    assert_logs(&(struct notices){ .notification = 0xabc, .action = ACTION_DELAYED },
                "bounce qid=3f9c21 notification=abc kind=delayed untold=\"\"\n");
    assert_logs(&(struct notices){ .untold = UNTOLD_STRANGER },
                "bounce qid=3f9c21 notification=\"\" kind=failed untold=stranger\n");
    assert_logs(&(struct notices){ .untold = UNTOLD_LIMIT }, "warning queue[");
    assert_logs(&(struct notices){ .untold = UNTOLD_LIMIT }, "untold=limit\n");
    assert_logs(&(struct notices){ .untold = UNTOLD_NO_SENDER }, "untold=no-sender\n");
    assert_logs(&(struct notices){ .postmaster_copy = 0xabd, .notification = 0xabc },
                "postmaster-copy qid=3f9c21 notification=abd kind=failed\n");
}

/* ---- the original ------------------------------------------------------------------------- */

static struct error *apply_lose_content(struct operation *operation, struct store_txn *txn)
{
    struct record_key key = key_of_part(newest, 0);

    (void)operation;
    return store_remove(txn, TABLE_CONTENT, &key);
}

static void a_message_whose_content_is_lost_is_told_of_all_the_same(void **state)
{
    struct operation operation = { .lane = LANE_SETTLEMENT, .apply = apply_lose_content };
    (void)state;
    uint64_t id = a_message(1, 0);
    assert_int_equal(store_rig_commit(&rig, &operation), OPERATION_COMMITTED);
    uint64_t told = failed(id).notification;
    assert_true(says(told, "Final-Recipient: rfc822; bob0@example.net"));
    assert_true(says(told, "text/rfc822-headers"));
}

static void of_a_large_message_the_headers_come_back(void **state)
{
    struct envelope envelope = an_envelope("ada@sender.test", 1, 0);
    struct buf content;
    (void)state;
    buf_init(&content, 1024 * 1024);
    assert_true(buf_append(&content, SPAN("Subject: large\r\n\r\n")));
    for (int i = 0; i < 10000; i++)
        assert_true(buf_append(&content, SPAN("and so on\r\n")));
    uint64_t told = failed(taken(&envelope, buf_span(&content))).notification;
    assert_true(says(told, "Subject: large"));
    assert_false(says(told, "and so on"));
    buf_clear(&content);
}

/* ---- whatever happens --------------------------------------------------------------------- */

static uint64_t a_random_message(void)
{
    static const char *const senders[] = { "", "ada@sender.test", "postmaster@relay.example" };
    struct envelope envelope =
        an_envelope(senders[random_below(3)], 1, (uint32_t)(random_below(8) * 2));

    envelope.from_stranger = random_below(4) == 0;
    return taken(&envelope, letter);
}

static bool answers_nobody(uint64_t id)
{
    Queue__MessageRecord *message = store_rig_message(&rig, id);
    bool nobody = message->notification || message->envelope->reverse_path->text.len == 0 ||
                  message->envelope->from_stranger;

    queue__message_record__free_unpacked(message, NULL);
    return nobody;
}

/* Follows all that a message leads to, to its end; gives how many notifications that were. */
static unsigned follow(uint64_t id)
{
    static const Ipc__ResultKind kinds[] = { IPC__RESULT_KIND__DELIVERED,
                                             IPC__RESULT_KIND__FAILED };
    bool nobody = answers_nobody(id);
    unsigned count = 0;

    if (random_below(2) == 0) {
        struct notices waits = deferred(id, 0);
        assert_false(nobody && waits.notification != 0);
        count += waits.notification ? 1 + follow(waits.notification) : 0;
        count += waits.postmaster_copy ? 1 + follow(waits.postmaster_copy) : 0;
    }
    Ipc__Result like = a_result(kinds[random_below(2)], "5.0.0");
    like.relayed = random_below(2) == 0;
    struct settle settle = a_settle(id, 0, 1, &like);
    struct notices ends = commit(&settle);
    assert_false(nobody && ends.notification != 0);
    count += ends.notification ? 1 + follow(ends.notification) : 0;
    count += ends.postmaster_copy ? 1 + follow(ends.postmaster_copy) : 0;
    return count;
}

static void no_notification_answers_another_or_the_null_sender(void **state)
{
    (void)state;
    five_hours_pass();
    for (int i = 0; i < 200; i++) {
        rig.notify.postmaster_copies = (unsigned)random_below(64);
        assert_true(follow(a_random_message()) <= 10);
    }
    assert_int_equal(store_usage(rig.store).messages, 0); /* all of it came to an end */
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_rig, close_rig, NULL                                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("a delay is told once, when the time has come, and headers come back",
             a_delay_is_told_once_when_the_time_has_come),
        TEST("without delay-notice-after no delay is told", without_a_time_no_delay_is_told),
        TEST("a route has a time of its own", a_route_has_a_time_of_its_own),
        TEST("NOTIFY decides about delays (RFC 3461 s.5.2.5)", notify_decides_about_delays),
        TEST("the delayed recipients of a message come in one notification",
             delayed_recipients_of_a_message_come_in_one_notification),
        TEST("as many are told of as there are", as_many_as_there_are_are_told_of),
        TEST("machines and lists hear of delays when they ask, of failures always",
             machines_and_lists_hear_of_delays_when_they_ask),
        TEST("waiting for a policy is no delay to tell of",
             waiting_for_a_policy_is_no_delay_to_tell_of),
        TEST("a failure comes alone; those that wait are told when they are tried",
             a_failure_comes_before_a_delay_of_the_same_message),
        TEST("a recipient that a route discards is told as delivered to who asked",
             a_discarded_recipient_is_told_as_delivered_to_who_asked),
        TEST("an alias of several is told as expanded, with the message (RFC 3461 s.5.2.7.3)",
             an_alias_of_several_is_told_as_expanded_with_the_message),
        TEST("only a host without DSN makes a relay to tell of (RFC 3461 s.5.2.2)",
             only_a_host_without_dsn_makes_a_relay_to_tell_of),
        TEST("strangers are counted and not told, neither of failures nor of delays",
             strangers_are_counted_and_not_told),
        TEST("beyond notices-per-sender a sender is counted and not told, and knows it",
             beyond_the_limit_a_sender_is_counted_and_not_told),
        TEST("a sender that is no address is not told", a_sender_that_is_no_address_is_not_told),
        TEST("the postmaster gets copies of the classes that are set",
             the_postmaster_gets_copies_of_the_classes_that_are_set),
        TEST("a copy for the postmaster has the headers alone", a_copy_has_the_headers_alone),
        TEST("delays are copied as delays", delays_are_copied_as_delays),
        TEST("without a mailbox set the postmaster is that of our own name",
             without_a_mailbox_set_it_is_postmaster_at_our_name),
        TEST("the postmaster as sender gets no second one",
             the_postmaster_as_sender_gets_no_second_one),
        TEST("a double bounce goes to the postmaster and no further",
             a_double_bounce_goes_to_the_postmaster_and_no_further),
        TEST("copies for the postmaster are limited, too", copies_are_limited_too),
        TEST("a transaction that is given up leaves neither settlement nor notification",
             a_transaction_given_up_leaves_neither_and_the_next_both_once),
        TEST("what was settled before a crash is told after it, once",
             what_was_settled_before_a_crash_is_told_after_it_once),
        TEST("what an operator sends back gives the reason",
             what_an_operator_sends_back_gives_the_reason),
        TEST("the log says what was told, and what was not and why",
             the_log_says_what_was_told_and_what_was_not),
        TEST("a message whose content is lost is told of all the same",
             a_message_whose_content_is_lost_is_told_of_all_the_same),
        TEST("of a large message the headers come back", of_a_large_message_the_headers_come_back),
        TEST("whatever happens, no notification answers another, the null sender or a stranger",
             no_notification_answers_another_or_the_null_sender),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
