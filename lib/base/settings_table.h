/*
 * settings_table - what the files of the settings module share: a row of the table, the types of
 * settings, and the reading of one value.  Included by settings*.c, and by those who read durations
 * and sizes that an operator wrote elsewhere.
 */
#ifndef WAXSEAL_BASE_SETTINGS_TABLE_H
#define WAXSEAL_BASE_SETTINGS_TABLE_H

#include "lib/base/settings.h"
#include "lib/base/settings_tree.h"

struct setting;

struct setting_type {
    const char *name;  /* "size" */
    const char *right; /* what to write instead of something wrong */
    /* Reads a value into a group (settings, or the settings of an entry), or says what is
     * wrong. */
    bool (*read)(const struct settings_reading *reading, const struct setting *setting,
                 const struct tree_node *node, void *group);
    /* Writes the value as it stands behind the "=". */
    void (*write)(const struct setting *setting, const void *group, struct buf *out);
    bool (*valid)(struct span text);  /* texts only */
    const struct setting_unit *units; /* quantities only */
};

struct setting {
    const char *group;
    const char *name;
    const struct setting_type *type;
    const char *default_text;
    const char *range_text;
    size_t offset;
    size_t size;
    const char *sentence;
};

extern const struct setting settings_table[];
extern const size_t settings_table_count;

extern const struct setting_type setting_number, setting_size, setting_duration, setting_word,
    setting_host, setting_user, setting_group, setting_label, setting_banner, setting_path,
    setting_optional_path, setting_mailbox, setting_relayhost, setting_text, setting_networks,
    setting_relay_networks, setting_listen_addresses, setting_paths, setting_resolvers,
    setting_words, setting_listeners, setting_field_names, setting_rewrites, setting_certificates,
    setting_certificate_users, setting_domains, setting_client_rules, setting_routes,
    setting_route_name, setting_senders, setting_names, setting_route_to, setting_fingerprints,
    setting_ip_addresses, setting_rate, setting_socket, setting_day, setting_exceptions,
    setting_dkim_senders, setting_dkim_selector, setting_dkim;

/* "NAME: WHAT; write RIGHT", with the range where there is one. */
bool setting_refuse(const struct settings_reading *reading, const struct setting *setting,
                    unsigned line, const char *what) MUST_CHECK;
/* The same with what would be right in this case. */
bool setting_refuse_for(const struct settings_reading *reading, const struct setting *setting,
                        unsigned line, const char *what, const char *right) MUST_CHECK;
/* The same, "NAME: VALUE is not a TYPE; ...". */
bool setting_refuse_value(const struct settings_reading *reading, const struct setting *setting,
                          const struct tree_node *node) MUST_CHECK;

/* A text as it stands in a configuration, in quotes. */
void setting_write_text(const char *text, struct buf *out);

/* A duration such as "5m" in seconds; false: it is none. */
bool setting_duration_parse(struct span text, uint64_t *out_s) MUST_CHECK;
/* A size such as "25M" in bytes; false: it is none. */
bool setting_size_parse(struct span text, uint64_t *out_bytes) MUST_CHECK;
/* The same as it is written, without quotes. */
void setting_duration_write(uint64_t seconds, struct buf *out);

/* Is this member of a group written, and not as an empty text or list?  Asked also when its value
 * is wrong. */
bool setting_is_given(const struct tree_node *node, const char *name);

/* What an entry as a whole may not be. */
struct setting_fault {
    bool is_there;
    const char *what, *right;
};
/* Refuses the entry for each fault that is there. */
bool setting_faults_absent(const struct settings_reading *reading, const struct setting *setting,
                           const struct tree_node *node, const struct setting_fault *faults,
                           size_t count) MUST_CHECK;

/* Reads one item into the group; false when it cannot be one. */
typedef bool setting_item_fn(struct span text, const struct setting *setting, void *group);
/* One or several: a text, or a list of at most `most` texts. */
bool setting_read_items(const struct settings_reading *reading, const struct setting *setting,
                        const struct tree_node *node, unsigned most, setting_item_fn *read,
                        void *group) MUST_CHECK;

/* Refuses a list for its length. */
bool setting_has_too_many(const struct settings_reading *reading, const struct setting *setting,
                          const struct tree_node *node, unsigned most) MUST_CHECK;

/* Reads the members of a group against the rows of that group; false when something is wrong. */
bool settings_read_group(const struct settings_reading *reading, const char *group,
                         const struct tree_node *node, void *into);

/* The line of a setting, in the entry of a group or at the top (NULL); 0 when it is not written. */
unsigned settings_line_in(const struct tree_node *root, const char *group, unsigned entry,
                          const char *name);

/* Puts the defaults of a group's rows into it. */
void settings_group_defaults(const char *group, void *into);

/* Fills in what an empty text stands for: the machine's name, and postmaster there. */
void settings_complete(struct settings *s);

/* Writes all rows of a group, each "name = value;" and `end`. */
void settings_write_group(const char *group, const void *from, const char *end, struct buf *out);

#endif
