/*
 * reader_notes - in what a received report differs from RFC 8460, so that its reader hears what was
 * taken for what.  Each kind is told once, with the number of times; so a hostile report fills no
 * screen.  Called by the reader's other files.  Pure.
 */
#ifndef WAXSEAL_TLSRPT_READER_NOTES_H
#define WAXSEAL_TLSRPT_READER_NOTES_H

#include "lib/base/json.h"

enum reader_note {
    /* of the mail */
    NOTE_NOT_A_REPORT_MAIL,
    NOTE_REPORT_WITHIN_A_MAIL,
    NOTE_SUBMITTER_MISSING,
    NOTE_SUBMITTER_DIFFERS,
    NOTE_DOMAIN_DIFFERS,
    NOTE_MEDIA_TYPE,
    NOTE_MEDIA_TYPE_DIFFERS,
    NOTE_MORE_REPORTS,
    NOTE_PARTS_LEFT_OUT,
    /* of the packing */
    NOTE_PACKED_TWICE,
    NOTE_BEHIND_THE_PACKED,
    NOTE_CUT_OFF,
    /* of the JSON text */
    NOTE_BYTE_ORDER_MARK,
    NOTE_NOT_UTF8,
    NOTE_KEY_TWICE,
    NOTE_BEHIND_THE_JSON,
    /* of what it says */
    NOTE_LIST_AROUND,
    NOTE_KEY_SPELLING,
    NOTE_KEY_UNKNOWN,
    NOTE_KEY_MISSING,
    NOTE_KIND,
    NOTE_OBJECT_FOR_LIST,
    NOTE_TEXT_FOR_LIST,
    NOTE_LINES_IN_ONE_TEXT,
    NOTE_LINES_LEFT_OUT,
    NOTE_POLICY_FLAT,
    NOTE_NUMBER_FOR_TEXT,
    NOTE_TEXT_CUT,
    NOTE_COUNT_AS_TEXT,
    NOTE_COUNT_WRONG,
    NOTE_DATE_WITHOUT_ZONE,
    NOTE_DATE_FORM,
    NOTE_DATE_UNKNOWN,
    NOTE_NOT_A_DAY,
    NOTE_WORD_SPELLING,
    NOTE_TYPE_UNKNOWN,
    NOTE_RESULT_UNKNOWN,
    NOTE_ADDRESS_FORM,
    NOTE_NO_ADDRESS,
    NOTE_NO_POLICIES,
    NOTE_POLICIES_LEFT_OUT,
    NOTE_FAILURES_LEFT_OUT,
    NOTE_SUM,
    NOTE_COUNT
};

struct reader_notes {
    uint64_t times[NOTE_COUNT];
};

void reader_note(struct reader_notes *notes, enum reader_note note);

/* Each as { "note": sentence, "times": number }. */
void reader_notes_add(const struct reader_notes *notes, struct json *list);

#endif
