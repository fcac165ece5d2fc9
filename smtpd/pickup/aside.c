#include "smtpd/pickup/aside.h"

#include "lib/base/limits.h"
#include "lib/base/map.h"

void aside_init(struct aside *aside, struct folder *folder)
{
    *aside = (struct aside){ .folder = folder, .stuck = map_new() };
}

void aside_clear(struct aside *aside)
{
    map_free(&aside->stuck);
}

void aside_log_file(struct log_line *line, const char *name, uint32_t uid)
{
    log_string(line, "name", name);
    if (uid != UINT32_MAX)
        log_number(line, "uid", uid);
}

/* False: it is known, or too many are. */
static bool note_stuck(struct aside *aside, const char *name)
{
    return map_count(aside->stuck) < PICKUP_STUCK_MAX &&
           !map_put(aside->stuck, span_of(name), aside);
}

void aside_put(struct aside *aside, const char *name, uint32_t uid, const char *why)
{
    char moved_to[DROP_NAME_LEN + 1];
    struct log_line line;
    bool is_moved = folder_set_aside(aside->folder, name, moved_to);

    if (!is_moved && !note_stuck(aside, name))
        return;
    log_begin(&line, LOG_WARNING, "drop-aside");
    aside_log_file(&line, name, uid);
    log_string(&line, "why", why);
    log_string(&line, "aside", is_moved ? moved_to : "no");
    log_end(&line);
}

bool aside_is_stuck(const struct aside *aside, const char *name)
{
    return map_get(aside->stuck, span_of(name)) != NULL;
}
