/* main - waxseal's command line, and the way back in for the roles that the supervisor starts. */
#include "supervisor/command_line.h"
#include "supervisor/roles.h"
#include "supervisor/sandbox.h"

#include <string.h>

int main(int argc, char *argv[])
{
    /* "waxseal role NAME" is the supervisor's own: its channel is open as a descriptor */
    if (argc == 3 && strcmp(argv[1], "role") == 0)
        return role_main(argv[2], SANDBOX_CHANNEL_FD);
    return command_line_run(argc - 1, argv + 1);
}
