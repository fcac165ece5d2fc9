/* random - unpredictable bytes from the kernel (getrandom(2)); never fails, never blocks for long.
 */
#ifndef WAXSEAL_BASE_RANDOM_H
#define WAXSEAL_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *room, size_t len);

/* A number from 0 to bound-1, each as likely as the others; bound is not 0. */
uint64_t random_below(uint64_t bound);

#endif
