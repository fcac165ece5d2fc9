/*
 * session_rig - one session of smtpd with a fake queue behind it and a client's end of its socket:
 * say something, hear what is answered.
 */
#ifndef WAXSEAL_TESTS_SESSION_RIG_H
#define WAXSEAL_TESTS_SESSION_RIG_H

#include "lib/base/buf.h"
#include "smtpd/session.h"
#include "tests/support/smtpd/fake_queue_client.h"

struct rig {
    struct loop *loop;
    struct loop_timer *patience;
    struct queue_client *queue;
    struct settings settings;
    struct session_host host;
    struct session_place place;
    int client_fd;
    struct loop_watch *watch;
    struct buf heard; /* from the server, not yet looked at */
    bool hung_up;     /* the server has closed */
    bool timed_out;
    char line[4096];
    int log_fd; /* what was logged */
};

/* Settings of a listener on 127.0.0.1 that relays for 192.0.2.0/24; to be changed before rig_open.
 */
void rig_init(struct rig *rig);
/* A client connects, from `address`; call again for the next one. */
void rig_open(struct rig *rig, const char *address);
void rig_close(struct rig *rig);

void rig_say(struct rig *rig, const char *text); /* as it stands: with its CRLF */
void rig_say_bytes(struct rig *rig, struct span bytes);

/* The next line heard, without CRLF; NULL when none comes, or the server has closed. */
const char *rig_hear(struct rig *rig);
/* Has the server closed, with nothing more said? */
bool rig_is_closed(struct rig *rig);
/* Was this logged? */
bool rig_has_logged(struct rig *rig, const char *text);
/* Lets the loop run until the session has done all it can now. */
void rig_settle(struct rig *rig);

#endif
