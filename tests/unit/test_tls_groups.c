#include "lib/io/tls_groups.h"

#include "tests/support/test.h"

#include <string.h>

static bool none(const char *name)
{
    (void)name;
    return false;
}

static bool all(const char *name)
{
    return name[0] != '\0';
}

static bool one(const char *name)
{
    return strcmp(name, "X25519MLKEM768") == 0;
}

static void a_library_without_hybrids_offers_what_it_has(void **state)
{
    char list[TLS_GROUPS_SIZE];

    (void)state;
    assert_int_equal(tls_groups_full(none, list), 0);
    assert_string_equal(list, "X25519:P-256:X448:P-521:P-384");
}

/* A key share goes out for the first group alone. */
static void hybrids_are_offered_behind_all_others(void **state)
{
    char list[TLS_GROUPS_SIZE];

    (void)state;
    assert_int_equal(tls_groups_full(one, list), 1);
    assert_string_equal(list, "X25519:P-256:X448:P-521:P-384:X25519MLKEM768");
    assert_int_equal(tls_groups_full(all, list), 3);
    assert_string_equal(list, "X25519:P-256:X448:P-521:P-384:X25519MLKEM768:SecP256r1MLKEM768:"
                              "SecP384r1MLKEM1024");
}

static void the_classic_hello_has_none(void **state)
{
    char list[TLS_GROUPS_SIZE];

    (void)state;
    tls_groups_classic(list);
    assert_null(strstr(list, "MLKEM"));
    assert_int_equal(strncmp(list, "X25519:", 7), 0);
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("a library without hybrid groups offers what it has",
          a_library_without_hybrids_offers_what_it_has),
        T("hybrid groups are offered behind all others", hybrids_are_offered_behind_all_others),
        T("the classic hello has no hybrid group", the_classic_hello_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
