/*
 * roles - the role table: what each role is called, where it begins, how many there are of it, what
 * it is handed, and how it takes new settings.  Read by the supervisor; called by main to become
 * one.
 */
#ifndef WAXSEAL_SUPERVISOR_ROLES_H
#define WAXSEAL_SUPERVISOR_ROLES_H

#include "lib/base/settings.h"
#include "lib/ipc/role.h"

#include <sys/types.h>

struct role_row {
    enum role_id id;
    const char *title;                               /* of the process, at most 15 bytes */
    int (*entry)(struct role *role);                 /* until its end; gives the exit status */
    unsigned (*instances)(const struct settings *s); /* NULL: one */
    unsigned exposure; /* to what strangers send, against that of others; see supervisor/quarrels */
    bool has_successors; /* at a reload a new one takes over; else it takes settings in place */
    bool has_listeners;  /* listening sockets, their certificates and keys, the table of counters */
    bool has_socketmap;  /* the listening socket where other mail systems ask */
    bool has_tlsrpt_socket; /* where other mail systems tell of their sessions */
    bool has_ca_bundle;
    bool has_resolv_conf;
    bool has_users;
    bool has_credentials; /* of routes */
    bool has_aliases;
    bool has_dkim_keys;
    const char *folder;      /* its store in the state directory, or NULL */
    mode_t folder_mode;      /* 0: its own alone */
    int64_t drain_reload_ms; /* what a predecessor may take to end */
};

/* All roles that the supervisor starts. */
size_t roles_table(const struct role_row **out_rows);
const struct role_row *role_row_of(enum role_id id);

/* Do these two roles speak with each other? */
bool roles_are_peers(enum role_id a, enum role_id b);

/* Becomes a role: the process that main was started as for it.  Gives the exit status. */
int role_main(const char *name, int fd);

#endif
