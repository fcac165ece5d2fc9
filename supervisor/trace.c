#include "supervisor/asking.h"

#include "supervisor/print.h"
#include "supervisor/story.h"

static struct error *trace(const struct asking *asking)
{
    struct json *answer = NULL;
    struct error *err = asking_json(asking, &answer);

    if (err)
        return err;
    if (asking->invocation->json)
        print_json(answer, stdout);
    else
        story_tell(answer, stdout);
    json_free(&answer);
    return NULL;
}

int trace_run(const struct invocation *i)
{
    char run_dir[SETTINGS_PATH_SIZE];
    const struct asking asking = { .invocation = i, .run_dir = run_dir, .verb = "queue trace" };

    return asking_run_dir(i, run_dir) ? asking_tell(trace(&asking)) : EXIT_FAILED;
}
