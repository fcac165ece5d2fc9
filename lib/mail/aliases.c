#include "lib/mail/aliases.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"

/* One name and whom it stands for: texts, each with its NUL, one behind the other. */
struct alias {
    char *targets;
    size_t len;
};

struct aliases {
    struct map *by_name; /* in lower case */
};

enum { ENTRY_MAX = 64 * 1024 };

/* --- reading --------------------------------------------------------------------------------- */

struct reading {
    struct aliases *aliases;
    aliases_skipped_fn *skipped;
    void *ctx;
    unsigned line;     /* of the entry */
    struct buf entry;  /* with its continuation lines */
    struct buf target; /* those taken */
};

static void skip(const struct reading *reading, const char *what)
{
    if (reading->skipped)
        reading->skipped(reading->ctx, reading->line, what);
}

/* Up to the separator, which may stand in quotes. */
static size_t piece_length(struct span text, char separator)
{
    bool is_quoted = false;

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"')
            is_quoted = !is_quoted;
        else if (text.data[i] == '\\')
            i++;
        else if (text.data[i] == separator && !is_quoted)
            return i;
    }
    return text.len;
}

static struct span without_quotes(struct span text)
{
    if (text.len >= 2 && text.data[0] == '"' && text.data[text.len - 1] == '"')
        return span_first(span_from(text, 1), text.len - 2);
    return text;
}

/* A backslash in front: the mailbox of that name, whatever alias it has. */
static bool is_final(struct span target)
{
    return span_starts_with(target, SPAN("\\"));
}

/* As an address, with the domain of bare names. */
static bool target_address(struct span target, struct span origin, struct address *out)
{
    char text[2 * (ADDRESS_MAX + 1)];
    size_t len;

    if (is_final(target))
        target = span_from(target, 1);
    if (!span_to_string(target, text, ADDRESS_MAX + 1))
        return false;
    if (address_parse(target, out) == ADDRESS_FINE && out->domain[0] != '\0')
        return true;
    len = target.len;
    text[len++] = '@';
    return span_to_string(origin, text + len, sizeof(text) - len) &&
           address_parse(span_of(text), out) == ADDRESS_FINE;
}

/* What a target is that cannot be taken; NULL: it is an address, or a name. */
static const char *find_fault(struct span target)
{
    struct address address;

    if (span_starts_with(target, SPAN("|")))
        return "a pipe (only addresses are taken)";
    if (span_starts_with(target, SPAN("/")))
        return "a file (only addresses are taken)";
    if (span_starts_with_nocase(target, SPAN(":include:")))
        return "an include (only addresses are taken)";
    return target_address(target, SPAN("localhost"), &address) ? NULL : "what is no address";
}

static void take_target(struct reading *reading, struct span target)
{
    const char *fault;

    if (target.len == 0)
        return;
    target = without_quotes(target);
    fault = find_fault(target);
    if (fault)
        skip(reading, fault);
    else
        ensure(buf_append(&reading->target, target) && /* a part of the entry, and its comma */
               buf_append(&reading->target, (struct span){ "", 1 }));
}

static bool name_key(struct span name, char key[ADDRESS_MAX + 1])
{
    if (name.len == 0 || !span_to_string(name, key, ADDRESS_MAX + 1))
        return false;
    for (char *c = key; *c; c++)
        *c = ascii_lower(*c);
    return true;
}

static void keep_alias(struct reading *reading, const char *key)
{
    struct map *by_name = reading->aliases->by_name;

    if (map_get(by_name, span_of(key))) {
        skip(reading, "a second line for a name");
        return;
    }
    struct alias *alias = memory_new(sizeof(*alias));
    alias->len = buf_len(&reading->target);
    alias->targets = memory_new(alias->len);
    memcpy(alias->targets, buf_span(&reading->target).data, alias->len);
    map_put(by_name, span_of(key), alias);
}

static void take_entry(struct reading *reading)
{
    struct span rest = buf_span(&reading->entry);
    size_t colon = piece_length(rest, ':');
    struct span name = without_quotes(span_trim(span_first(rest, colon)));
    char key[ADDRESS_MAX + 1];

    if (rest.len == 0)
        return;
    if (colon == rest.len || !name_key(name, key)) {
        skip(reading, "a line that is not \"name: address, ...\"");
        return;
    }
    buf_reset(&reading->target);
    rest = span_from(rest, colon + 1);
    while (rest.len > 0) {
        size_t len = piece_length(rest, ',');
        take_target(reading, span_trim(span_first(rest, len)));
        rest = span_from(rest, len + 1);
    }
    if (buf_len(&reading->target) > 0)
        keep_alias(reading, key);
}

/* A line that begins with a blank goes on with the entry before it. */
static void take_line(struct reading *reading, struct span line, unsigned number)
{
    bool goes_on = line.len > 0 && (line.data[0] == ' ' || line.data[0] == '\t');
    struct span trimmed = span_trim(line);

    if (trimmed.len > 0 && trimmed.data[trimmed.len - 1] == '\r')
        trimmed = span_trim(span_first(trimmed, trimmed.len - 1));
    if (trimmed.len == 0 || trimmed.data[0] == '#')
        return;
    if (!goes_on) {
        take_entry(reading);
        buf_reset(&reading->entry);
    }
    if (buf_len(&reading->entry) == 0)
        reading->line = number;
    if (!buf_append(&reading->entry, trimmed) || !buf_append(&reading->entry, SPAN(" "))) {
        skip(reading, "what is beyond 64 KiB");
        buf_reset(&reading->entry);
    }
}

struct aliases *aliases_parse(struct span text, aliases_skipped_fn *skipped, void *ctx)
{
    struct aliases *aliases = memory_new(sizeof(*aliases));
    struct reading reading = { .aliases = aliases, .skipped = skipped, .ctx = ctx };
    struct span line;

    aliases->by_name = map_new();
    buf_init(&reading.entry, ENTRY_MAX);
    buf_init(&reading.target, 2 * ENTRY_MAX);
    for (unsigned number = 1; span_cut(&text, '\n', &line); number++)
        take_line(&reading, line, number);
    take_entry(&reading);
    buf_clear(&reading.entry);
    buf_clear(&reading.target);
    return aliases;
}

void aliases_free(struct aliases **aliases)
{
    struct alias *alias;
    size_t cursor = 0;

    if (!*aliases)
        return;
    while ((alias = map_next((*aliases)->by_name, &cursor, NULL)) != NULL) {
        free(alias->targets);
        free(alias);
    }
    map_free(&(*aliases)->by_name);
    free(*aliases);
    *aliases = NULL;
}

size_t aliases_count(const struct aliases *aliases)
{
    return map_count(aliases->by_name);
}

/* --- expanding ------------------------------------------------------------------------------- */

bool alias_is_at_home(const struct alias_home *home, const struct address *path)
{
    struct span domain = span_of(path->domain);

    return domain.len == 0 || span_equal_nocase(domain, home->hostname) ||
           span_equal_nocase(domain, home->origin) || span_equal_nocase(domain, SPAN("localhost"));
}

static const struct alias *find(const struct aliases *aliases, const struct alias_home *home,
                                const struct address *path)
{
    char key[ADDRESS_MAX + 1];
    struct span local = { path->text, path->local_len };

    if (!alias_is_at_home(home, path) || !name_key(without_quotes(local), key))
        return NULL;
    return map_get(aliases->by_name, span_of(key));
}

/* All that was met, in its order; what has an alias is followed, what has none gets the mail. */
struct expansion {
    struct met {
        struct address address;
        bool gets_mail;
    } * items;
    size_t count;
    bool is_cut; /* there were more */
};

static struct met *meet(struct expansion *expansion, const struct address *address)
{
    for (size_t i = 0; i < expansion->count; i++)
        if (span_equal_nocase(span_of(expansion->items[i].address.text), span_of(address->text)))
            return &expansion->items[i];
    if (expansion->count == ALIAS_TARGETS_MAX) {
        expansion->is_cut = true;
        return NULL;
    }
    struct met *fresh = &expansion->items[expansion->count++];
    *fresh = (struct met){ .address = *address };
    return fresh;
}

static void follow(const struct aliases *aliases, const struct alias_home *home,
                   struct expansion *expansion, size_t at)
{
    const struct alias *alias = find(aliases, home, &expansion->items[at].address);
    struct address address;

    if (!alias) {
        expansion->items[at].gets_mail = true;
        return;
    }
    for (size_t i = 0; i < alias->len; i += strlen(alias->targets + i) + 1) {
        struct span target = span_of(alias->targets + i);
        if (!target_address(target, home->origin, &address))
            continue;
        bool names_itself = find(aliases, home, &address) == alias;
        struct met *met = meet(expansion, &address);
        if (met && (is_final(target) || names_itself))
            met->gets_mail = true;
    }
}

bool aliases_expand(const struct aliases *aliases, const struct alias_home *home,
                    const struct address *path, alias_target_fn *each, void *ctx)
{
    struct expansion expansion = { .count = 0 };
    bool found;

    if (!aliases || !find(aliases, home, path))
        return false;
    expansion.items = memory_new_array(ALIAS_TARGETS_MAX, sizeof(expansion.items[0]));
    meet(&expansion, path);
    for (size_t i = 0; i < expansion.count && !expansion.is_cut; i++)
        if (i == 0 || !expansion.items[i].gets_mail)
            follow(aliases, home, &expansion, i);
    found = expansion.is_cut;
    for (size_t i = 0; i < expansion.count && !expansion.is_cut; i++) {
        if (!expansion.items[i].gets_mail)
            continue;
        found = true;
        each(ctx, &expansion.items[i].address);
    }
    free(expansion.items);
    return found;
}
