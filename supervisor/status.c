#include "supervisor/status.h"

#include "lib/base/clock.h"

#include <unistd.h>

static const char *const states[] = {
    [POST_STARTING] = "starting", [POST_SERVING] = "serving", [POST_DRAINING] = "draining",
    [POST_WAITING] = "waiting",   [POST_DOWN] = "down",
};

static void add_time(struct json *object, const char *key, int64_t utc_ms)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format_rfc3339(utc_ms, text);
    json_add_string(object, key, text);
}

static void add_pid(struct json *object, pid_t pid)
{
    if (pid > 0)
        json_add_number(object, "pid", pid);
    else
        json_add_null(object, "pid");
}

static void add_post(void *ctx, const struct post_facts *facts)
{
    struct json *row = json_append_object(ctx);

    json_add_string(row, "role", role_name(facts->role));
    json_add_number(row, "instance", facts->instance);
    json_add_string(row, "state", states[facts->state]);
    add_time(row, "since", facts->since_ms);
    add_pid(row, facts->pid);
    json_add_number(row, "generation", (int64_t)facts->generation);
    json_add_number(row, "restarts", facts->restarts);
    json_add_number(row, "blamed", facts->blamed);
    json_add_string(row, "last_end", facts->last_end);
}

/* One word for the whole: does the relay do all that it is for? */
static const char *state_of(const struct status_facts *facts, const struct posts *posts)
{
    if (facts->stopping)
        return "stopping";
    if (posts_any_down(posts))
        return "impaired";
    return posts_are_ready(posts) ? "serving" : "starting";
}

struct json *status_new(const struct status_facts *facts, const struct posts *posts)
{
    struct json *status = json_new_object();

    json_add_string(status, "state", state_of(facts, posts));
    add_time(status, "since", facts->since_ms);
    json_add_string(status, "version", WAXSEAL_VERSION);
    json_add_string(status, "hostname", facts->hostname);
    add_pid(status, getpid());
    json_add_number(status, "generation", (int64_t)facts->generation);
    posts_visit(posts, add_post, json_add_array(status, "roles"));
    return status;
}
