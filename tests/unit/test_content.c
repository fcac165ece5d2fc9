#include "tests/support/test.h"

#include "queue/deliver/content.h"

/* What was pulled, and how often somebody was told that there is more. */
struct record {
    uint32_t first, count;
    unsigned pulls, told;
};

static void on_pull(void *ctx, uint64_t lease, uint32_t first_chunk, uint32_t count)
{
    struct record *record = ctx;

    assert_int_equal(lease, 7);
    record->first = first_chunk;
    record->count = count;
    record->pulls++;
}

static void on_more(void *ctx)
{
    struct record *record = ctx;

    record->told++;
}

static struct record record;
static const struct content_source source = { on_pull, &record };

static struct content content_of(uint32_t chunks)
{
    struct content content;

    record = (struct record){ 0, 0, 0, 0 };
    content_init(&content, &source, 7, chunks);
    return content;
}

/* The list inside must not be copied: started where it stays. */
#define CONTENT(name, chunks)                                                                      \
    struct content name = content_of(chunks);                                                      \
    list_init(&(name).kept)

static void empty_message_is_at_its_end_at_once(void **state)
{
    CONTENT(content, 0);

    (void)state;
    content_start(&content, on_more, &record);
    assert_true(content_at_end(&content));
    assert_int_equal(record.pulls, 0);
    content_clear(&content);
}

static void chunks_come_in_their_order(void **state)
{
    CONTENT(content, 2);
    struct span chunk;

    (void)state;
    content_start(&content, on_more, &record);
    assert_int_equal(record.count, 2);
    assert_false(content_peek(&content, &chunk));
    assert_true(content_arrived(&content, 0, false, SPAN("one")));
    assert_true(content_arrived(&content, 1, false, SPAN("two")));
    assert_int_equal(record.told, 2);
    assert_true(content_peek(&content, &chunk));
    assert_true(span_equal(chunk, SPAN("one")));
    content_next(&content);
    assert_false(content_at_end(&content));
    assert_true(content_peek(&content, &chunk));
    assert_true(span_equal(chunk, SPAN("two")));
    content_next(&content);
    assert_true(content_at_end(&content));
    content_clear(&content);
}

static void no_more_than_a_window_is_on_its_way(void **state)
{
    uint32_t arrived = 0, ahead = 0;
    CONTENT(content, 1000);

    (void)state;
    content_start(&content, on_more, &record);
    assert_int_equal(record.count, CONTENT_WINDOW_CHUNKS);
    while (!content_at_end(&content)) {
        assert_true(content_arrived(&content, arrived++, false, SPAN("x")));
        content_next(&content);
        ahead = content.asked - content.used;
        assert_true(ahead <= CONTENT_WINDOW_CHUNKS);
    }
    assert_int_equal(arrived, 1000);
    assert_true(record.pulls < 200); /* in few frames */
    content_clear(&content);
}

static void what_nobody_asked_for_is_refused(void **state)
{
    CONTENT(content, 2);

    (void)state;
    assert_false(content_arrived(&content, 0, false, SPAN("x")));
    content_start(&content, on_more, &record);
    assert_false(content_arrived(&content, 1, false, SPAN("x")));
    assert_true(content_arrived(&content, 0, false, SPAN("x")));
    assert_false(content_arrived(&content, 0, false, SPAN("x")));
    assert_true(content_arrived(&content, 1, false, SPAN("x")));
    assert_false(content_arrived(&content, 2, false, SPAN("x")));
    content_clear(&content);
}

static void answers_to_an_earlier_run_are_thrown_away(void **state)
{
    CONTENT(content, 3);
    struct span chunk;

    (void)state;
    content_start(&content, on_more, &record);
    assert_true(content_arrived(&content, 0, false, SPAN("old 0")));
    content_start(&content, on_more, &record);
    assert_int_equal(record.told, 1);
    assert_true(content_arrived(&content, 1, false, SPAN("old 1")));
    assert_true(content_arrived(&content, 2, false, SPAN("old 2")));
    assert_false(content_peek(&content, &chunk));
    assert_int_equal(record.told, 1);
    assert_true(content_arrived(&content, 0, false, SPAN("new 0")));
    assert_true(content_peek(&content, &chunk));
    assert_true(span_equal(chunk, SPAN("new 0")));
    content_clear(&content);
}

static void damage_is_told_and_never_an_end(void **state)
{
    CONTENT(content, 1);

    (void)state;
    content_start(&content, on_more, &record);
    assert_true(content_arrived(&content, 0, true, (struct span){ NULL, 0 }));
    assert_true(content.damaged);
    assert_int_equal(record.told, 1);
    assert_false(content_at_end(&content));
    content_clear(&content);
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("an empty message is at its end at once", empty_message_is_at_its_end_at_once),
        T("chunks come in their order", chunks_come_in_their_order),
        T("no more than a window is on its way, in few frames",
          no_more_than_a_window_is_on_its_way),
        T("a chunk that nobody asked for is refused", what_nobody_asked_for_is_refused),
        T("answers to an earlier run are thrown away", answers_to_an_earlier_run_are_thrown_away),
        T("damage is told, and never taken for the end", damage_is_told_and_never_an_end),
    };

    return cmocka_run_group_tests_name("content", tests, NULL, NULL);
}
