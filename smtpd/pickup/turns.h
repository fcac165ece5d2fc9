/*
 * turns - how much each user has had of the present pass through the drop folder, so that one with
 * thousands of files does not keep the others waiting.  Called by pickup.
 */
#ifndef WAXSEAL_SMTPD_PICKUP_TURNS_H
#define WAXSEAL_SMTPD_PICKUP_TURNS_H

#include <stdbool.h>
#include <stdint.h>

struct turns {
    struct map *shares; /* by user */
    bool somebody_waits;
};

void turns_init(struct turns *turns);
void turns_clear(struct turns *turns);
/* The next pass begins. */
void turns_begin(struct turns *turns);

/* May one more file of this user be taken in this pass?  It is counted. */
bool turns_take(struct turns *turns, uint32_t uid, uint64_t octets);

#endif
