/*
 * main - waxseal's command line, sendmail's by its names, and the way back in for the roles that
 * the supervisor starts.
 */
#include "lib/base/span.h"
#include "sendmail/sendmail.h"
#include "supervisor/command_line.h"
#include "supervisor/commands.h"
#include "supervisor/roles.h"
#include "supervisor/sandbox.h"

#include <limits.h>
#include <string.h>

static int show_queue(const char *config)
{
    char queue[] = "queue", list[] = "list", option[] = "--config", path[PATH_MAX];
    char *words[] = { queue, list, option, path };

    if (!span_to_string(span_of(config), path, sizeof(path)))
        return EXIT_WRONG_USAGE;
    return command_line_run(4, words);
}

int main(int argc, char *argv[])
{
    /* "waxseal role NAME" is the supervisor's own: its channel is open as a descriptor */
    if (argc == 3 && strcmp(argv[1], "role") == 0)
        return role_main(argv[2], SANDBOX_CHANNEL_FD);
    if (argc > 1 && sendmail_is_called(argv[1]))
        return sendmail_run(argc - 1, argv + 1, CONFIG_PATH, show_queue);
    if (argc > 0 && sendmail_is_called(argv[0]))
        return sendmail_run(argc, argv, CONFIG_PATH, show_queue);
    return command_line_run(argc - 1, argv + 1);
}
