/*
 * process - one running role: started by executing ourselves, spoken to over its channel, reaped by
 * the supervisor.  Owns the channel; the death itself is heard of by SIGCHLD only.
 */
#ifndef WAXSEAL_SUPERVISOR_PROCESS_H
#define WAXSEAL_SUPERVISOR_PROCESS_H

#include "lib/base/list.h"
#include "lib/io/loop.h"
#include "lib/ipc/supervisor.pb-c.h"
#include "supervisor/roles.h"
#include "supervisor/sandbox.h"

struct process;

struct process_events {
    void (*ready)(void *ctx, struct process *process);
    /* A piece of an answer to process_ask; the reply is lent. */
    void (*reply)(void *ctx, struct process *process, const Ipc__ControlReply *reply,
                  struct span body);
    /* Its channel of a socket pair has ended; `why` is what its peer did wrong, or empty. */
    void (*peer_lost)(void *ctx, struct process *process, unsigned pair, struct span why);
};

/* What all processes of one supervisor have in common; outlives them. */
struct process_plan {
    struct loop *loop;
    int binary; /* opened at start: an upgrade on disk never mixes builds */
    struct sandbox_user user;
    int state_dir; /* open; those with a store work in their folder of it */
    const struct process_events *events;
    void *ctx;
};

/* Starts a role and greets it.  It waits for what is handed to it until process_go. */
struct error *process_start(const struct process_plan *plan, const struct role_row *row,
                            unsigned instance, uint64_t generation, struct span settings,
                            struct process **out_process) MUST_CHECK;

/* After its death was reaped, or to forget it: closes the channel, on which a living one ends. */
void process_free(struct process **process);

void process_hand_content(struct process *p, enum role_content kind, unsigned index,
                          struct span content);
void process_hand_listener(struct process *p, unsigned index, int fd); /* lent */
/* One end of a socket pair, taken, and the pair's number. */
void process_hand_peer(struct process *p, const struct process *peer, unsigned pair, int fd);
void process_hand_shared(struct process *p, int fd, uint32_t size); /* lent */
void process_go(struct process *p);

void process_give_settings(struct process *p, uint64_t generation, struct span settings);
/* It takes nothing new and ends; killed when it has not some seconds after `wait_ms`. */
void process_drain(struct process *p, int64_t wait_ms);
void process_ask(struct process *p, const Ipc__ControlRequest *request);
/* Whoever asked this is gone. */
void process_ask_no_more(struct process *p, uint64_t id);
void process_kill(struct process *p);

const struct role_row *process_row(const struct process *p);
unsigned process_instance(const struct process *p);
uint64_t process_generation(const struct process *p);
pid_t process_pid(const struct process *p);
bool process_is_ready(const struct process *p);
bool process_is_draining(const struct process *p);

#endif
