#include "lib/io/kv.h"
#include "lib/base/memory.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAP_BYTES = 4 * 1024 * 1024, PEOPLE = 0, PLACES = 1 };
static const char *const tables[] = { "people", "places" };

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static int make_folder(void **state)
{
    char *folder = strdup("/tmp/test_kv.XXXXXX");
    *state = mkdtemp(folder);
    return *state ? 0 : -1;
}

static int remove_folder(void **state)
{
    nftw(*state, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return 0;
}

static void must(struct error *err)
{
    if (err)
        fail_msg("%s", error_text(err));
}

static void must_fail(struct error *err)
{
    assert_non_null(err);
    assert_int_equal(error_kind(err), ERROR_LOCAL);
    error_free(&err);
}

static struct kv *open_store(const char *folder)
{
    struct kv *kv = NULL;
    enum kv_trouble trouble = KV_UNKNOWN;
    must(kv_open(folder, MAP_BYTES, tables, 2, 0, &kv, &trouble));
    assert_int_equal(trouble, KV_FINE);
    return kv;
}

static enum kv_trouble open_fails(const char *folder)
{
    struct kv *kv = NULL;
    enum kv_trouble trouble = KV_FINE;
    must_fail(kv_open(folder, MAP_BYTES, tables, 2, 0, &kv, &trouble));
    assert_null(kv);
    return trouble;
}

static void store(struct kv *kv, kv_table table, const char *key, const char *value)
{
    struct kv_txn *txn = NULL;
    must(kv_begin_write(kv, &txn));
    must(kv_put(txn, table, span_of(key), span_of(value)));
    must(kv_commit(&txn));
    assert_null(txn);
}

static void assert_stored(struct kv *kv, kv_table table, const char *key, const char *value)
{
    struct kv_txn *txn = NULL;
    struct span got;
    must(kv_begin_read(kv, &txn));
    must(kv_get(txn, table, span_of(key), &got));
    if (value) {
        assert_non_null(got.data);
        assert_true(span_equal(got, span_of(value)));
    } else {
        assert_null(got.data);
    }
    kv_abort(&txn);
}

static void assert_size(struct kv *kv, kv_table table, const char *key, size_t size)
{
    struct kv_txn *txn = NULL;
    struct span got;
    must(kv_begin_read(kv, &txn));
    must(kv_get(txn, table, span_of(key), &got));
    assert_int_equal(got.len, size);
    assert_true(got.data[0] == 'x' && got.data[size - 1] == 'x');
    kv_abort(&txn);
}

static void path_of(const char *folder, const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", folder, name);
}

static void what_was_committed_is_there_after_reopening(void **state)
{
    struct kv *kv = open_store(*state);
    store(kv, PEOPLE, "ada", "London");
    store(kv, PLACES, "ada", "not the same table");
    kv_close(&kv);
    assert_null(kv);
    kv = open_store(*state);
    assert_stored(kv, PEOPLE, "ada", "London");
    assert_stored(kv, PLACES, "ada", "not the same table");
    assert_stored(kv, PEOPLE, "bob", NULL);
    kv_close(&kv);
}

static void what_was_aborted_is_not_there(void **state)
{
    struct kv *kv = open_store(*state);
    struct kv_txn *txn = NULL;
    must(kv_begin_write(kv, &txn));
    must(kv_put(txn, PEOPLE, SPAN("ada"), SPAN("London")));
    kv_abort(&txn);
    assert_null(txn);
    kv_abort(&txn);
    assert_stored(kv, PEOPLE, "ada", NULL);
    kv_close(&kv);
}

static void an_empty_value_differs_from_none(void **state)
{
    struct kv *kv = open_store(*state);
    store(kv, PEOPLE, "ada", "");
    assert_stored(kv, PEOPLE, "ada", "");
    kv_close(&kv);
}

static void room_is_filled_in_place(void **state)
{
    struct kv *kv = open_store(*state);
    struct kv_txn *txn = NULL;
    char *room = NULL;
    must(kv_begin_write(kv, &txn));
    must(kv_put_room(txn, PEOPLE, SPAN("ada"), 6, &room));
    memcpy(room, "London", 6);
    must(kv_commit(&txn));
    assert_stored(kv, PEOPLE, "ada", "London");
    kv_close(&kv);
}

static void removing_what_is_not_there_is_no_error(void **state)
{
    struct kv *kv = open_store(*state);
    struct kv_txn *txn = NULL;
    uint64_t count = 0;
    store(kv, PEOPLE, "ada", "London");
    store(kv, PEOPLE, "bob", "Paris");
    must(kv_begin_write(kv, &txn));
    must(kv_remove(txn, PEOPLE, SPAN("ada")));
    must(kv_remove(txn, PEOPLE, SPAN("ada")));
    must(kv_count(txn, PEOPLE, &count));
    assert_int_equal(count, 1);
    assert_int_equal(kv_txn_trouble(txn), KV_FINE);
    must(kv_commit(&txn));
    kv_close(&kv);
}

static void a_cursor_walks_in_the_order_of_keys(void **state)
{
    struct kv *kv = open_store(*state);
    struct kv_txn *txn = NULL;
    struct kv_cursor *cursor = NULL;
    struct span key;
    struct span value;
    store(kv, PEOPLE, "c", "3");
    store(kv, PEOPLE, "a", "1");
    store(kv, PEOPLE, "b", "2");
    must(kv_begin_read(kv, &txn));
    must(kv_cursor_open(txn, PEOPLE, &cursor));
    must(kv_cursor_seek(cursor, (struct span){ NULL, 0 }, &key, &value));
    assert_true(span_equal(key, SPAN("a")));
    must(kv_cursor_seek(cursor, SPAN("aa"), &key, &value));
    assert_true(span_equal(key, SPAN("b")) && span_equal(value, SPAN("2")));
    must(kv_cursor_next(cursor, &key, &value));
    assert_true(span_equal(key, SPAN("c")));
    must(kv_cursor_next(cursor, &key, &value));
    assert_null(key.data);
    must(kv_cursor_last(cursor, &key, &value));
    assert_true(span_equal(key, SPAN("c")));
    must(kv_cursor_seek(cursor, SPAN("d"), &key, &value));
    assert_null(key.data);
    kv_cursor_close(&cursor);
    kv_abort(&txn);
    kv_close(&kv);
}

static void a_full_map_is_told_from_damage_and_loses_only_its_batch(void **state)
{
    struct kv *kv = open_store(*state);
    struct kv_txn *txn = NULL;
    char *room;
    struct error *err = NULL;
    store(kv, PEOPLE, "ada", "London");
    must(kv_begin_write(kv, &txn));
    for (unsigned i = 0; !err && i < 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "big%u", i);
        err = kv_put_room(txn, PEOPLE, span_of(key), 256 * 1024, &room);
    }
    must_fail(err);
    assert_int_equal(kv_txn_trouble(txn), KV_FULL);
    must_fail(kv_put(txn, PEOPLE, SPAN("bob"), SPAN("Paris")));
    assert_int_equal(kv_txn_trouble(txn), KV_FULL);
    must_fail(kv_commit(&txn));
    assert_null(txn);
    assert_int_equal(kv_trouble(kv), KV_FULL);
    store(kv, PEOPLE, "bob", "Rome");
    assert_int_equal(kv_trouble(kv), KV_FINE);
    assert_stored(kv, PEOPLE, "ada", "London");
    assert_stored(kv, PEOPLE, "big0", NULL);
    kv_close(&kv);
}

static void two_processes_never_hold_one_folder(void **state)
{
    struct kv *kv = open_store(*state);
    pid_t child = fork();
    if (child == 0) {
        struct kv *other = NULL;
        enum kv_trouble trouble;
        struct error *err = kv_open(*state, MAP_BYTES, tables, 2, 50, &other, &trouble);
        _exit(err && trouble == KV_FINE && strstr(error_text(err), "lock") ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    kv_close(&kv);
}

static void a_successor_waits_for_the_lock_of_a_killed_one(void **state)
{
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct kv *kv = open_store(*state);
        struct kv_txn *txn = NULL;
        store(kv, PEOPLE, "ada", "London");
        must(kv_begin_write(kv, &txn));
        must(kv_put(txn, PEOPLE, SPAN("ada"), SPAN("half done")));
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        usleep(200 * 1000);
        kill(getpid(), SIGKILL);
    }
    char byte;
    struct kv *kv = NULL;
    enum kv_trouble trouble;
    int status;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    must(kv_open(*state, MAP_BYTES, tables, 2, 5000, &kv, &trouble));
    assert_stored(kv, PEOPLE, "ada", "London");
    store(kv, PEOPLE, "ada", "Paris");
    kv_close(&kv);
    waitpid(child, &status, 0);
}

static void nothing_of_a_store_outlives_exec(void **state)
{
    struct kv *kv = open_store(*state);
    char path[64];
    char target[256];
    unsigned seen = 0;
    for (int fd = 3; fd < 64; fd++) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        ssize_t len = readlink(path, target, sizeof(target) - 1);
        if (len < 0 || strncmp(target, *state, strlen(*state)) != 0)
            continue;
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        seen++;
    }
    assert_true(seen >= 4); /* lock, lock.mdb, data.mdb twice */
    kv_close(&kv);
}

static void a_file_cut_short_is_damage(void **state)
{
    char path[256];
    struct kv *kv = open_store(*state);
    for (unsigned i = 0; i < 40; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key%u", i);
        struct kv_txn *txn = NULL;
        char *room;
        must(kv_begin_write(kv, &txn));
        must(kv_put_room(txn, PEOPLE, span_of(key), 8000, &room));
        memset(room, 'x', 8000);
        must(kv_commit(&txn));
    }
    kv_close(&kv);
    path_of(*state, "data.mdb", path);
    assert_int_equal(truncate(path, 40960), 0);
    assert_int_equal(open_fails(*state), KV_BROKEN);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(open_fails(*state), KV_BROKEN);
}

static void an_emptied_file_is_damage_and_not_a_new_store(void **state)
{
    char path[256];
    struct kv *kv = open_store(*state);
    kv_close(&kv);
    path_of(*state, "data.mdb", path);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(open_fails(*state), KV_BROKEN);
}

static void a_file_of_another_kind_is_damage(void **state)
{
    char path[256];
    path_of(*state, "data.mdb", path);
    FILE *file = fopen(path, "w");
    for (unsigned i = 0; i < 20000; i++)
        fputs("not a database\n", file);
    fclose(file);
    assert_int_equal(open_fails(*state), KV_BROKEN);
}

static void a_folder_in_the_files_place_is_damage(void **state)
{
    char path[256];
    path_of(*state, "data.mdb", path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(open_fails(*state), KV_BROKEN);
}

/* A role works in its folder; who reads its log does not know where that is. */
static void an_error_names_the_whole_path_of_the_folder(void **state)
{
    char path[256], before[4096];
    struct kv *kv;
    enum kv_trouble trouble;
    path_of(*state, "data.mdb", path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(*state), 0);
    struct error *err = kv_open(".", MAP_BYTES, tables, 2, 0, &kv, &trouble);
    assert_int_equal(chdir(before), 0);
    assert_non_null(err);
    assert_non_null(strstr(error_text(err), *state));
    assert_null(strstr(error_text(err), "store ."));
    error_free(&err);
}

static void a_folder_that_is_not_there_is_no_damage(void **state)
{
    char path[256];
    path_of(*state, "nowhere", path);
    assert_int_equal(open_fails(path), KV_FINE);
}

static void the_reserve_is_allocated_ahead_of_what_is_used(void **state)
{
    char path[256];
    struct stat st;
    struct kv *kv = open_store(*state);
    must(kv_reserve(kv, 1024 * 1024));
    must(kv_reserve(kv, 1024 * 1024));
    path_of(*state, "data.mdb", path);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks * 512 >= 1024 * 1024);
    store(kv, PEOPLE, "ada", "London");
    kv_close(&kv);
    kv = open_store(*state);
    assert_stored(kv, PEOPLE, "ada", "London");
    kv_close(&kv);
}

/* How much behind what is used was written; what was only allocated is a hole. */
static off_t written_ahead(const char *folder, struct kv *kv)
{
    char path[256];
    struct kv_stat figures;

    kv_stat(kv, &figures);
    path_of(folder, "data.mdb", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    off_t used = (off_t)figures.used_bytes;
    off_t ahead = lseek(fd, used, SEEK_DATA) == used ? lseek(fd, used, SEEK_HOLE) - used : 0;
    close(fd);
    return ahead;
}

/* A value of so many bytes, under one more key. */
static void grow(struct kv *kv, unsigned number, size_t bytes)
{
    char name[16];
    char *value = memory_new(bytes + 1);

    memset(value, 'x', bytes);
    snprintf(name, sizeof(name), "%06u", number);
    store(kv, PEOPLE, name, value);
    assert_stored(kv, PEOPLE, name, value);
    free(value);
}

static void what_a_slowly_growing_file_takes_next_is_written(void **state)
{
    enum { RESERVE = 1024 * 1024, ZEROS = 512 * 1024, GROWTH = 12 * 1024 };
    struct kv *kv = open_store(*state);

    kv_close(&kv);
    kv = open_store(*state);
    must(kv_reserve(kv, RESERVE));
    kv_write_ahead(kv);
    assert_int_equal(written_ahead(*state, kv), 0); /* before this process has committed anything */
    grow(kv, 0, 8192);
    kv_write_ahead(kv);
    assert_int_equal(written_ahead(*state, kv), ZEROS);
    for (unsigned i = 0; i < 100; i++) {
        grow(kv, i, 8192);
        must(kv_reserve(kv, RESERVE));
        kv_write_ahead(kv);
        assert_in_range(written_ahead(*state, kv), ZEROS / 4 - GROWTH, ZEROS + ZEROS / 4);
    }
    kv_close(&kv);
    kv = open_store(*state); /* what it wrote was not in the way of what was stored */
    for (unsigned i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%06u", i);
        assert_size(kv, PEOPLE, name, 8192);
    }
    kv_close(&kv);
}

static void what_a_fast_growing_file_takes_is_not_written_twice(void **state)
{
    struct kv *kv = open_store(*state);

    grow(kv, 0, 1024 * 1024);
    must(kv_reserve(kv, 1024 * 1024));
    kv_write_ahead(kv);
    assert_int_equal(written_ahead(*state, kv), 0);
    kv_write_ahead(kv); /* it stands still */
    assert_int_equal(written_ahead(*state, kv), 512 * 1024);
    kv_close(&kv);
}

static void a_forgotten_reader_shows_in_the_figures(void **state)
{
    struct kv *kv = open_store(*state);
    struct kv_txn *reader = NULL;
    struct kv_stat figures;
    store(kv, PEOPLE, "ada", "London");
    kv_stat(kv, &figures);
    assert_int_equal(figures.oldest_reader_lag, 0);
    must(kv_begin_read(kv, &reader));
    for (unsigned i = 0; i < 5; i++)
        store(kv, PEOPLE, "ada", i % 2 ? "Paris" : "Rome");
    kv_stat(kv, &figures);
    assert_int_equal(figures.oldest_reader_lag, 5);
    assert_int_equal(figures.map_bytes, MAP_BYTES);
    assert_true(figures.free_bytes > 0 && figures.free_bytes < figures.used_bytes);
    kv_abort(&reader);
    kv_close(&kv);
}

static void checksums_are_crc_32c(void **state)
{
    static const char zeros[32];
    (void)state;
    /* RFC 3720 s.B.4, and the check value of the polynomial. */
    assert_int_equal(kv_checksum(0, SPAN("123456789")), 0xe3069283);
    assert_int_equal(kv_checksum(0, (struct span){ zeros, 32 }), 0x8a9136aa);
    assert_int_equal(kv_checksum(0, SPAN("")), 0);
    assert_int_equal(kv_checksum(kv_checksum(0, SPAN("1234")), SPAN("56789")), 0xe3069283);
}

/* Long runs are summed in blocks; in pieces of seven bytes there is none. */
static void checksums_of_long_runs_are_those_of_their_pieces(void **state)
{
    enum { LONG = 3 * 16384 };
    char *bytes = memory_new(LONG);

    (void)state;
    for (size_t i = 0; i < LONG; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    for (size_t len = 0; len <= LONG; len += len < 4200 ? 1 : 1361) {
        uint32_t sum = 0;
        for (size_t at = 0; at < len; at += 7)
            sum = kv_checksum(sum, (struct span){ bytes + at, len - at < 7 ? len - at : 7 });
        assert_int_equal(kv_checksum(0, (struct span){ bytes, len }), sum);
    }
    free(bytes);
}

#define STORY(title, function)                                                                     \
    {                                                                                              \
        title, function, make_folder, remove_folder, NULL                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY("what was committed is there after reopening",
              what_was_committed_is_there_after_reopening),
        STORY("what was aborted is not there", what_was_aborted_is_not_there),
        STORY("an empty value differs from none", an_empty_value_differs_from_none),
        STORY("room is filled in place", room_is_filled_in_place),
        STORY("removing what is not there is no error", removing_what_is_not_there_is_no_error),
        STORY("a cursor walks in the order of keys", a_cursor_walks_in_the_order_of_keys),
        STORY("a full map is told from damage and loses only its batch",
              a_full_map_is_told_from_damage_and_loses_only_its_batch),
        STORY("two processes never hold one folder", two_processes_never_hold_one_folder),
        STORY("a successor waits for the lock of a killed one",
              a_successor_waits_for_the_lock_of_a_killed_one),
        STORY("nothing of a store outlives exec", nothing_of_a_store_outlives_exec),
        STORY("a file cut short is damage", a_file_cut_short_is_damage),
        STORY("an emptied file is damage and not a new store",
              an_emptied_file_is_damage_and_not_a_new_store),
        STORY("a file of another kind is damage", a_file_of_another_kind_is_damage),
        STORY("a folder in the file's place is damage", a_folder_in_the_files_place_is_damage),
        STORY("an error names the whole path of the folder",
              an_error_names_the_whole_path_of_the_folder),
        STORY("a folder that is not there is no damage", a_folder_that_is_not_there_is_no_damage),
        STORY("the reserve is allocated ahead of what is used",
              the_reserve_is_allocated_ahead_of_what_is_used),
        STORY("what a slowly growing file takes next is written",
              what_a_slowly_growing_file_takes_next_is_written),
        STORY("what a fast growing file takes is not written twice",
              what_a_fast_growing_file_takes_is_not_written_twice),
        STORY("a forgotten reader shows in the figures", a_forgotten_reader_shows_in_the_figures),
        STORY("checksums are CRC-32C", checksums_are_crc_32c),
        STORY("checksums of long runs are those of their pieces",
              checksums_of_long_runs_are_those_of_their_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
