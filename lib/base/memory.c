#include "lib/base/memory.h"

#include "lib/base/error.h"

#include <stdlib.h>
#include <string.h>

void *memory_new(size_t size)
{
    return memory_new_array(1, size);
}

void *memory_new_array(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size ? size : 1);

    ensure(memory != NULL);
    return memory;
}

void *memory_resize(void *old, size_t size)
{
    void *memory = realloc(old, size ? size : 1);

    ensure(memory != NULL);
    return memory;
}

char *memory_copy_text(const char *text)
{
    return memory_copy_span(span_of(text));
}

char *memory_copy_span(struct span s)
{
    char *copy = memory_new(s.len + 1);

    if (s.len > 0)
        memcpy(copy, s.data, s.len);
    return copy;
}
