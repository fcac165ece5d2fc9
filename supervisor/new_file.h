/*
 * new_file - a file of secrets that a command makes: its owner's alone, never in place of another,
 * and on disk before anybody is told of it.  Called by user and dkim_new.
 */
#ifndef WAXSEAL_SUPERVISOR_NEW_FILE_H
#define WAXSEAL_SUPERVISOR_NEW_FILE_H

#include "lib/base/error.h"
#include "lib/base/span.h"

/* Fails where there is something of that name; *out_exists then. */
struct error *new_file_create(const char *path, int *out_fd, bool *out_exists) MUST_CHECK;

/* All of it, and synced. */
struct error *new_file_write(int fd, struct span text) MUST_CHECK;

/* So that the name of a file, too, survives a power cut. */
struct error *new_file_sync_folder(const char *path) MUST_CHECK;

#endif
