/*
 * limits - every bound on what a peer can make us do, with its source.  Settings may lower some;
 * nothing raises them.  "table" is design.md section 11.
 */
#ifndef WAXSEAL_BASE_LIMITS_H
#define WAXSEAL_BASE_LIMITS_H

enum {
    /* SMTP, both sides */
    LOCAL_PART_MAX = 64,              /* RFC 5321 s.4.5.3.1.1; of settings, not of clients */
    DOMAIN_MAX = 253,                 /* RFC 1035 s.2.3.4 as text; RFC 5321 s.4.5.3.1.2 says 255 */
    PATH_MAX_OCTETS = 256,            /* RFC 5321 s.4.5.3.1.3, with the angle brackets */
    ADDRESS_MAX = 254,                /* the same without them */
    SMTP_COMMAND_MAX = 4096,          /* table; RFC 5321 s.4.5.3.1.4 asks for 512 */
    SMTP_AUTH_LINE_MAX = 12288,       /* RFC 4954 s.4 */
    SMTP_TEXT_LINE_MAX = 1000,        /* RFC 5321 s.4.5.3.1.6, with CRLF */
    SMTP_REPLY_LINE_MAX = 2048,       /* table; RFC 5321 s.4.5.3.1.5 asks for 512 */
    SMTP_REPLY_LINES_MAX = 100,       /* table */
    SMTP_REPLY_BYTES_MAX = 64 * 1024, /* table */
    EHLO_KEYWORDS_MAX = 64,           /* pitfalls.md section 7.6 */
    RECEIVED_HOPS_MAX = 100,          /* table; RFC 5321 s.6.3 */
    HEADER_BYTES_MAX = 256 * 1024,    /* pitfalls.md section 7.6; settings may lower it */
    ENVID_MAX = 100,                  /* RFC 3461 s.5.4 */
    ORCPT_MAX = 500,                  /* RFC 3461 s.5.4 */
    LISTENER_LABEL_MAX = 255,         /* a name, an address or the path of a socket */
    RECIPIENTS_PER_JOB_MAX = 100,     /* RFC 5321 s.4.5.3.1.8 */
    SMTPD_DEFERRALS_MAX = 1000,       /* commands refused for now (4yz), without mail, before 421 */
    SMTPD_CHUNKS_MAX = 20000,         /* BDAT commands a message; pitfalls.md section 7.6 */
    ACCEPTS_PER_TURN = 8,             /* design.md section 3 */

    /* smtpd's waits, and what one session may make it keep */
    SMTPD_COMMAND_DISCARD_MAX = 64 * 1024, /* of a command line that is too long; then 421 */
    SMTPD_OUTPUT_MAX = 64 * 1024,          /* replies not taken before we stop reading */
    SMTPD_AUTH_FAILURES_MAX = 3,           /* in one session, before 421 */
    SMTPD_PROBE_MS = 30 * 1000,            /* for the queue to say whether there is a mailbox */
    SMTPD_AUTH_MS = 60 * 1000,             /* for the auth role; it is given up on before */
    SMTPD_SLOW_MS = 1000,                  /* before a reply, after many errors */
    SMTPD_PROXY_MS = 5 * 1000,             /* for a proxy's header; SRV-120 */
    SMTPD_TLS_MS = 60 * 1000,              /* handshake; rfc/smtp-server.md SRV-70 */
    SMTPD_QUEUE_WAIT_MS = 10 * 1000,       /* for a queue that is away; design.md section 2 */
    SMTPD_QUEUE_DOWN_MS = 60 * 1000,       /* away for longer: 421 at once */
    SMTPD_ROOM_WAIT_MS = 5 * 60 * 1000,    /* for the queue's credit within DATA */
    SMTPD_COMMIT_MS = 9 * 60 * 1000,       /* for its verdict; RFC 5321 s.4.5.3.2.6 gives 10 min */
    SMTPD_DATA_GRACE_MS = 3 * 60 * 1000,   /* of these without a least rate; s.4.5.3.2.5 */
    SMTPD_CLOSE_MS = 5 * 1000,             /* for the client to take our last reply */
    SMTPD_DRAIN_BEGIN_MS = 5 * 1000,       /* draining: for a new client to begin its transaction */
    SMTPD_DRAIN_COMMIT_MS = 25 * 1000,     /* draining: for the final dot's reply; design.md s.2 */
    SMTPD_LEAVE_MS = 500,                  /* draining: for the last replies to leave */
    SMTPD_FILES_RESERVE = 64,              /* descriptors that are no clients; pitfalls.md s.6 */
    SMTPD_RENEW_MS = 500,                  /* between a new certificate and its new key */
    SMTPD_REST_MS = 100,                   /* listeners rest when descriptors have run out */
    SMTPD_NAME_AGAIN_MS = 60 * 60 * 1000,  /* before a client is complained about again */
    SMTPD_LATE_MS = 1000,                  /* a stranger's greeting, when connections run out */
    SMTPD_HURRY_MS = 10 * 1000,            /* a stranger's next command then, and content's grace */
    SMTPD_SWEEP_MS = 10 * 1000,            /* between looks for the counts of dead processes */

    /* the drop folder */
    PICKUP_FEEDS_MAX = 8,                  /* files on their way at a time */
    PICKUP_ENTRIES_PER_TURN = 64,          /* of the folder, before others have their turn */
    PICKUP_USER_FILES = 200,               /* of one user in a pass; then others are looked for */
    PICKUP_USER_BYTES = 256 * 1024 * 1024, /* the same */
    PICKUP_STUCK_MAX = 1000,               /* names of what cannot even be set aside */
    PICKUP_LOOK_MS = 1000,                 /* between looks into the folder */
    PICKUP_RETRY_MS = 10 * 1000,           /* the same, when something was not taken */

    /* DNS */
    MX_NAMES_MAX = 20,           /* table */
    MX_ADDRESSES_MAX = 8,        /* table, per name */
    CNAME_STEPS_MAX = 10,        /* table */
    DNS_RECORDS_MAX = 512,       /* rfc/dns.md DNS-81 */
    DNS_MESSAGE_MAX = 65535,     /* RFC 1035 s.4.2.2 */
    DNS_UDP_SIZE = 1232,         /* rfc/dns.md DNS-14 */
    TLSA_RECORDS_MAX = 32,       /* of one host; more are left out */
    TLSA_RECORD_MAX = 16 * 1024, /* a certificate in full */
    ATTEMPT_CONNECTS_MAX = 30,   /* exactly; pitfalls.md section 7.10 */
    UNREACHABLE_MAX = 10000,     /* addresses that a worker remembers as such */

    /* TLS sessions of the outgoing side */
    TLS_RESUMABLE_MAX = 8 * 1024, /* bytes of one that is kept; a server chooses most of them */
    RESUMABLES_MAX = 2000,        /* kept by a worker: 16 MiB at the very most */
    RESUMABLES_PER_KEY_MAX = 4,   /* as many connections begin at once without asking again */
    RESUMABLE_LIFE_MS = 60 * 60 * 1000, /* since the certificate was last shown */
    TLS_GIFTS_MAX = 2, /* sessions taken of one connection; OpenSSL's servers give two */

    /* logging in at a next hop */
    LOGIN_ITERATIONS_MAX = 600000, /* of PBKDF2; more is work that a server makes us do */

    /* MTA-STS and TLS-RPT */
    STS_ID_MAX = 32,                  /* RFC 8461 s.3.1 */
    STS_POLICY_BYTES_MAX = 64 * 1024, /* RFC 8461 s.3.3 */
    STS_FETCH_MS = 60 * 1000,         /* RFC 8461 s.3.3 */
    STS_MAX_AGE_MAX = 31557600,       /* RFC 8461 s.3.2 */
    STS_MX_MAX = 512,                 /* patterns of one policy; more are left out */
    STS_POLICIES_MAX = 100000,        /* kept; then no policy of another domain is */
    STS_FETCHES_MAX = 200,            /* design.md section 5 */
    STS_FETCHES_PER_ADDRESS = 4,      /* design.md section 5 */
    RUA_MAX = 10,                     /* table */
    RUA_PER_HOST_MAX = 2,             /* table */

    /* What other mail systems ask (rfc/socketmap-and-policy-maps.md) */
    SOCKETMAP_REQUEST_MAX = 10000,    /* MAP-14 */
    SOCKETMAP_REPLY_MAX = 100000,     /* MAP-14 */
    SOCKETMAP_CLIENTS_MAX = 2000,     /* at a time; then the longest idle one leaves */
    SOCKETMAP_INQUIRIES_MAX = 4096,   /* questions looked up at a time */
    SOCKETMAP_OUTPUT_MAX = 64 * 1024, /* answers not taken before we stop reading */
    SOCKETMAP_ANSWER_MS = 90 * 1000,  /* MAP-18; who asks waits 100 s */
    SOCKETMAP_IDLE_MS = 120 * 1000,   /* for a whole question, and for its answer to leave */
    SOCKETMAP_CLOSE_MS = 5 * 1000,    /* for the last answer to leave */
    SOCKETMAP_REST_MS = 100,          /* when descriptors have run out */
    SOCKETMAP_KEPT_MS = 10 * 1000,    /* an answer is told to others who ask the same */
    SOCKETMAP_KEPT_MAX = 10000,       /* such answers, */
    SOCKETMAP_KEPT_BYTES_MAX = 16 * 1024 * 1024, /* and what they and their keys take */

    /* Queue and the ways between the roles */
    CONTENT_CHUNK_SIZE = 4 * 4096 - 16,                 /* table */
    BATCH_BYTES_MAX = 16 * 1024 * 1024,                 /* table */
    BATCH_OPERATIONS_MAX = 4096,                        /* table */
    STREAM_WINDOW = 256 * 1024,                         /* design.md section 2 */
    STREAM_FIRST_CREDIT = 16 * 1024,                    /* unasked; a chunk at least */
    INLET_BYTES_MAX = 256 * 1024 * 1024,                /* what an smtpd may make the queue hold */
    FRAME_MESSAGE_MAX = 1024 * 1024,                    /* the protobuf part of a frame */
    FRAME_BODY_MAX = 64 * 1024,                         /* the raw bytes behind it */
    ENVELOPE_BYTES_MAX = FRAME_MESSAGE_MAX - 16 * 1024, /* of a frame; more recipients get 452 */
    ONCE_KEY_MAX = 4096,                 /* under which mail is taken once; for ... */
    ONCE_KEPT_MS = 3 * 24 * 3600 * 1000, /* design.md section 6 */
    ONCE_KEYS_MAX = 1000 * 1000,         /* kept at a time: a tlsrpt gone wild fills no disk */

    /* Connection slots (design.md section 3) */
    SLOT_HOSTS_MAX = 4,            /* hosts that one ask names */
    HOSTS_IDLE_MAX = 10000,        /* hosts and hops remembered with nothing under way */
    HOSTS_KEPT_MAX = 100000,       /* those on disk */
    SLOT_AGE_MS = 2 * 3600 * 1000, /* an older one is counted no more when others wait */

    /* Hosts that are silent: jobs that wait for one give up their places, connections their seats
     */
    SILENT_PARK_MS = 250,      /* when the host is not ready for mail for so long */
    SILENT_LOOK_MS = 50,       /* between looks whether it is time */
    SILENT_PER_CONNECTION = 8, /* wait besides, for each of deliver-connections; */
    SILENT_MAX = 4096,         /* no more with a worker */

    /* Probes of mailboxes (verify-recipients) */
    PROBES_MAX = 100,                    /* under way */
    PROBES_KEPT_MAX = 10000,             /* what came of them is remembered */
    PROBE_ASKS_MAX = 1000,               /* of one smtpd at a time */
    PROBE_WAIT_MS = 25 * 1000,           /* for the next hop, while a client waits */
    PROBE_TAKEN_MS = 6 * 60 * 60 * 1000, /* so long a mailbox is known to be there ... */
    PROBE_REFUSED_MS = 10 * 60 * 1000,   /* ... or not, ... */
    PROBE_UNDECIDED_MS = 30 * 1000,      /* ... or its host is not asked again */
};

#endif
