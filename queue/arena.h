/*
 * arena - memory for the records decoded in one step of work, given back all at once.
 * Called by the store and by whoever reads it.  Owns all it gave; protobuf-c allocates through
 * `allocator`, so that a record costs no malloc.
 */
#ifndef WAXSEAL_QUEUE_ARENA_H
#define WAXSEAL_QUEUE_ARENA_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

struct arena {
    ProtobufCAllocator allocator;
    char *block;
    size_t used;
    struct arena_piece *pieces; /* what did not fit the block */
};

/* The arena stays where it is initialised: `allocator` points back to it. */
void arena_init(struct arena *arena);
void arena_clear(struct arena *arena);

/* Gives back all that was taken. */
void arena_reset(struct arena *arena);

/* `size` bytes, not cleared; never NULL. */
void *arena_take(struct arena *arena, size_t size);

#endif
