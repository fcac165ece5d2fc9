#include "supervisor/asking.h"

#include "supervisor/explain_text.h"
#include "supervisor/print.h"

#include <stdio.h>

enum { EXIT_NOT_KNOWN = 3 };

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

/* What the role policy knows of each policy domain among the next hops. */
static struct error *add_policies(const struct asking *asking, struct json *found)
{
    const struct json *hops = json_get(found, "hops");
    struct json *policies = json_add_array(found, "policies");
    struct error *err = NULL;

    for (size_t i = 0; i < json_count(hops) && !err; i++) {
        const struct json *hop = json_item(hops, i);
        char domain[SETTINGS_NAME_SIZE];
        struct json *policy = NULL;
        if (!span_equal(json_text(json_get(hop, "kind")), SPAN("domain")) ||
            !span_to_string(json_text(json_get(hop, "name")), domain, sizeof(domain)))
            continue;
        err = ask_policy(asking, domain, &policy);
        if (!err)
            json_append(policies, &policy);
    }
    return err;
}

static struct error *find_out(const struct asking *asking, struct json **out_found)
{
    struct error *err = asking_json(asking, out_found);

    return err ? err : add_policies(asking, *out_found);
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
