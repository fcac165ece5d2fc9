#include "queue/deliver/content.h"

#include "lib/base/memory.h"

#include <stdlib.h>
#include <string.h>

struct chunk {
    struct list others;
    size_t len;
    char bytes[];
};

void content_init(struct content *content, const struct content_source *source, uint64_t lease,
                  uint32_t chunks)
{
    *content = (struct content){ .source = source, .lease = lease, .chunks = chunks };
    list_init(&content->kept);
}

static void drop_kept(struct content *content)
{
    struct chunk *chunk;

    LIST_EACH(chunk, &content->kept, struct chunk, others)
    {
        list_remove(&chunk->others);
        free(chunk);
    }
}

void content_clear(struct content *content)
{
    drop_kept(content);
    content->running = false;
}

/* Asks for as much as the window lets through, in few frames: half a window at least, or the rest.
 */
static void pull_more(struct content *content)
{
    uint32_t ahead = content->asked - content->used;
    uint32_t rest = content->chunks - content->asked;
    uint32_t room = CONTENT_WINDOW_CHUNKS > ahead ? CONTENT_WINDOW_CHUNKS - ahead : 0;
    uint32_t count = rest < room ? rest : room;

    if (count == 0 || (count < rest && count < CONTENT_WINDOW_CHUNKS / 2))
        return;
    content->source->pull(content->source->ctx, content->lease, content->asked, count);
    content->asked += count;
}

void content_start(struct content *content, void (*on_more)(void *ctx), void *ctx)
{
    content_stop(content);
    content->asked = content->arrived = content->used = 0;
    content->running = true;
    content->damaged = false;
    content->on_more = on_more;
    content->ctx = ctx;
    pull_more(content);
}

void content_stop(struct content *content)
{
    if (content->running)
        content->stale += content->asked - content->arrived;
    content->running = false;
    drop_kept(content);
}

bool content_peek(const struct content *content, struct span *out_chunk)
{
    if (list_empty(&content->kept))
        return false;
    const struct chunk *chunk = LIST_FIRST(&content->kept, struct chunk, others);
    *out_chunk = (struct span){ chunk->bytes, chunk->len };
    return true;
}

void content_next(struct content *content)
{
    struct chunk *chunk = LIST_FIRST(&content->kept, struct chunk, others);

    list_remove(&chunk->others);
    free(chunk);
    content->used++;
    pull_more(content);
}

bool content_at_end(const struct content *content)
{
    return content->running && !content->damaged && content->used == content->chunks;
}

struct content_block content_ready(const struct content *content, unsigned chunks_max)
{
    struct content_block block = { .chunks = 0 };
    const struct chunk *chunk;

    LIST_EACH(chunk, &content->kept, struct chunk, others)
    {
        if (block.chunks == chunks_max)
            break;
        block.chunks++;
        block.len += chunk->len;
        block.last = chunk->len > 0 ? chunk->bytes[chunk->len - 1] : block.last;
    }
    block.is_end = !content->damaged && content->used + block.chunks == content->chunks;
    return block;
}

bool content_arrived(struct content *content, uint32_t chunk, bool damaged, struct span body)
{
    if (content->stale > 0) {
        content->stale--;
        return true;
    }
    if (!content->running || content->arrived == content->asked || chunk != content->arrived)
        return false;
    content->arrived++;
    if (damaged || content->damaged) {
        content->damaged = true;
    } else {
        struct chunk *kept = memory_resize(NULL, sizeof(*kept) + body.len);
        kept->len = body.len;
        if (body.len > 0)
            memcpy(kept->bytes, body.data, body.len);
        list_append(&content->kept, &kept->others);
    }
    content->on_more(content->ctx);
    return true;
}
