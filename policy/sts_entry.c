#include "policy/sts_entry.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "policy/records.pb-c.h"

void sts_entry_clear(struct sts_entry *entry)
{
    sts_policy_free(&entry->policy);
    memset(entry, 0, sizeof(*entry));
}

int64_t sts_entry_expires(const struct sts_entry *entry)
{
    return entry->fetched_utc_ms + (int64_t)entry->policy->max_age_s * SECOND_MS;
}

static ProtobufCBinaryData bytes_of(char *text, size_t len)
{
    return (ProtobufCBinaryData){ .len = len, .data = (uint8_t *)text };
}

static ProtobufCBinaryData *patterns_of(const struct sts_policy *policy)
{
    ProtobufCBinaryData *patterns = memory_new_array(policy->mx_count + 1, sizeof(*patterns));
    for (unsigned i = 0; i < policy->mx_count; i++)
        patterns[i] = bytes_of(policy->mx[i], strlen(policy->mx[i]));
    return patterns;
}

static void pack_trouble(struct sts_trouble *trouble, Policy__PolicyRecord *record)
{
    record->failing_utc_ms = trouble->failing_utc_ms;
    record->failing_reason = bytes_of(trouble->failing_reason, strlen(trouble->failing_reason));
    record->gone_utc_ms = trouble->gone_utc_ms;
    record->weakened_utc_ms = trouble->weakened_utc_ms;
    record->weakened = trouble->weakened;
}

char *sts_entry_pack(const struct sts_entry *entry, size_t *out_len)
{
    Policy__PolicyRecord record = POLICY__POLICY_RECORD__INIT;
    struct sts_entry copy = *entry; /* protobuf-c wants pointers that may be written through */
    record.domain = bytes_of(copy.domain, strlen(copy.domain));
    record.id = bytes_of(copy.id, strlen(copy.id));
    record.mode = (uint32_t)copy.policy->mode;
    record.n_mx = copy.policy->mx_count;
    record.mx = patterns_of(copy.policy);
    record.max_age_s = copy.policy->max_age_s;
    record.text = bytes_of(copy.policy->text, copy.policy->text_len);
    record.fetched_utc_ms = copy.fetched_utc_ms;
    record.used_utc_ms = copy.used_utc_ms;
    record.refresh_utc_ms = copy.refresh_utc_ms;
    record.mx_cut = copy.policy->mx_cut;
    pack_trouble(&copy.trouble, &record);
    *out_len = policy__policy_record__get_packed_size(&record);
    ensure(*out_len <= STS_RECORD_MAX); /* text and patterns come from 64 KiB at most */
    char *packed = memory_new(*out_len + 1);
    policy__policy_record__pack(&record, (uint8_t *)packed);
    free(record.mx);
    return packed;
}

static bool record_is_sane(const Policy__PolicyRecord *record)
{
    return record->mode <= STS_ENFORCE && record->max_age_s <= STS_MAX_AGE_MAX &&
           record->domain.len > 0 && (record->n_mx > 0 || record->mode == STS_NONE);
}

static struct sts_policy *policy_of(const Policy__PolicyRecord *record)
{
    struct sts_policy *policy = memory_new(sizeof(*policy));
    policy->mode = (enum sts_mode)record->mode;
    policy->max_age_s = record->max_age_s;
    policy->mx = memory_new_array(record->n_mx + 1, sizeof(policy->mx[0]));
    for (size_t i = 0; i < record->n_mx && i < STS_MX_MAX; i++)
        policy->mx[policy->mx_count++] = memory_copy_span(span_of_bytes(record->mx[i]));
    policy->mx_cut = record->mx_cut + (unsigned)(record->n_mx - policy->mx_count);
    policy->text = memory_copy_span(span_of_bytes(record->text));
    policy->text_len = record->text.len;
    return policy;
}

static bool unpack_trouble(const Policy__PolicyRecord *record, struct sts_trouble *out)
{
    out->failing_utc_ms = record->failing_utc_ms;
    out->gone_utc_ms = record->gone_utc_ms;
    out->weakened_utc_ms = record->weakened_utc_ms;
    out->weakened = record->weakened;
    return span_to_string(span_of_bytes(record->failing_reason), out->failing_reason,
                          sizeof(out->failing_reason));
}

bool sts_entry_unpack(struct span record, struct sts_entry *out)
{
    memset(out, 0, sizeof(*out));
    if (record.len > STS_RECORD_MAX)
        return false;
    Policy__PolicyRecord *r =
        policy__policy_record__unpack(NULL, record.len, (const uint8_t *)record.data);
    if (!r)
        return false;
    bool sane = record_is_sane(r) &&
                span_to_string(span_of_bytes(r->domain), out->domain, sizeof(out->domain)) &&
                span_to_string(span_of_bytes(r->id), out->id, sizeof(out->id)) &&
                unpack_trouble(r, &out->trouble);
    if (sane) {
        out->policy = policy_of(r);
        out->fetched_utc_ms = r->fetched_utc_ms;
        out->used_utc_ms = r->used_utc_ms;
        out->refresh_utc_ms = r->refresh_utc_ms;
    } else
        memset(out, 0, sizeof(*out));
    policy__policy_record__free_unpacked(r, NULL);
    return sane;
}
