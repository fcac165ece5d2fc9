#include "supervisor/deaths.h"

#include "lib/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum { ALARM_WITHIN_MS = MINUTE_MS };

bool deaths_add(struct deaths *deaths, int64_t now_ms)
{
    int64_t fifth_last_ms;

    deaths->times_ms[deaths->count % DEATHS_ALARM] = now_ms;
    deaths->count++;
    fifth_last_ms = deaths->times_ms[deaths->count % DEATHS_ALARM];
    if (deaths->count < DEATHS_ALARM || now_ms - fifth_last_ms > ALARM_WITHIN_MS)
        return false;
    deaths->count = 0;
    return true;
}

void death_describe(int wait_status, char text[DEATHS_TEXT_SIZE])
{
    if (WIFSIGNALED(wait_status))
        snprintf(text, DEATHS_TEXT_SIZE, "signal %s", sigabbrev_np(WTERMSIG(wait_status)));
    else
        snprintf(text, DEATHS_TEXT_SIZE, "exit status %d", WEXITSTATUS(wait_status));
}
