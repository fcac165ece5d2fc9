/* The pure part of wishes: records judged, shortened and compared. */
#include "tlsrpt/wishes.h"

#include "lib/base/memory.h"
#include "tlsrpt/destination.h"
#include "tlsrpt/rua.h"

#include <stdlib.h>
#include <string.h>

static const struct span version = { "v=TLSRPTv1; rua=", 16 };

/* The record that a URI stands in. */
static struct span record_around(const struct dns_answer *answer, struct span uri)
{
    for (unsigned i = 0; i < answer->count; i++) {
        const struct dns_record *record = &answer->records[i];
        uintptr_t begin = (uintptr_t)record->data, at = (uintptr_t)uri.data;
        if (at >= begin && at < begin + record->data_len)
            return (struct span){ record->data, record->data_len };
    }
    return (struct span){ NULL, 0 };
}

static size_t add(char *room, size_t len, struct span s)
{
    memcpy(room + len, s.data, s.len);
    return len + s.len;
}

static void take_destinations(const struct rua *rua, struct destinations *out)
{
    struct span list = rua->list;
    struct span uri;

    out->count = 0;
    while (out->count < RUA_MAX && rua_next(&list, &uri))
        destinations_add(out, uri);
}

/* With the destinations that are used, and fit; false when none does. */
static bool write_anew(const struct rua *rua, char room[TALLY_RECORD_MAX], struct span *out)
{
    size_t len = add(room, 0, version);
    struct destinations used;

    take_destinations(rua, &used);
    for (unsigned i = 0; i < used.count; i++) {
        struct span uri = span_of(used.items[i].text);
        if (len + 1 + uri.len > TALLY_RECORD_MAX)
            continue;
        if (len > version.len)
            len = add(room, len, SPAN(","));
        len = add(room, len, uri);
    }
    *out = (struct span){ room, len };
    return len > version.len;
}

/* Of what was published and is as good as none; NULL: nothing was. */
static const char *trouble_of(enum rua_verdict verdict)
{
    static const char *const words[] = {
        [RUA_MULTIPLE] = "there are several",
        [RUA_INVALID] = "its form is broken, or none of its URIs can be used",
        [RUA_DNS_ERROR] = NULL,
    };

    return words[verdict];
}

static struct wish wish_of(const struct rua *rua, struct span record, char room[TALLY_RECORD_MAX])
{
    struct wish wish = { .state = TALLY_WISH_NONE, .trouble = trouble_of(rua->verdict) };

    if (rua->verdict == RUA_DNS_ERROR)
        wish.state = TALLY_WISH_UNKNOWN;
    if (rua->verdict != RUA_VALID)
        return wish;
    wish.record = record;
    wish.state = TALLY_WISH_SEEN;
    if (record.len <= TALLY_RECORD_MAX)
        return wish;
    wish.trouble = "it is longer than 8 KiB: of its URIs none are kept but those that are used";
    if (!write_anew(rua, room, &wish.record))
        wish.state = TALLY_WISH_NONE;
    return wish;
}

struct wish wish_of_answer(const struct dns_answer *answer, char room[TALLY_RECORD_MAX])
{
    struct span record = { NULL, 0 };
    struct rua rua;

    rua_judge(answer, &rua);
    if (rua.verdict == RUA_VALID)
        record = record_around(answer, rua.uris[0]);
    return wish_of(&rua, record, room);
}

struct wish wish_of_record(struct span record, char room[TALLY_RECORD_MAX])
{
    struct rua rua;

    rua_parse(&record, 1, &rua);
    return wish_of(&rua, record, room);
}

static void read_destinations(struct span record, struct destinations *out)
{
    struct rua rua;

    rua_parse(&record, 1, &rua);
    take_destinations(&rua, out);
}

bool wish_overlaps(struct span record, struct span other)
{
    struct destinations *lists = memory_new_array(2, sizeof(*lists));
    bool overlaps = false;

    read_destinations(record, &lists[0]);
    read_destinations(other, &lists[1]);
    for (unsigned i = 0; i < lists[0].count; i++)
        for (unsigned j = 0; j < lists[1].count; j++)
            overlaps |= strcmp(lists[0].items[i].text, lists[1].items[j].text) == 0;
    free(lists);
    return overlaps;
}
