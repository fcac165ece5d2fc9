/*
 * supervisor - `waxseal run`: reads the configuration, opens what the roles need, starts and
 * watches them, reloads at SIGHUP, and stops them in order at SIGTERM.  Called by main.
 */
#ifndef WAXSEAL_SUPERVISOR_SUPERVISOR_H
#define WAXSEAL_SUPERVISOR_SUPERVISOR_H

/* Gives the exit status of the service. */
int supervisor_run(const char *config_path);

#endif
