/*
 * settings - everything an administrator can set, as one table: name, type, default, range, a
 * sentence.  The supervisor reads the file (libconfig behind this module) and hands the effective
 * settings to the roles as text of the same form.  An empty text is a safe loopback relay.
 * All errors of a text are found in one pass, each with its line and what would be right.
 */
#ifndef WAXSEAL_BASE_SETTINGS_H
#define WAXSEAL_BASE_SETTINGS_H

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/network.h"

enum delivery_mode { DELIVERY_ON, DELIVERY_HOLD };
enum listener_auth { LISTENER_AUTH_OFF, LISTENER_AUTH_OPTIONAL, LISTENER_AUTH_REQUIRED };
enum listener_preset { PRESET_RELAY, PRESET_SUBMISSION, PRESET_SUBMISSIONS, PRESET_EDGE };
enum listener_tls {
    LISTENER_TLS_NONE,
    LISTENER_TLS_OPTIONAL,
    LISTENER_TLS_REQUIRED,
    LISTENER_TLS_IMPLICIT
};
enum local_submission { LOCAL_SUBMISSION_ON, LOCAL_SUBMISSION_OFF };
enum socketmap_dane { SOCKETMAP_DANE, SOCKETMAP_DANE_ONLY, SOCKETMAP_DANE_OFF };
enum listener_tls_minimum { TLS_MINIMUM_12, TLS_MINIMUM_13 };
enum listener_client_certificates { CLIENTS_NONE, CLIENTS_REQUEST, CLIENTS_REQUIRE };
enum listener_verify { VERIFY_NONE, VERIFY_NEXT_HOP };
enum listener_switch { SWITCH_OFF, SWITCH_ON };
enum listener_received { RECEIVED_CLIENT, RECEIVED_USER, RECEIVED_HIDDEN };
enum site_tls { SITE_TLS_MAY, SITE_TLS_ENCRYPT, SITE_TLS_VERIFY };
enum relayhost_tls { RELAYHOST_TLS_NONE, RELAYHOST_TLS_MAY, RELAYHOST_TLS_ENCRYPT };
enum route_to { ROUTE_TO_MX, ROUTE_TO_HOSTS, ROUTE_TO_DISCARD, ROUTE_TO_ERROR };
enum route_level {
    ROUTE_LEVEL_NONE,
    ROUTE_LEVEL_MAY,
    ROUTE_LEVEL_ENCRYPT,
    ROUTE_LEVEL_VERIFY,
    ROUTE_LEVEL_DANE,
    ROUTE_LEVEL_FINGERPRINT
};
enum exception_allow { EXCEPTION_UNVERIFIED, EXCEPTION_CLEAR };
enum dkim_forms {
    DKIM_FORMS_RELAXED_RELAXED,
    DKIM_FORMS_RELAXED_SIMPLE,
    DKIM_FORMS_SIMPLE_RELAXED,
    DKIM_FORMS_SIMPLE_SIMPLE
};
enum route_families { FAMILIES_BOTH, FAMILIES_IPV4, FAMILIES_IPV6 };

enum {
    SETTINGS_PATH_SIZE = 512,
    SETTINGS_NAME_SIZE = 256,
    SETTINGS_UNIX_SIZE = LISTENER_LABEL_MAX + 1,
    SETTINGS_LABEL_SIZE = 32,
    SETTINGS_BANNER_SIZE = 128,
    SETTINGS_NETWORKS_MAX = 64,
    SETTINGS_LISTENERS_MAX = 32,
    SETTINGS_ADDRESSES_MAX = 8,    /* of one listener */
    SETTINGS_CERTIFICATES_MAX = 8, /* of one listener */
    SETTINGS_PATHS_SIZE = 2048,    /* of all paths of one list together */
    SETTINGS_RULES_MAX = 64,
    SETTINGS_PATTERNS_SIZE = 1024, /* of all addresses and domains of one rule */
    SETTINGS_DOMAINS_SIZE = 4096,  /* of all domains of one list together */
    SETTINGS_RESOLVERS_MAX = 8,
    SETTINGS_CERTIFICATE_LIST_SIZE = 8192,
    SETTINGS_USER_NAME_MAX = 254,
    SETTINGS_FIELD_NAMES_MAX = 32,
    SETTINGS_FIELD_NAME_SIZE = 64,
    SETTINGS_REWRITES_MAX = 128,
    SETTINGS_ROUTES_MAX = 128,
    SETTINGS_ROUTE_HOSTS_MAX = 8,   /* of one route */
    SETTINGS_ROUTE_SOURCES_MAX = 8, /* the same */
    SETTINGS_NAMES_SIZE = 1024,     /* of all names of one list together */
    SETTINGS_ROUTE_TEXT_SIZE = 256,
    SETTINGS_EXCEPTIONS_MAX = 64,
    SETTINGS_REASON_SIZE = 256,
    SETTINGS_DKIM_MAX = 256,          /* so many keys */
    SETTINGS_DKIM_PER_SENDER_MAX = 8, /* of these, for one domain */
    SETTINGS_SELECTOR_SIZE = 64,
    SETTINGS_FILE_MAX = 512 * 1024,  /* a configuration that is longer is refused */
    SETTINGS_TEXT_MAX = 1000 * 1024, /* what any such becomes, with all defaults; fits in a frame */
};

#define SETTINGS_UNIX_FORM "unix:" /* in front of the path of a Unix socket */

struct network_list {
    struct network items[SETTINGS_NETWORKS_MAX];
    unsigned count;
};

/*
 * How the sockets of listeners are numbered: the n-th address of the i-th is
 * i * SETTINGS_ADDRESSES_MAX + n; that of local submission comes behind, and then the Unix sockets,
 * one for each listener.  The last two are those of the roles policy and tlsrpt.
 */
enum {
    SETTINGS_LISTENER_LOCAL = SETTINGS_LISTENERS_MAX * SETTINGS_ADDRESSES_MAX,
    SETTINGS_LISTENER_UNIX,
    SETTINGS_LISTENER_SOCKETMAP = SETTINGS_LISTENER_UNIX + SETTINGS_LISTENERS_MAX,
    SETTINGS_LISTENER_TLSRPT,
    SETTINGS_SOCKETS_MAX,
};

/* One or more paths; empty: none. */
struct path_list {
    char text[SETTINGS_PATHS_SIZE]; /* each with its NUL, one behind the other */
    unsigned count;
};

/* The n-th path; lent. */
const char *path_list_item(const struct path_list *list, unsigned n);

bool network_list_contains(const struct network_list *list, const struct ip_address *address);

/*
 * Certificates of clients, as lib/base/certificate_pattern writes them, perhaps each with a user.
 * As text with a NUL behind each, and one more at the end.
 */
struct certificate_list {
    char text[SETTINGS_CERTIFICATE_LIST_SIZE];
    unsigned count;
};

/*
 * Visits the entries: begins with *at = 0, gives false behind the last.  `user` is empty where
 * entries have none.
 */
bool certificate_list_next(const struct certificate_list *list, size_t *at,
                           struct span *out_pattern, struct span *out_user);

/* Domains, and ".x" for all below x. */
struct domain_list {
    char text[SETTINGS_DOMAINS_SIZE]; /* each with its NUL, one behind the other */
    unsigned count;
};

/* Is the domain this one, or below that of ".x"? */
bool domain_is_covered(struct span pattern, struct span domain);
bool domain_list_contains(const struct domain_list *list, struct span domain);

/* Names of listeners or of users, or fingerprints. */
struct name_list {
    char text[SETTINGS_NAMES_SIZE]; /* each with its NUL, one behind the other */
    unsigned count;
};

/* The n-th name; lent. */
const char *name_list_item(const struct name_list *list, unsigned n);
bool name_list_contains(const struct name_list *list, struct span name);

/* Which addresses some clients may use: "user ada: ada@example.net, .example.org". */
struct client_rule {
    char user[SETTINGS_NAME_SIZE]; /* who logged in as; "*": whoever; empty: the network counts */
    struct network network;
    char patterns[SETTINGS_PATTERNS_SIZE]; /* each with its NUL, one behind the other */
    unsigned count;
};

struct client_rules {
    struct client_rule items[SETTINGS_RULES_MAX];
    unsigned count;
};

/* The first rule about a client; NULL: there is none, and it may use all. */
const struct client_rule *client_rules_find(const struct client_rules *rules, struct span user,
                                            const struct ip_address *client);
/* Is it one of the rule's addresses, or in one of its domains ("*": any)? */
bool client_rule_allows(const struct client_rule *rule, struct span address);

/* Names of header fields. */
struct field_names {
    char items[SETTINGS_FIELD_NAMES_MAX][SETTINGS_FIELD_NAME_SIZE];
    unsigned count;
};

/* An address that becomes another one, or a domain (".x": all below x); see lib/mail/rewrite. */
struct rewrite {
    char from[SETTINGS_NAME_SIZE];
    char to[SETTINGS_NAME_SIZE];
};

struct rewrite_list {
    struct rewrite items[SETTINGS_REWRITES_MAX];
    unsigned count;
};

/* One entry of `listeners`: where clients connect and who may relay there. */
struct listener_settings {
    char name[SETTINGS_LABEL_SIZE]; /* in the log; empty: the address stands for it */
    enum listener_preset preset;    /* already worked into the other fields */
    struct endpoint addresses[SETTINGS_ADDRESSES_MAX]; /* address = "127.0.0.1:25", or a list */
    unsigned address_count;
    char unix_path[SETTINGS_UNIX_SIZE];     /* address = "unix:/path"; empty: none */
    struct network_list relay_from;         /* relay-from = [ "127.0.0.0/8", "::1/128" ] */
    struct domain_list relay_to;            /* our own domains: anybody may send there */
    char recipients[SETTINGS_PATH_SIZE];    /* the file of the mailboxes that they have ... */
    enum listener_verify verify_recipients; /* ... or who is asked */
    struct network_list proxy_from;         /* none: no PROXY protocol */
    struct network_list xclient_from;       /* who may say XCLIENT */
    enum listener_tls tls;
    enum listener_tls_minimum tls_minimum;
    struct path_list tls_certificate; /* PEM chains; none: no TLS */
    struct path_list tls_key;         /* as many, in the same order */
    enum listener_client_certificates tls_client_certificates;
    char tls_client_ca[SETTINGS_PATH_SIZE];     /* who vouches for them; empty: nobody */
    struct certificate_list relay_certificates; /* who may relay ... */
    struct certificate_list certificate_users;  /* ... and who may log in by them */
    enum listener_auth auth;           /* AUTH, inside TLS; nobody can log in without users_file */
    char banner[SETTINGS_BANNER_SIZE]; /* behind our name in the greeting */
    enum listener_switch submission_fixes;   /* Date, Message-ID; Bcc, Return-Path */
    enum listener_switch complete_addresses; /* bare names, with `origin` */
    struct field_names remove_headers;
    char copy_to[SETTINGS_NAME_SIZE];     /* gets a copy of every message; empty: nobody does */
    enum listener_received received_from; /* what the Received field tells of the client */
    struct network_list normalise_from;   /* whose bare LFs become CRLF */
    uint64_t max_message_bytes;           /* this and the next ones: 0: as for all listeners */
    unsigned max_recipients;
    unsigned max_connections_per_client;
    unsigned max_messages_per_client;
    unsigned max_recipients_per_client;
};

/* A host of a route: "[host]:port", "[address]:port", or "name" or "name:port" for its MX. */
struct route_host {
    char spec[SETTINGS_NAME_SIZE];
    unsigned priority; /* the least first */
    unsigned weight;   /* its share among those of the same priority; 1 or more */
};

struct message_rate {
    unsigned count; /* 0: any number */
    unsigned per_s;
};

/*
 * One entry of `routes`: which mail it is for (all conditions that are given must hold), where that
 * goes, and how.  What is 0 or empty is as for all mail.  The first entry that holds wins; see
 * lib/mail/routing.
 */
struct route_settings {
    char name[SETTINGS_LABEL_SIZE]; /* lower case; never empty, and no other has it */

    /* conditions; empty: any */
    struct domain_list recipients; /* the recipient's domain */
    struct domain_list senders;    /* the reverse-path's; "<>" for the null one */
    struct name_list listeners;    /* as listener_settings_label says */
    struct name_list users;        /* who logged in; "*": whoever */

    enum route_to to;
    char error_text[SETTINGS_ROUTE_TEXT_SIZE];         /* with ROUTE_TO_ERROR: "5.7.1 TEXT" */
    struct route_host hosts[SETTINGS_ROUTE_HOSTS_MAX]; /* with ROUTE_TO_HOSTS: at least one */
    unsigned host_count;

    enum route_level tls;
    struct name_list tls_fingerprints; /* "sha256:HEX", "key-sha256:HEX"; with that level only */
    enum listener_switch implicit_tls;
    char credentials[SETTINGS_PATH_SIZE]; /* a file, "USER:PASSWORD"; empty: no AUTH */
    struct ip_address source_addresses[SETTINGS_ROUTE_SOURCES_MAX];
    unsigned source_address_count;
    char hostname[SETTINGS_NAME_SIZE]; /* in EHLO */
    unsigned port;                     /* of hosts that name none; 0: 25, or 465 for implicit TLS */
    unsigned connections;
    struct message_rate rate;
    unsigned retry_first_s;
    unsigned retry_max_s;
    unsigned queue_lifetime_s;
    unsigned delay_notice_after_s;
    enum route_families families;
    struct network_list mx_allow; /* besides that of all mail */
};

/*
 * One entry of `exception`: a domain whose policy, MTA-STS or DANE, need not be met for a while.
 * All members are given; no other entry has the domain.
 */
struct exception_settings {
    char domain[SETTINGS_NAME_SIZE]; /* the policy domain itself, none below it */
    enum exception_allow allow;      /* TLS with whomever, or no TLS either */
    char reason[SETTINGS_REASON_SIZE];
    int64_t last_day_utc_ms; /* the beginning of the last UTC day on which it holds */
};

/* The end of its last day, from which on it does not hold. */
int64_t exception_end_ms(const struct exception_settings *e);
/* Not past its end, nor while the clock is so far back that it cannot tell. */
bool exception_is_in_force(const struct exception_settings *e, int64_t now_utc_ms);
const char *exception_allow_name(enum exception_allow allow);
enum { EXCEPTION_REMINDED_DAYS = 7 }; /* before its end */
/* Days that are left, the present one included; 0: it has ended. */
int64_t exception_days_left(const struct exception_settings *e, int64_t now_utc_ms);

/*
 * One entry of `dkim`: whose mail is signed, by the domain of its From field, as whom, and with
 * which key.  All entries that fit a domain best sign its mail.  Domains are A-labels.
 */
struct dkim_settings {
    struct name_list senders;              /* lower case; ".x" for all below x, "*" for any */
    char domain[SETTINGS_NAME_SIZE];       /* d=; empty: the domain of the From field */
    char selector[SETTINGS_SELECTOR_SIZE]; /* s= */
    char key[SETTINGS_PATH_SIZE];          /* the file of the private key */
    enum dkim_forms forms;                 /* c=, of header and body */
    enum listener_switch sign_signed;      /* also what came with a signature of that domain */
    enum listener_switch allow_short_key;  /* RSA of 1024 to 2047 bits */
};

/* How well an entry fits the mail of a domain: 0 not at all, the more the better. */
unsigned dkim_settings_fit(const struct dkim_settings *entry, struct span from_domain);
bool dkim_settings_header_is_relaxed(const struct dkim_settings *entry);
bool dkim_settings_body_is_relaxed(const struct dkim_settings *entry);

struct settings {
    char hostname[SETTINGS_NAME_SIZE]; /* the name we say in EHLO and greeting; never empty */
    char user[64];                     /* whom the roles run as when started as root */
    char state_dir[SETTINGS_PATH_SIZE];
    char run_dir[SETTINGS_PATH_SIZE];
    char ca_file[SETTINGS_PATH_SIZE];
    enum log_level log_level;
    char aliases_file[SETTINGS_PATH_SIZE]; /* of the names of this host; empty: none */
    char postmaster[SETTINGS_NAME_SIZE];   /* the human behind our notifications */
    char origin[SETTINGS_NAME_SIZE];       /* the domain of bare names; never empty */
    struct rewrite_list rewrites;          /* of senders, and of where mail goes */
    char users_file[SETTINGS_PATH_SIZE];   /* who may log in; empty: nobody */
    struct client_rules sender_rules;      /* in the envelope and in From */
    struct client_rules recipient_rules;
    char dovecot_socket[SETTINGS_PATH_SIZE]; /* who knows that instead; empty: users_file */

    enum local_submission local_submission; /* sendmail(1): a socket and a drop folder */
    struct listener_settings local;         /* what holds there; no row of the table */

    /* next hop */
    char relayhost[SETTINGS_NAME_SIZE]; /* "", "[host]:port", "[address]:port", "name", "name:port"
                                         */
    enum site_tls tls_floor;            /* of all mail, wherever it goes */
    enum relayhost_tls tls_level;       /* of the relayhost; ignored without one */
    enum delivery_mode delivery;
    struct network_list mx_allow; /* networks that the address filter lets through */
    struct endpoint resolvers[SETTINGS_RESOLVERS_MAX];
    unsigned resolver_count;                    /* 0: those of /etc/resolv.conf */
    char dnssec_bogus_name[SETTINGS_NAME_SIZE]; /* must not resolve; empty: none */

    /* processes; 0: half the cores, at least one */
    unsigned smtpd_processes;
    unsigned deliver_processes;

    /* limits */
    uint64_t max_message_bytes;
    unsigned max_recipients;              /* of one transaction */
    unsigned max_connections;             /* of all clients together */
    unsigned max_connections_per_client;  /* of one IPv4 address or IPv6 /64; loopback excepted */
    unsigned max_connections_per_network; /* of one IPv4 /24 or IPv6 /48; loopback excepted */
    unsigned rate_time_s;                 /* of the next six, of which 0 is no limit */
    unsigned max_messages_per_client;     /* loopback excepted */
    unsigned max_recipients_per_client;   /* the same */
    unsigned max_messages_per_user;
    unsigned max_recipients_per_user;
    unsigned max_messages_per_sender;
    unsigned max_recipients_per_sender;
    uint64_t max_envelope_bytes; /* of one smtpd process: recipients not handed in yet */
    unsigned max_errors;
    unsigned max_idle_commands;
    uint64_t queue_bytes_max;
    unsigned queue_messages_max;
    unsigned history_days;
    uint64_t history_bytes_max;
    unsigned hop_connections;     /* to one next hop at a time */
    unsigned host_connections;    /* to one MX host at a time, of all next hops */
    struct message_rate hop_rate; /* to one next hop; count 0: any */
    unsigned deliver_connections; /* of one worker */
    unsigned connection_messages; /* over one connection */
    unsigned connection_age_s;    /* when a message begins to go over it */
    unsigned connection_idle_s;   /* without one */
    unsigned received_hops_max;
    uint64_t header_bytes_max;
    unsigned line_octets_max; /* of content, without CRLF; 0: any */

    /* times, in seconds */
    unsigned smtpd_timeout_s;   /* for the next command (RFC 5321 s.4.5.3.2.7) */
    unsigned data_timeout_s;    /* from 354 to the end of content, whatever the rate */
    unsigned min_data_rate;     /* octets a second */
    unsigned deliver_connect_s; /* what a host has: see queue/deliver/dialogue.h */
    unsigned deliver_command_s;
    unsigned deliver_data_s;
    unsigned deliver_block_s;
    unsigned deliver_end_s;
    unsigned deliver_message_s;
    unsigned retry_first_s;
    unsigned retry_max_s;
    unsigned queue_lifetime_s;
    unsigned delay_notice_after_s; /* 0: no notice */
    unsigned notices_per_sender;   /* in an hour; 0: any number */
    unsigned postmaster_copies;    /* bits, in the order of the words; see queue/notify.h */
    unsigned policy_unknown_wait_s;

    /* other mail systems that ask for policies */
    char socketmap[SETTINGS_UNIX_SIZE]; /* "127.0.0.1:8461", "unix:/path"; empty: nobody may */
    enum socketmap_dane socketmap_dane; /* whether they are told of DANE, and how strictly */

    /* TLS reports */
    enum listener_switch tlsrpt_reports;
    char tlsrpt_organization[SETTINGS_NAME_SIZE]; /* empty: hostname */
    char tlsrpt_contact[SETTINGS_NAME_SIZE];      /* never empty, as the next one */
    char tlsrpt_sender[SETTINGS_NAME_SIZE];
    unsigned tlsrpt_spread_s;
    struct domain_list tlsrpt_exclude;
    char tlsrpt_socket[SETTINGS_UNIX_SIZE]; /* of datagrams; empty: none */
    char tlsrpt_socket_group[SETTINGS_NAME_SIZE];

    /* last, for they are large and mostly few: see settings_copy */
    unsigned listener_count;
    unsigned route_count;
    unsigned exception_count;
    unsigned dkim_count;
    struct listener_settings listeners[SETTINGS_LISTENERS_MAX];
    struct route_settings routes[SETTINGS_ROUTES_MAX];
    struct exception_settings exceptions[SETTINGS_EXCEPTIONS_MAX];
    struct dkim_settings dkim[SETTINGS_DKIM_MAX];
};

/*
 * Visits the entries that sign mail from a domain: begins with *at = 0, gives false behind the
 * last; behind the call *at - 1 is the entry's number.
 */
bool settings_dkim_next(const struct settings *s, struct span from_domain, unsigned *at,
                        const struct dkim_settings **out_entry);
/* Is there any? */
bool settings_dkim_signs(const struct settings *s, struct span from_domain);

/* The forms in which bodies have to be hashed; both false: none, for nothing is signed. */
struct settings_dkim_bodies {
    bool relaxed, simple;
};
struct settings_dkim_bodies settings_dkim_bodies(const struct settings *s);

/* The entry for a policy domain, in force or not; NULL: there is none. */
const struct exception_settings *settings_exception(const struct settings *s, struct span domain);

/*
 * Zeroed room for settings, which takes memory only where it is written, and gives it back whole:
 * most of it is never in use.
 */
struct settings *settings_new(void);
void settings_free(struct settings **settings);

/* Copies what is in use; memory behind the last entry of each list stays as it is, untouched. */
void settings_copy(struct settings *to, const struct settings *from);

/* What it is called in the log: its name, or where it listens. */
void listener_settings_label(const struct listener_settings *l, char text[SETTINGS_UNIX_SIZE]);

/* Is it a host in one of the forms of `relayhost`? */
bool settings_relayhost_is_valid(struct span text);

/*
 * The port of a host in one of the forms of `relayhost`: its own, else that of its route, which may
 * be NULL; SPAN("") is a host without one of its own.
 */
enum { PORT_SMTP = 25, PORT_SUBMISSIONS = 465 };
uint16_t settings_port_of(struct span host, const struct route_settings *route);

/* Is there anything that could know a user? */
bool settings_have_users(const struct settings *s);

/* What is wrong with a text, as ready lines "FILE:LINE: what is wrong; what would be right". */
struct settings_errors {
    struct buf text; /* one line each, with line ends */
    unsigned count;
};
void settings_errors_init(struct settings_errors *errors);
/* Line 0: the file as a whole. */
void settings_errors_add(struct settings_errors *errors, const char *file, unsigned line,
                         const char *format, ...) PRINTF_LIKE(4, 5);
void settings_errors_clear(struct settings_errors *errors);

/* The settings of an empty text.  `hostname` is the machine's own name. */
void settings_defaults(struct settings *s);

/*
 * Reads a whole configuration text; `file` is its name for the errors.  On success *out is set and
 * true given; else *out is untouched and `errors` holds all that is wrong.
 */
bool settings_parse(struct span text, const char *file, struct settings *out,
                    struct settings_errors *errors);

/* Reads a file; one that cannot be read is one error. */
bool settings_load(const char *path, struct settings *out, struct settings_errors *errors);

/*
 * The line on which a file sets a setting, for what is found wrong with it later; 0 when it does
 * not.  `group` is NULL, or "listeners", "routes", "exception" or "dkim" with the entry's number.
 */
unsigned settings_find_line(const char *path, const char *group, unsigned entry, const char *name);

/*
 * Writes the effective settings as a text that settings_parse reads back to the same settings.
 * The buffer's cap is SETTINGS_TEXT_MAX or more.
 */
void settings_write(const struct settings *s, struct buf *out_text);

/* One row of the table, for the man page, the sample and their lint (waxseal check --list). */
struct setting_row {
    const char *group;        /* NULL, "listeners", "routes", "exception" or "dkim" */
    const char *name;         /* as written in the file */
    const char *type;         /* "size", "duration", "number", "text", "networks", ... */
    const char *default_text; /* as it would be written */
    const char *range_text;   /* "1 to 100000", "on, hold" or "" */
    const char *sentence;
};
/* Row `index`, in the order of the man page; false behind the last. */
bool settings_row(size_t index, struct setting_row *out_row);

#endif
