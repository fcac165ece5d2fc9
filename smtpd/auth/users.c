#include "smtpd/auth/users.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "smtpd/auth/password.h"

struct users {
    struct user *items;
    size_t count;
    size_t room;
    bool all_have_keys;
    struct map *by_name;
};

bool users_name_is_valid(struct span name)
{
    return name.len > 0 && name.len <= USERS_NAME_MAX && name.data[0] != '#' &&
           span_is_printable(name) && span_find(name, ' ') == name.len &&
           span_find(name, ':') == name.len;
}

static bool is_comment(struct span line)
{
    line = span_trim(line);
    return line.len == 0 || line.data[0] == '#';
}

/* --- reading */

struct reading {
    const char *file;
    unsigned line;
    struct settings_errors *errors;
    struct users *users;
};

static void refuse(const struct reading *r, const char *what)
{
    settings_errors_add(r->errors, r->file, r->line, "%s", what);
}

/* What is wrong with a line, or NULL and its parts. */
static const char *judge(struct span line, struct span *name, struct span *hash,
                         struct scram_keys *keys, bool *has_keys)
{
    struct span rest = line;

    if (!span_cut(&rest, ':', name) || !users_name_is_valid(*name))
        return "not a user's name; write NAME:HASH, the name in printable ASCII without blanks";
    if (!span_cut(&rest, ':', hash) || !password_hash_is_sound(*hash))
        return "not a hash behind the name; write one of yescrypt ($y$), bcrypt ($2b$) or SHA-512 "
               "($6$), as `waxseal user add` does";
    *has_keys = rest.data != NULL;
    if (*has_keys && !scram_keys_parse(rest, keys))
        return "not SCRAM keys behind the hash; write SCRAM-SHA-256$ITERATIONS:SALT$STORED:SERVER, "
               "at least 4096 iterations, or nothing";
    return NULL;
}

static struct user *add(struct users *users)
{
    if (users->count == users->room) {
        users->room = users->room == 0 ? 16 : 2 * users->room;
        users->items = memory_resize(users->items, users->room * sizeof(*users->items));
    }
    return &users->items[users->count++];
}

static void take_line(const struct reading *r, struct span line)
{
    struct scram_keys keys = { .iterations = 0 };
    struct span name, hash;
    bool has_keys;
    const char *wrong = judge(line, &name, &hash, &keys, &has_keys);

    if (wrong) {
        refuse(r, wrong);
        return;
    }
    if (r->users->count == USERS_MAX) {
        refuse(r, "too many users; 100000 is the most");
        return;
    }
    *add(r->users) = (struct user){
        .name = memory_copy_span(name),
        .hash = memory_copy_span(hash),
        .has_keys = has_keys,
        .keys = keys,
        .line = r->line,
    };
    r->users->all_have_keys = r->users->all_have_keys && has_keys;
}

/* By name, when the items no longer move. */
static void index_names(struct reading *r)
{
    r->users->by_name = map_new();
    for (size_t i = 0; i < r->users->count; i++) {
        struct user *user = &r->users->items[i];
        r->line = user->line;
        if (map_get(r->users->by_name, span_of(user->name)))
            refuse(r, "this user stands above already; leave one of the lines");
        else
            map_put(r->users->by_name, span_of(user->name), user);
    }
}

bool users_parse(struct span text, const char *file, struct settings_errors *errors,
                 struct users **out_users)
{
    struct users *users = memory_new(sizeof(*users));
    struct reading r = { .file = file, .errors = errors, .users = users };
    unsigned before = errors->count;
    struct span line;

    users->all_have_keys = true;
    while (span_cut(&text, '\n', &line)) {
        r.line++;
        if (!is_comment(line))
            take_line(&r, line);
    }
    index_names(&r);
    if (errors->count > before)
        users_free(&users);
    else
        *out_users = users;
    return errors->count == before;
}

void users_free(struct users **users)
{
    struct users *u = *users;

    if (!u)
        return;
    for (size_t i = 0; i < u->count; i++) {
        crypto_cleanse(u->items[i].hash, strlen(u->items[i].hash));
        free(u->items[i].name);
        free(u->items[i].hash);
    }
    if (u->items)
        crypto_cleanse(u->items, u->count * sizeof(*u->items));
    free(u->items);
    map_free(&u->by_name);
    free(u);
    *users = NULL;
}

size_t users_count(const struct users *users)
{
    return users->count;
}

const struct user *users_at(const struct users *users, size_t index)
{
    ensure(index < users->count);
    return &users->items[index];
}

const struct user *users_find(const struct users *users, struct span name)
{
    return map_get(users->by_name, name);
}

bool users_all_have_keys(const struct users *users)
{
    return users->count > 0 && users->all_have_keys;
}

/* --- writing */

static bool is_of_user(struct span line, struct span name)
{
    return !is_comment(line) && span_equal(span_first(line, span_find(line, ':')), name) &&
           name.len < line.len;
}

static bool put_line(struct buf *out, struct span line)
{
    return buf_append(out, line) && buf_append(out, SPAN("\n"));
}

bool users_rewrite(struct span text, struct span name, const char *line, struct buf *out)
{
    bool written = line == NULL;
    struct span old;

    if (text.len > 0 && text.data[text.len - 1] == '\n')
        text.len--;
    else if (text.len == 0)
        text.data = NULL;
    while (span_cut(&text, '\n', &old)) {
        if (!is_of_user(old, name)) {
            if (!put_line(out, old))
                return false;
        } else if (!written) {
            if (!put_line(out, span_of(line)))
                return false;
            written = true;
        }
    }
    return written || put_line(out, span_of(line));
}
