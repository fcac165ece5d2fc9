#include "queue/arena.h"

#include "lib/base/memory.h"

#include <stdalign.h>
#include <stdlib.h>

enum { ARENA_BLOCK_SIZE = 64 * 1024 };

struct arena_piece {
    struct arena_piece *next;
    max_align_t bytes[];
};

static void *take(void *ctx, size_t size)
{
    return arena_take(ctx, size);
}

static void give_back(void *ctx, void *pointer)
{
    (void)ctx; /* all at once, by arena_reset */
    (void)pointer;
}

void arena_init(struct arena *arena)
{
    *arena = (struct arena){ .allocator = { take, give_back, arena } };
    arena->block = memory_new(ARENA_BLOCK_SIZE);
}

void arena_reset(struct arena *arena)
{
    while (arena->pieces) {
        struct arena_piece *piece = arena->pieces;
        arena->pieces = piece->next;
        free(piece);
    }
    arena->used = 0;
}

void arena_clear(struct arena *arena)
{
    arena_reset(arena);
    free(arena->block);
    arena->block = NULL;
}

void *arena_take(struct arena *arena, size_t size)
{
    size_t rounded = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);

    if (rounded <= ARENA_BLOCK_SIZE - arena->used) {
        void *taken = arena->block + arena->used;
        arena->used += rounded;
        return taken;
    }
    struct arena_piece *piece = memory_new(sizeof(*piece) + size);
    piece->next = arena->pieces;
    arena->pieces = piece;
    return piece->bytes;
}
