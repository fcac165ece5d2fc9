#include "supervisor/asking.h"

#include "supervisor/explain_text.h"
#include "supervisor/print.h"

#include <stdio.h>

enum { WHAT_SIZE = 1024, HOP_SIZE = 512 };

/* A second question, which the command line says nothing of. */
static struct error *ask_policy(const struct asking *asking, const char *domain, struct json **out)
{
    const struct invocation nothing_more = { .command = asking->invocation->command };
    const struct client_argument of = { "domain", domain };
    const struct asking policy = { .invocation = &nothing_more,
                                   .run_dir = asking->run_dir,
                                   .verb = "policy explain",
                                   .more = &of,
                                   .more_count = 1 };

    return asking_json(&policy, out);
}

/* What a delivery worker found stands all the same. */
static void add_unknown(struct json *policies, const char *domain, const struct error *err)
{
    struct json *policy = json_append_object(policies);
    struct json *problem;
    char what[WHAT_SIZE];

    snprintf(what, sizeof(what), "it is not known what is cached and what is published: %s",
             error_text(err));
    json_add_string(policy, "domain", domain);
    json_add_null(policy, "cached");
    problem = json_append_object(json_add_array(policy, "problems"));
    json_add_string(problem, "what", what);
    json_add_string(problem, "who", "the administrator of this relay");
}

/* What the role policy knows of each policy domain among the next hops; if it does not answer for
 * one, it is not waited for again. */
static void add_policies(const struct asking *asking, struct json *found)
{
    const struct json *hops = json_get(found, "hops");
    struct json *policies = json_add_array(found, "policies");
    struct error *err = NULL;

    for (size_t i = 0; i < json_count(hops); i++) {
        const struct json *hop = json_item(hops, i);
        char domain[SETTINGS_NAME_SIZE];
        struct json *policy = NULL;
        if (!span_equal(json_text(json_get(hop, "kind")), SPAN("domain")) ||
            !span_to_string(json_text(json_get(hop, "name")), domain, sizeof(domain)))
            continue;
        if (!err)
            err = ask_policy(asking, domain, &policy);
        if (err)
            add_unknown(policies, domain, err);
        else
            json_append(policies, &policy);
    }
    error_free(&err);
}

/* What keeps mail waiting at its next hop, whatever the hosts are like.  A queue that does not
 * answer says so itself when mail comes. */
static void add_queue(const struct asking *asking, struct json *found)
{
    const struct invocation nothing_more = { .command = asking->invocation->command };
    char name[HOP_SIZE];
    const struct client_argument of = { "hop", name };
    const struct asking hop = { .invocation = &nothing_more,
                                .run_dir = asking->run_dir,
                                .verb = "queue hop",
                                .more = &of,
                                .more_count = 1 };
    struct json *answer = NULL;

    if (json_member_is(found, "ends", "error") || /* refused: it never waits */
        !span_to_string(json_member_text(found, "next_hop"), name, sizeof(name)) || !*name)
        return;
    struct error *err = asking_json(&hop, &answer);
    if (err)
        json_add_string(found, "queue_unknown", error_text(err));
    else
        json_add(found, "queue", &answer);
    error_free(&err);
}

/* What the hosts would take does not go as long as it is not given to them. */
static void judge(struct json *found)
{
    const struct json *queue = json_get(found, "queue");

    if (!json_member_is(queue, "hop_state", "suspended") &&
        !json_member_is(queue, "delivery", "hold"))
        return;
    json_add_text(found, "deliverable_then", json_member_text(found, "deliverable"));
    json_add_string(found, "deliverable", "no");
}

static struct error *find_out(const struct asking *asking, struct json **out_found)
{
    struct error *err = asking_json(asking, out_found);

    if (err)
        return err;
    add_policies(asking, *out_found);
    add_queue(asking, *out_found);
    judge(*out_found);
    return NULL;
}

int explain_run(const struct invocation *i)
{
    char run_dir[SETTINGS_PATH_SIZE];
    const struct client_argument offline = { "offline", i->offline ? "yes" : NULL };
    const struct asking asking = { .invocation = i,
                                   .run_dir = run_dir,
                                   .verb = "deliver explain",
                                   .more = &offline,
                                   .more_count = 1 };
    struct json *found = NULL;
    struct error *err;
    int status;

    if (!asking_run_dir(i, run_dir))
        return EXIT_NOT_KNOWN;
    err = find_out(&asking, &found);
    if (!err && i->json)
        print_json(found, stdout);
    else if (!err)
        explain_tell(found, stdout);
    status = found ? explain_status(found) : EXIT_NOT_KNOWN;
    json_free(&found);
    return asking_tell(err) == EXIT_DONE ? status : EXIT_NOT_KNOWN;
}
