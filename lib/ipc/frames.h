/* frames - the type number of every frame that crosses a process border; append, never renumber. */
#ifndef WAXSEAL_IPC_FRAMES_H
#define WAXSEAL_IPC_FRAMES_H

enum frame_type {
    /* supervisor.proto */
    FRAME_HELLO = 1,
    FRAME_CONTENT = 2,
    FRAME_LISTENER = 3, /* with a descriptor */
    FRAME_PEER = 4,     /* with a descriptor */
    FRAME_SHARED = 5,   /* with a descriptor */
    FRAME_START = 6,
    FRAME_NEW_SETTINGS = 7,
    FRAME_DRAIN = 8,
    FRAME_READY = 9,
    FRAME_CONTROL_REQUEST = 10,
    FRAME_CONTROL_REPLY = 11, /* body: JSON or a sentence */
    FRAME_PEER_LOST = 12,
    FRAME_CONTROL_GONE = 13,

    /* queue.proto, smtpd's part */
    FRAME_ACCEPT_BEGIN = 20,
    FRAME_ACCEPT_CONTENT = 21, /* body */
    FRAME_ACCEPT_END = 22,
    FRAME_ACCEPT_ABORT = 23,
    FRAME_ACCEPT_CREDIT = 24,
    FRAME_ACCEPT_DONE = 25,
    FRAME_QUEUE_STATE = 26,
    FRAME_PROBE_ASK = 27,
    FRAME_PROBE_ANSWER = 28,

    /* queue.proto, deliver's part */
    FRAME_WORKER_HELLO = 40,
    FRAME_CONTENT_PULL = 41,
    FRAME_OUTCOME = 42,
    FRAME_JOB = 43,
    FRAME_JOB_CONTENT = 44, /* body */
    FRAME_OUTCOME_ACK = 45,
    FRAME_JOB_CANCEL = 46,
    FRAME_SLOT_REPORT = 47,
    FRAME_SLOT_GRANTS = 48,

    /* policy.proto */
    FRAME_POLICY_ASK = 60,
    FRAME_POLICY_ANSWER = 61,

    /* tlsrpt.proto */
    FRAME_SESSION_EVENT = 70,

    /* auth.proto */
    FRAME_AUTH_STATE = 80,
    FRAME_AUTH_BEGIN = 81,
    FRAME_AUTH_STEP = 82,
    FRAME_AUTH_CANCEL = 83,
    FRAME_AUTH_ANSWER = 84,

    /* sign.proto */
    FRAME_SIGN_ASK = 90, /* body: the header block */
    FRAME_SIGN_ANSWER = 91,
};

#endif
