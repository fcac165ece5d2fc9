/*
 * folder - the drop folder, the working directory of smtpd/pickup: everybody may put files in,
 * nobody but this role may list it.  What is in there may be anything: each entry is looked at
 * without following, waiting or believing.  Called by smtpd/pickup.
 */
#ifndef WAXSEAL_SMTPD_PICKUP_FOLDER_H
#define WAXSEAL_SMTPD_PICKUP_FOLDER_H

#include "lib/base/error.h"
#include "smtpd/pickup/drop_file.h"

struct folder;

/* Also makes the folder `aside`, which only this role may enter. */
struct error *folder_open(struct folder **out_folder) MUST_CHECK;
void folder_close(struct folder **folder);

/* The next name, lent until the next call; NULL behind the last: then it begins anew. */
const char *folder_next(struct folder *folder);

struct folder_file {
    int fd;
    uint32_t uid;
    uint64_t size;
};
/*
 * Opens a file that one user owns, under one name, and that is not larger than `size_max`.  Gives
 * what is wrong with it, NULL for nothing; "" when it is gone.  *out->uid is known also of what is
 * wrong, UINT32_MAX when not even that is.
 */
const char *folder_open_file(struct folder *folder, const char *name, uint64_t size_max,
                             struct folder_file *out);

/* An unfinished file that nobody has written to for so long; false also when it is gone. */
bool folder_is_abandoned(struct folder *folder, const char *name, int64_t now_utc_ms,
                         int64_t patience_ms);

bool folder_remove(struct folder *folder, const char *name);
/* Puts an entry aside under a new name; false: it stays where it is. */
bool folder_set_aside(struct folder *folder, const char *name, char out_name[DROP_NAME_LEN + 1]);

#endif
