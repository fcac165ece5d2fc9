#include "policy/kept_answers.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"

struct kept_answers {
    size_t count_max;
    size_t bytes_max;
    size_t bytes; /* of keys and texts */
    struct map *by_key;
    struct list oldest_first;
};

struct kept_answer {
    struct list in_kept;
    struct span key;
    struct span text;
    int64_t until_ms;
    char *room; /* of both */
};

struct kept_answers *kept_answers_new(size_t count_max, size_t bytes_max)
{
    struct kept_answers *kept = memory_new(sizeof(*kept));
    kept->count_max = count_max;
    kept->bytes_max = bytes_max;
    kept->by_key = map_new();
    list_init(&kept->oldest_first);
    return kept;
}

static void forget(struct kept_answers *kept, struct kept_answer *answer)
{
    kept->bytes -= answer->key.len + answer->text.len;
    map_remove(kept->by_key, answer->key);
    list_remove(&answer->in_kept);
    free(answer->room);
    free(answer);
}

void kept_answers_forget_all(struct kept_answers *kept)
{
    while (!list_empty(&kept->oldest_first))
        forget(kept, LIST_FIRST(&kept->oldest_first, struct kept_answer, in_kept));
}

void kept_answers_free(struct kept_answers **kept)
{
    struct kept_answers *k = *kept;
    *kept = NULL;
    if (!k)
        return;
    kept_answers_forget_all(k);
    map_free(&k->by_key);
    free(k);
}

static struct kept_answer *answer_new(struct span key, struct span text, int64_t until_ms)
{
    struct kept_answer *answer = memory_new(sizeof(*answer));
    answer->room = memory_new(key.len + text.len + 1);
    memcpy(answer->room, key.data, key.len);
    memcpy(answer->room + key.len, text.data, text.len);
    answer->key = (struct span){ answer->room, key.len };
    answer->text = (struct span){ answer->room + key.len, text.len };
    answer->until_ms = until_ms;
    return answer;
}

void kept_answers_put(struct kept_answers *kept, struct span key, struct span text,
                      int64_t until_ms)
{
    struct kept_answer *old = map_get(kept->by_key, key);
    struct kept_answer *answer = answer_new(key, text, until_ms);
    if (old)
        forget(kept, old);
    map_put(kept->by_key, answer->key, answer);
    list_append(&kept->oldest_first, &answer->in_kept);
    kept->bytes += key.len + text.len;
    while (map_count(kept->by_key) > kept->count_max || kept->bytes > kept->bytes_max)
        forget(kept, LIST_FIRST(&kept->oldest_first, struct kept_answer, in_kept));
}

bool kept_answers_find(const struct kept_answers *kept, struct span key, int64_t now_ms,
                       struct span *out_text)
{
    const struct kept_answer *answer = map_get(kept->by_key, key);
    if (!answer || now_ms >= answer->until_ms)
        return false;
    *out_text = answer->text;
    return true;
}
