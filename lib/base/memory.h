/*
 * memory - allocation that does not fail: without memory the process ends, for mail is safe on
 * disk and the supervisor starts the role anew (style.md section 7).  Free with free().
 */
#ifndef WAXSEAL_BASE_MEMORY_H
#define WAXSEAL_BASE_MEMORY_H

#include "lib/base/span.h"

#include <stddef.h>

/* `size` bytes, all zero. */
void *memory_new(size_t size) __attribute__((malloc, returns_nonnull));

/* `count` things of `size` bytes each, all zero; a product that overflows ends the process. */
void *memory_new_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull));

/* Another size for `old` (or NULL); what is new is not cleared. */
void *memory_resize(void *old, size_t size) __attribute__((returns_nonnull));

/* A NUL-terminated copy. */
char *memory_copy_text(const char *text) __attribute__((malloc, returns_nonnull));
char *memory_copy_span(struct span s) __attribute__((malloc, returns_nonnull));

#endif
