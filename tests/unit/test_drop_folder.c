/* The drop folder with all that users can put into it. */
#include "smtpd/pickup/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/test.h"

struct place {
    char path[64];
    struct folder *folder;
};

static int set_up(void **state)
{
    static struct place place;
    struct error *err;

    strcpy(place.path, "/tmp/waxseal-drop.XXXXXX");
    assert_non_null(mkdtemp(place.path));
    assert_int_equal(chdir(place.path), 0);
    err = folder_open(&place.folder);
    assert_null(err);
    *state = &place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    char command[128];

    folder_close(&place->folder);
    assert_int_equal(chdir("/"), 0);
    snprintf(command, sizeof(command), "rm -rf %s", place->path);
    return system(command);
}

static void put(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static const char *open_it(struct place *place, const char *name)
{
    struct folder_file file;
    const char *wrong = folder_open_file(place->folder, name, 100, &file);

    assert_true((wrong == NULL) == (file.fd >= 0));
    if (file.fd >= 0)
        close(file.fd);
    return wrong;
}

static void a_plain_file_is_opened_and_its_owner_known(void **state)
{
    struct place *place = *state;
    struct folder_file file;

    put("plain", "hello");
    assert_null(folder_open_file(place->folder, "plain", 5, &file));
    assert_int_equal(file.uid, getuid());
    assert_int_equal(file.size, 5);
    close(file.fd);
}

static void anything_else_is_named(void **state)
{
    struct place *place = *state;

    put("plain", "hello");
    assert_int_equal(symlink("plain", "link"), 0);
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_int_equal(mkdir("folder", 0700), 0);
    put("large", "");
    assert_int_equal(truncate("large", 101), 0);
    assert_string_equal(open_it(place, "link"), "not a regular file");
    assert_string_equal(open_it(place, "fifo"), "not a regular file");
    assert_string_equal(open_it(place, "folder"), "not a regular file");
    assert_string_equal(open_it(place, "large"), "too large");
    assert_string_equal(open_it(place, "gone"), "");
    assert_int_equal(link("plain", "second"), 0);
    assert_string_equal(open_it(place, "plain"), "more than one name");
    assert_string_equal(open_it(place, "second"), "more than one name");
}

static void every_entry_is_visited_but_our_own(void **state)
{
    struct place *place = *state;
    unsigned seen = 0;
    const char *name;

    put("a", "");
    put("b", "");
    while ((name = folder_next(place->folder)) != NULL) {
        assert_true(strcmp(name, "a") == 0 || strcmp(name, "b") == 0);
        seen++;
    }
    assert_int_equal(seen, 2);
    put("c", "");
    while (folder_next(place->folder))
        seen++;
    assert_int_equal(seen, 5); /* it begins anew */
}

static void what_is_put_aside_is_there_under_a_new_name(void **state)
{
    struct place *place = *state;
    char aside[DROP_NAME_LEN + 1], path[DROP_NAME_LEN + 8];

    put("odd", "kept");
    assert_true(folder_set_aside(place->folder, "odd", aside));
    snprintf(path, sizeof(path), "aside/%s", aside);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_not_equal(access("odd", F_OK), 0);
    assert_false(folder_set_aside(place->folder, "odd", aside));
}

static void the_unfinished_are_given_time(void **state)
{
    struct place *place = *state;
    struct stat st;

    put("half", "");
    assert_int_equal(stat("half", &st), 0);
    int64_t written_ms = (int64_t)st.st_mtim.tv_sec * 1000;
    assert_false(folder_is_abandoned(place->folder, "half", written_ms + 1000, 1000));
    assert_true(folder_is_abandoned(place->folder, "half", written_ms + 1001, 1000));
    assert_false(folder_is_abandoned(place->folder, "gone", written_ms + 1001, 1000));
    assert_true(folder_remove(place->folder, "half"));
    assert_false(folder_remove(place->folder, "half"));
}

static void aside_must_be_ours_alone(void **state)
{
    struct place *place = *state;
    struct folder *again = NULL;

    assert_int_equal(chmod("aside", 0755), 0);
    struct error *err = folder_open(&again);
    assert_non_null(err);
    assert_string_equal(error_text(err), "drop/aside is not ours alone");
    error_free(&err);
    assert_int_equal(rmdir("aside"), 0);
    assert_int_equal(symlink("/tmp", "aside"), 0);
    err = folder_open(&again);
    assert_non_null(err);
    error_free(&err);
    (void)place;
}

#define FOLDER_TEST(title, function)                                                               \
    {                                                                                              \
        title, function, set_up, tear_down, NULL                                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST("a plain file is opened and its owner known",
                    a_plain_file_is_opened_and_its_owner_known),
        FOLDER_TEST("anything else is named", anything_else_is_named),
        FOLDER_TEST("every entry is visited but our own", every_entry_is_visited_but_our_own),
        FOLDER_TEST("what is put aside is there under a new name",
                    what_is_put_aside_is_there_under_a_new_name),
        FOLDER_TEST("the unfinished are given time", the_unfinished_are_given_time),
        FOLDER_TEST("aside must be ours alone", aside_must_be_ours_alone),
    };

    return cmocka_run_group_tests_name("drop_folder", tests, NULL, NULL);
}
