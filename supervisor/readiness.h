/* readiness - tells the service manager how we are: sd_notify(3)'s protocol, without its library.
 */
#ifndef WAXSEAL_SUPERVISOR_READINESS_H
#define WAXSEAL_SUPERVISOR_READINESS_H

/* "READY=1", "RELOADING=1", "STOPPING=1"; nothing happens when nobody wants to know. */
void readiness_say(const char *state);

#endif
