#include "tests/support/two_queues.h"

#include "tests/support/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct store_rig first;
struct store_rig other;
char folder[64];
char large[LARGE];
uint64_t large_id;
struct queue_report report;

int open_rigs(void **state)
{
    (void)state;
    store_rig_open(&first);
    store_rig_open(&other);
    strcpy(folder, "/tmp/waxseal-export.XXXXXX");
    assert_non_null(mkdtemp(folder));
    memset(large, 'x', sizeof(large));
    for (int i = 0; i < MESSAGES; i++)
        store_rig_accept(&first, "ada@sender.test", "bob@example.net",
                         SPAN("Subject: small\r\n\r\n"));
    large_id = store_rig_accept(&first, "eve@sender.test", "tom@example.com",
                                (struct span){ large, sizeof(large) });
    report = (struct queue_report){ 0 };
    return 0;
}

int close_rigs(void **state)
{
    (void)state;
    store_rig_close(&first);
    store_rig_close(&other);
    remove_folder(folder);
    return 0;
}

/* The tools want the queues closed, as the relay is stopped. */
void close_stores(void)
{
    store_close(&first.store);
    store_close(&other.store);
}

void must(struct error *err)
{
    if (err)
        fail_msg("%s", error_text(err));
}

uint64_t last_id(struct store_rig *of)
{
    struct kv_txn *txn;
    struct kv_cursor *cursor;
    struct span key;
    struct span value;
    uint64_t id = 0;
    assert_null(kv_begin_read(store_kv(of->store), &txn));
    assert_null(kv_cursor_open(txn, TABLE_MESSAGE, &cursor));
    assert_null(kv_cursor_last(cursor, &key, &value));
    assert_true(key_read_id(key, &id));
    kv_cursor_close(&cursor);
    kv_abort(&txn);
    return id;
}

void move_by_export(void)
{
    close_stores();
    must(queue_export(&first.settings, first.folder, folder, &report));
    assert_int_equal(report.damaged, 0);
    must(queue_import(&other.settings, other.folder, folder, &report));
    assert_int_equal(report.damaged, 0);
}

void move_by_salvage(void)
{
    close_stores();
    must(queue_salvage(&other.settings, other.folder, first.folder, &report));
    assert_int_equal(report.damaged, 0);
}

void assert_all_arrived(void)
{
    store_rig_reopen(&other);
    assert_int_equal(store_usage(other.store).messages, MESSAGES + 1);
    assert_int_equal(store_rig_count(&other, TABLE_DUE), MESSAGES + 1);
    assert_int_equal(store_rig_count(&other, TABLE_RECEIVING), 0);
    struct span content = store_rig_content(&other, last_id(&other));
    assert_true(span_equal(content, (struct span){ large, sizeof(large) }));
    free((void *)(uintptr_t)content.data);
}

int open_data(void)
{
    struct buf path;
    buf_init(&path, 200);
    assert_true(buf_printf(&path, "%s/data.mdb", first.folder) && buf_append(&path, SPAN("\0")));
    int fd = open(buf_span(&path).data, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    buf_clear(&path);
    return fd;
}

void lose_tree(void)
{
    static char page[4096];
    uint16_t flags;
    int fd = open_data();
    for (off_t at = 2 * 4096; pread(fd, page, sizeof(page), at) == sizeof(page);
         at += sizeof(page)) {
        memcpy(&flags, page + 10, sizeof(flags));
        if (flags == 1) { /* every branch page */
            memset(page, 0xff, sizeof(page));
            assert_int_equal(pwrite(fd, page, sizeof(page), at), sizeof(page));
        }
    }
    close(fd);
}
