/*
 * notify_rig - the facts of a flawless notification, to break one of, and the text they make.
 * Used by the tests of notify and its parts.
 */
#ifndef WAXSEAL_TESTS_SUPPORT_NOTIFY_RIG_H
#define WAXSEAL_TESTS_SUPPORT_NOTIFY_RIG_H

#include "tests/support/test.h"

#include "queue/notify.h"

/* A flawless bounce: one recipient, refused by its server. */
struct notify_rig {
    struct notify_settings settings;
    Ipc__Mailbox reverse_path;
    Ipc__Mailbox forward_path;
    Ipc__Envelope envelope;
    Ipc__Recipient recipient;
    Queue__MessageRecord message;
    Queue__RecipientRecord record;
    Ipc__Result result;
    Ipc__Candidate candidate;
    Ipc__Candidate *candidates[1];
    Ipc__Decision decision;
    struct notify_recipient failed;
    struct notify_facts notify;
    struct buf original;
    struct buf text;
};

/* For cmocka: *state is the rig, the same one for each test. */
int notify_rig_open(void **state);
int notify_rig_close(void **state);

/* What is written of it now; lent. */
struct span written(struct notify_rig *rig);
bool has(struct span text, const char *words);
/* Fails the test unless what is written has the words. */
void says(struct notify_rig *rig, const char *words);
/* The same, however the words are broken into lines. */
void tells(struct notify_rig *rig, const char *words);
void says_not(struct notify_rig *rig, const char *words);

ProtobufCBinaryData text_bytes(const char *text);

#endif
