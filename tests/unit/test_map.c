#include "tests/support/test.h"

#include "lib/base/map.h"
#include "lib/base/random.h"

#include <string.h>

static int things[2000];

static void values_are_found_replaced_and_removed(void **state)
{
    struct map *map = map_new();
    (void)state;
    assert_null(map_get(map, SPAN("a")));
    assert_null(map_put(map, SPAN("a"), &things[0]));
    assert_ptr_equal(map_put(map, SPAN("a"), &things[1]), &things[0]);
    assert_ptr_equal(map_get(map, SPAN("a")), &things[1]);
    assert_int_equal(map_count(map), 1);
    assert_ptr_equal(map_remove(map, SPAN("a")), &things[1]);
    assert_null(map_remove(map, SPAN("a")));
    assert_int_equal(map_count(map), 0);
    map_free(&map);
    assert_null(map);
}

/* A plain array is the model. */
static void it_agrees_with_a_model_under_random_use(void **state)
{
    struct map *map = map_new();
    void *model[2000] = { NULL };
    size_t count = 0;
    (void)state;
    for (int i = 0; i < 60000; i++) {
        uint64_t key = random_below(2000);
        if (random_below(2) == 0) {
            assert_ptr_equal(map_put_number(map, key, &things[key]), model[key]);
            count += model[key] == NULL;
            model[key] = &things[key];
        } else {
            assert_ptr_equal(map_remove_number(map, key), model[key]);
            count -= model[key] != NULL;
            model[key] = NULL;
        }
        assert_int_equal(map_count(map), count);
    }
    for (uint64_t key = 0; key < 2000; key++)
        assert_ptr_equal(map_get_number(map, key), model[key]);
    map_free(&map);
}

static void a_visit_sees_each_value_once(void **state)
{
    struct map *map = map_new();
    bool seen[300] = { false };
    struct span key;
    size_t cursor = 0;
    uint64_t number;
    int *thing;
    (void)state;
    for (uint64_t i = 0; i < 300; i++)
        map_put_number(map, i, &things[i]);
    while ((thing = map_next(map, &cursor, &key)) != NULL) {
        memcpy(&number, key.data, sizeof(number));
        assert_int_equal(thing - things, number);
        assert_false(seen[number]);
        seen[number] = true;
    }
    for (int i = 0; i < 300; i++)
        assert_true(seen[i]);
    map_free(&map);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "map: values are found, replaced and removed", values_are_found_replaced_and_removed, 0, 0,
          0 },
        { "map: it agrees with a model under random use", it_agrees_with_a_model_under_random_use, 0,
          0, 0 },
        { "map: a visit sees each value once", a_visit_sees_each_value_once, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
