#include "policy/sts_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/io/kv.h"
#include "policy/sts_export.h"

static const char body[] = "version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 604800\n";

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static int make_folder(void **state)
{
    *state = mkdtemp(strdup("/tmp/test_sts_cache.XXXXXX"));
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

static struct sts_cache *opened(const char *folder)
{
    struct sts_cache *cache = NULL;
    enum sts_cache_refusal refusal;
    must(sts_cache_open(folder, 0, &cache, &refusal));
    return cache;
}

static void store(struct sts_cache *cache, const char *domain, int64_t refresh)
{
    struct sts_entry entry = { .id = "A1", .fetched_utc_ms = 1000, .used_utc_ms = 2000 };
    strcpy(entry.domain, domain);
    entry.refresh_utc_ms = refresh;
    assert_int_equal(sts_policy_parse(span_of(body), &entry.policy), STS_POLICY_FINE);
    must(sts_cache_store(cache, &entry));
    sts_entry_clear(&entry);
}

static bool is_kept(struct sts_cache *cache, const char *domain)
{
    struct sts_entry entry;
    must(sts_cache_load(cache, span_of(domain), &entry));
    bool kept = entry.policy && strcmp(entry.id, "A1") == 0 && entry.policy->mode == STS_ENFORCE;
    sts_entry_clear(&entry);
    return kept;
}

static void export_all(struct sts_cache *cache)
{
    bool done = false;
    while (!done)
        must(sts_cache_export(cache, &done));
}

static void path_of(const char *folder, const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", folder, name);
}

static unsigned folders_set_aside(const char *folder)
{
    unsigned count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += strncmp(entry->d_name, "damaged-", 8) == 0;
    closedir(dir);
    return count;
}

/* Changes one byte of the text of a domain's policy in the file, wherever it lies. */
static void damage_record(const char *folder, const char *needle)
{
    char path[256];
    path_of(folder, "data.mdb", path);
    int fd = open(path, O_RDWR);
    off_t size = lseek(fd, 0, SEEK_END);
    char *bytes = malloc((size_t)size);
    assert_int_equal(pread(fd, bytes, (size_t)size, 0), size);
    for (char *at = bytes; (at = memmem(at, (size_t)(bytes + size - at), needle, strlen(needle)));
         at++)
        assert_int_equal(pwrite(fd, "#", 1, at - bytes + (off_t)strlen(needle) + 8), 1);
    free(bytes);
    close(fd);
}

static void a_policy_survives_a_restart_whole(void **state)
{
    struct sts_cache *cache = opened(*state);
    struct sts_entry entry;
    store(cache, "example.com", 5000);
    sts_cache_close(&cache);
    cache = opened(*state);
    must(sts_cache_load(cache, SPAN("example.com"), &entry));
    assert_string_equal(entry.domain, "example.com");
    assert_string_equal(entry.id, "A1");
    assert_string_equal(entry.policy->text, body);
    assert_string_equal(entry.policy->mx[0], "mx.example.com");
    assert_int_equal(entry.policy->max_age_s, 604800);
    assert_int_equal(entry.fetched_utc_ms, 1000);
    assert_int_equal(sts_entry_expires(&entry), 1000 + 604800000);
    sts_entry_clear(&entry);
    assert_false(is_kept(cache, "example.net"));
    must(sts_cache_remove(cache, SPAN("example.com")));
    assert_false(is_kept(cache, "example.com"));
    sts_cache_close(&cache);
}

static void what_is_due_comes_in_order_and_moves_with_its_entry(void **state)
{
    struct sts_cache *cache = opened(*state);
    char due[4][DOMAIN_MAX + 1];
    unsigned count;
    store(cache, "late.example", 9000);
    store(cache, "first.example", 1000);
    store(cache, "second.example", 2000);
    must(sts_cache_due(cache, (struct sts_span_of_time){ 0, 5000 }, 4, due, &count));
    assert_int_equal(count, 2);
    assert_string_equal(due[0], "first.example");
    assert_string_equal(due[1], "second.example");
    store(cache, "first.example", 7000);
    must(sts_cache_remove(cache, SPAN("second.example")));
    must(sts_cache_due(cache, (struct sts_span_of_time){ 0, 5000 }, 4, due, &count));
    assert_int_equal(count, 0);
    must(sts_cache_due(cache, (struct sts_span_of_time){ 0, 9000 }, 1, due, &count));
    assert_int_equal(count, 1);
    assert_string_equal(due[0], "first.example");
    must(sts_cache_due(cache, (struct sts_span_of_time){ 7001, INT64_MAX }, 4, due, &count));
    assert_int_equal(count, 1);
    assert_string_equal(due[0], "late.example");
    sts_cache_close(&cache);
}

static void a_damaged_file_is_set_aside_and_refilled_from_the_export(void **state)
{
    char path[256];
    struct sts_cache *cache = opened(*state);
    store(cache, "example.com", 5000);
    for (unsigned i = 0; i < 200; i++) {
        char domain[32];
        snprintf(domain, sizeof(domain), "d%u.example", i);
        store(cache, domain, 5000);
    }
    export_all(cache);
    assert_false(sts_cache_changed(cache));
    sts_cache_close(&cache);
    path_of(*state, "data.mdb", path);
    assert_int_equal(truncate(path, 20000), 0);
    cache = opened(*state);
    assert_int_equal(folders_set_aside(*state), 1);
    assert_true(is_kept(cache, "example.com"));
    assert_true(is_kept(cache, "d199.example"));
    sts_cache_close(&cache);
    cache = opened(*state);
    assert_int_equal(folders_set_aside(*state), 1);
    sts_cache_close(&cache);
}

static void a_damaged_record_costs_no_other(void **state)
{
    struct sts_cache *cache = opened(*state);
    store(cache, "old.example", 5000);
    export_all(cache);
    store(cache, "new.example", 5000);
    assert_true(sts_cache_changed(cache));
    sts_cache_close(&cache);
    damage_record(*state, "\x0a\x0bold.example");
    cache = opened(*state);
    assert_int_equal(folders_set_aside(*state), 1);
    assert_true(is_kept(cache, "old.example"));
    assert_true(is_kept(cache, "new.example"));
    sts_cache_close(&cache);
}

static void a_damaged_export_is_read_as_far_as_it_is_whole(void **state)
{
    char path[256];
    struct sts_cache *cache = opened(*state);
    store(cache, "a.example", 5000);
    store(cache, "b.example", 5000);
    export_all(cache);
    sts_cache_close(&cache);
    path_of(*state, "data.mdb", path);
    assert_int_equal(unlink(path), 0);
    path_of(*state, "export", path);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - 3), 0);
    cache = opened(*state);
    assert_true(is_kept(cache, "a.example"));
    assert_false(is_kept(cache, "b.example"));
    sts_cache_close(&cache);
}

static void a_database_that_kills_its_reader_is_set_aside_in_the_end(void **state)
{
    char path[256];
    struct sts_cache *cache = opened(*state);
    store(cache, "example.com", 5000);
    export_all(cache);
    sts_cache_close(&cache);
    path_of(*state, "opening", path);
    FILE *file = fopen(path, "w");
    fputs("2\n", file);
    fclose(file);
    cache = opened(*state);
    assert_int_equal(folders_set_aside(*state), 0);
    sts_cache_close(&cache);
    file = fopen(path, "w");
    fputs("3\n", file);
    fclose(file);
    cache = opened(*state);
    assert_int_equal(folders_set_aside(*state), 1);
    assert_true(is_kept(cache, "example.com"));
    sts_cache_close(&cache);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void a_database_of_a_newer_version_is_left_alone(void **state)
{
    static const char *const tables[] = { "meta", "policy", "due" };
    struct sts_cache *cache = opened(*state);
    struct kv *kv = NULL;
    struct kv_txn *txn = NULL;
    enum kv_trouble trouble;
    enum sts_cache_refusal refusal = STS_CACHE_TROUBLE;
    sts_cache_close(&cache);
    must(kv_open(*state, (uint64_t)1 << 30, tables, 3, 0, &kv, &trouble));
    must(kv_begin_write(kv, &txn));
    must(kv_put(txn, 0, SPAN("version"), SPAN("2")));
    must(kv_commit(&txn));
    kv_close(&kv);
    struct error *err = sts_cache_open(*state, 0, &cache, &refusal);
    assert_non_null(err);
    assert_non_null(strstr(error_text(err), "newer version"));
    assert_int_equal(refusal, STS_CACHE_NEWER);
    assert_int_equal(folders_set_aside(*state), 0);
    error_free(&err);
}

static void records_that_are_none_are_refused(void **state)
{
    struct sts_entry entry;
    (void)state;
    assert_false(sts_entry_unpack(SPAN(""), &entry));
    assert_false(sts_entry_unpack(SPAN("\xff\xff\xff"), &entry));
    assert_false(sts_entry_unpack(SPAN("\x0a\x01x"), &entry) && entry.policy->mode != STS_NONE);
    sts_entry_clear(&entry);
    assert_false(sts_entry_unpack(SPAN("\x0a\x01x\x18\x07"), &entry));
    assert_null(entry.policy);
}

static void count_failed(void *ctx, const struct sts_failed *failed)
{
    unsigned *count = ctx;
    assert_string_equal(failed->id, "A1");
    assert_string_equal(failed->reason, "because");
    (*count)++;
}

static unsigned failures_in(struct sts_cache *cache, int64_t from, int64_t to)
{
    unsigned count = 0;
    must(sts_cache_each_failed(cache, (struct sts_span_of_time){ from, to }, 100, count_failed,
                               &count));
    return count;
}

static void failures_are_kept_by_time_and_the_old_ones_forgotten(void **state)
{
    struct sts_cache *cache = opened(*state);
    struct sts_failed failed = { .id = "A1", .reason = "because" };
    for (bool done = false; !done;)
        must(sts_cache_export(cache, &done));
    for (int i = 0; i < 20; i++) {
        snprintf(failed.domain, sizeof(failed.domain), "d%d.test", i);
        failed.utc_ms = 1000 + i;
        must(sts_cache_note_failed(cache, &failed, 0));
    }
    assert_int_equal(failures_in(cache, 1005, 1009), 5);
    must(sts_cache_forget_failed(cache, 1007, "d7.test"));
    must(sts_cache_forget_failed(cache, 1007, "other.test"));
    assert_int_equal(failures_in(cache, 1005, 1009), 4);
    for (int i = 0; i < 5; i++) {
        failed.utc_ms = 2000 + i;
        must(sts_cache_note_failed(cache, &failed, 2000));
    }
    assert_int_equal(failures_in(cache, 0, 1999), 0);
    assert_int_equal(failures_in(cache, 0, 9999), 5);
    assert_false(sts_cache_changed(cache));
    sts_cache_close(&cache);
}

static void a_damaged_failure_is_left_out(void **state)
{
    struct sts_cache *cache = opened(*state);
    struct sts_failed failed = { .domain = "a.test", .id = "A1", .reason = "because", .utc_ms = 7 };
    must(sts_cache_note_failed(cache, &failed, 0));
    sts_cache_close(&cache);
    damage_record(*state, "a.test");
    cache = opened(*state);
    assert_int_equal(failures_in(cache, 0, 9999), 0);
    sts_cache_close(&cache);
}

/* Fails the test when they do not come in order. */
static bool note_name(void *ctx, const struct sts_entry *entry)
{
    char *names = ctx;
    strcat(names, entry->domain);
    strcat(names, " ");
    return strcmp(entry->domain, "c.example") != 0;
}

static void assert_walk(struct sts_cache *cache, const char *after, unsigned max, const char *names)
{
    char walked[100] = "";
    must(sts_cache_each(cache, span_of(after), max, note_name, walked));
    assert_string_equal(walked, names);
}

static void policies_are_walked_in_order_from_any_of_them_on(void **state)
{
    struct sts_cache *cache = opened(*state);
    uint64_t count;
    assert_walk(cache, "", 9, "");
    store(cache, "b.example", 3);
    store(cache, "d.example", 1);
    store(cache, "c.example", 2);
    store(cache, "a.example", 4);
    assert_walk(cache, "", 2, "a.example b.example ");
    assert_walk(cache, "a.example", 9, "b.example c.example "); /* until it is enough */
    assert_walk(cache, "c.exam", 1, "c.example ");
    assert_walk(cache, "c.example", 9, "d.example ");
    assert_walk(cache, "d.example", 9, "");
    must(sts_cache_count(cache, &count));
    assert_int_equal(count, 4);
    sts_cache_close(&cache);
}

/* Records as an export has them, of one more domain than are kept. */
static void export_one_too_many(const char *folder)
{
    struct sts_entry entry = { .id = "A1", .fetched_utc_ms = 1 };
    struct sts_export *export = NULL;
    assert_int_equal(sts_policy_parse(span_of(body), &entry.policy), STS_POLICY_FINE);
    must(sts_export_open(folder, "export", &export));
    for (int i = 0; i <= STS_POLICIES_MAX; i++) {
        size_t len;
        sprintf(entry.domain, "d%d.example", i);
        char *record = sts_entry_pack(&entry, &len);
        must(sts_export_add(export, (struct span){ record, len }));
        free(record);
    }
    must(sts_export_finish(&export));
    sts_entry_clear(&entry);
}

static void so_many_policies_are_kept_and_no_more(void **state)
{
    struct sts_entry entry = { .domain = "late.example", .id = "A1" };
    uint64_t count;
    export_one_too_many(*state);
    struct sts_cache *cache = opened(*state);
    must(sts_cache_count(cache, &count));
    assert_int_equal(count, STS_POLICIES_MAX);
    assert_int_equal(sts_policy_parse(span_of(body), &entry.policy), STS_POLICY_FINE);
    struct error *err = sts_cache_store(cache, &entry);
    assert_non_null(err);
    assert_true(sts_cache_is_full(cache)); /* nothing is broken */
    error_free(&err);
    sts_entry_clear(&entry);
    store(cache, "d7.example", 5); /* one of those is renewed */
    must(sts_cache_remove(cache, SPAN("d8.example")));
    store(cache, "late.example", 5);
    assert_true(is_kept(cache, "late.example"));
    sts_cache_close(&cache);
}

static void what_is_wrong_with_a_policy_is_kept_with_it(void **state)
{
    struct sts_cache *cache = opened(*state);
    struct sts_entry entry = { .domain = "example.com", .id = "A1" };
    assert_int_equal(sts_policy_parse(span_of(body), &entry.policy), STS_POLICY_FINE);
    entry.policy->mx_cut = 9;
    entry.trouble = (struct sts_trouble){ .failing_utc_ms = 1,
                                          .failing_reason = "HTTPS: status 404",
                                          .gone_utc_ms = 2,
                                          .weakened_utc_ms = 3,
                                          .weakened = STS_WEAKER_MX };
    must(sts_cache_store(cache, &entry));
    sts_entry_clear(&entry);
    must(sts_cache_load(cache, SPAN("example.com"), &entry));
    assert_int_equal(entry.policy->mx_cut, 9);
    assert_int_equal(entry.trouble.failing_utc_ms, 1);
    assert_string_equal(entry.trouble.failing_reason, "HTTPS: status 404");
    assert_int_equal(entry.trouble.gone_utc_ms, 2);
    assert_int_equal(entry.trouble.weakened_utc_ms, 3);
    assert_int_equal(entry.trouble.weakened, STS_WEAKER_MX);
    sts_entry_clear(&entry);
    sts_cache_close(&cache);
}

#define STORY(title, function)                                                                     \
    {                                                                                              \
        title, function, make_folder, remove_folder, NULL                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY("a policy survives a restart whole", a_policy_survives_a_restart_whole),
        STORY("what is due comes in order and moves with its entry",
              what_is_due_comes_in_order_and_moves_with_its_entry),
        STORY("a damaged file is set aside, and refilled from the export",
              a_damaged_file_is_set_aside_and_refilled_from_the_export),
        STORY("a damaged record costs no other", a_damaged_record_costs_no_other),
        STORY("a damaged export is read as far as it is whole",
              a_damaged_export_is_read_as_far_as_it_is_whole),
        STORY("a database that kills its reader is set aside in the end",
              a_database_that_kills_its_reader_is_set_aside_in_the_end),
        STORY("a database of a newer version is left alone",
              a_database_of_a_newer_version_is_left_alone),
        STORY("records that are none are refused", records_that_are_none_are_refused),
        STORY("failures are kept by time, and the old ones forgotten",
              failures_are_kept_by_time_and_the_old_ones_forgotten),
        STORY("a damaged failure is left out", a_damaged_failure_is_left_out),
        STORY("policies are walked in order, from any of them on",
              policies_are_walked_in_order_from_any_of_them_on),
        STORY("a hundred thousand policies are kept, and no more",
              so_many_policies_are_kept_and_no_more),
        STORY("what is wrong with a policy is kept with it",
              what_is_wrong_with_a_policy_is_kept_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
