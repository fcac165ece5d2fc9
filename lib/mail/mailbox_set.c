#include "lib/mail/mailbox_set.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/map.h"
#include "lib/base/memory.h"

enum { FAULTS_SHOWN = 20, KEY_MAX = ADDRESS_MAX + 1 + DOMAIN_MAX };

struct mailbox_set {
    struct map *keys; /* to the set itself: what counts is whether there is one */
};

/* The local-part in lower case, "@", and the domain as it is looked up. */
static struct span key_of(struct span local_part, const char *domain, char room[KEY_MAX])
{
    struct span name = span_of(domain);

    for (size_t i = 0; i < local_part.len; i++)
        room[i] = ascii_lower(local_part.data[i]);
    room[local_part.len] = '@';
    memcpy(room + local_part.len + 1, name.data, name.len);
    return (struct span){ room, local_part.len + 1 + name.len };
}

static struct span key_of_mailbox(const struct address *mailbox, char room[KEY_MAX])
{
    struct span local_part = { mailbox->text, mailbox->local_len };

    return key_of(local_part, mailbox->domain, room);
}

/* All of a domain: as if its local-part were empty. */
static struct span key_of_domain(const struct address *mailbox, char room[KEY_MAX])
{
    return key_of(SPAN(""), mailbox->domain, room);
}

/* ---- reading ------------------------------------------------------------------------------ */

/* A domain is parsed as that of some mailbox. */
static bool parse_domain(struct span text, struct address *out)
{
    char mailbox[ADDRESS_MAX + 1] = "x";

    return text.len < sizeof(mailbox) - 1 &&
           span_to_string(text, mailbox + 1, sizeof(mailbox) - 1) &&
           address_parse_utf8(span_of(mailbox), out) == ADDRESS_FINE;
}

static bool add_entry(struct mailbox_set *set, struct span text)
{
    char room[KEY_MAX];
    struct address mailbox;
    bool is_domain = span_starts_with(text, SPAN("@"));

    if (is_domain ? !parse_domain(text, &mailbox)
                  : address_parse_utf8(text, &mailbox) != ADDRESS_FINE || mailbox.domain[0] == '\0')
        return false;
    map_put(set->keys, is_domain ? key_of_domain(&mailbox, room) : key_of_mailbox(&mailbox, room),
            set);
    return true;
}

/* Without its comment, which begins behind a blank: a local-part may hold "#". */
static struct span entry_of(struct span line)
{
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] == '#' && (i == 0 || line.data[i - 1] == ' ' || line.data[i - 1] == '\t'))
            return span_trim(span_first(line, i));
    return span_trim(line);
}

static void add_line(struct mailbox_set *set, struct span line, unsigned number, const char *file,
                     struct settings_errors *errors)
{
    struct span entry = entry_of(line);

    if (entry.len == 0 || add_entry(set, entry))
        return;
    if (errors->count < FAULTS_SHOWN)
        settings_errors_add(errors, file, number,
                            "this is no mailbox; write ada@example.net, or @example.net for all of "
                            "a domain");
    else
        errors->count++;
}

bool mailbox_set_parse(struct span text, const char *file, struct settings_errors *errors,
                       struct mailbox_set **out_set)
{
    struct mailbox_set *set = memory_new(sizeof(*set));
    unsigned before = errors->count;
    unsigned number = 0;
    struct span line;

    set->keys = map_new();
    while (span_cut(&text, '\n', &line))
        add_line(set, line, ++number, file, errors);
    if (errors->count > before) {
        mailbox_set_free(&set);
        return false;
    }
    *out_set = set;
    return true;
}

void mailbox_set_free(struct mailbox_set **set)
{
    if (!*set)
        return;
    map_free(&(*set)->keys);
    free(*set);
    *set = NULL;
}

/* ---- asking ------------------------------------------------------------------------------- */

size_t mailbox_set_count(const struct mailbox_set *set)
{
    return map_count(set->keys);
}

bool mailbox_set_has(const struct mailbox_set *set, const struct address *mailbox)
{
    char room[KEY_MAX];

    return map_get(set->keys, key_of_mailbox(mailbox, room)) ||
           map_get(set->keys, key_of_domain(mailbox, room));
}
