/*
 * settings_tree - a configuration text as a tree of values with their lines, before anything is
 * known about what they mean.  Called by settings_read.  libconfig behind it, and only here.
 * Two things differ from libconfig: @include is refused (one file, one truth), and a name given
 * twice is reported and passed over instead of ending the reading.
 */
#ifndef WAXSEAL_BASE_SETTINGS_TREE_H
#define WAXSEAL_BASE_SETTINGS_TREE_H

#include "lib/base/settings.h"

/* Where errors of this text go. */
struct settings_reading {
    const char *file;
    struct settings_errors *errors;
};

enum tree_kind { TREE_TEXT, TREE_NUMBER, TREE_GROUP, TREE_LIST, TREE_OTHER };

struct tree_node {
    const char *name; /* NULL inside a list */
    unsigned line;
    enum tree_kind kind;
    struct span text;
    int64_t number;
    struct tree_node *children; /* of a group or list */
    size_t count;
};

struct tree;

/* Never gives NULL: what could not be read is missing and said in `errors`. */
struct tree *tree_parse(struct span text, const char *file, struct settings_errors *errors);
void tree_free(struct tree **tree);

/* The outermost group; lent. */
const struct tree_node *tree_root(const struct tree *tree);

#endif
