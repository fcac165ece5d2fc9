#include "queue/dispatch_jobs.h"

#include <stdlib.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "queue/routes.h"
#include "queue/store_damage.h"
#include "queue/store_manage.h"

struct lease *job_lease(const struct job_loader *loader, struct hop *hop,
                        const struct due_group *group)
{
    struct lease *lease =
        lease_begin(loader->parts->leases, group->first.id, group->numbers, group->count);

    lease->hop = hop;
    lease->started_ms = loader->now_ms;
    hop->leases++;
    return lease;
}

/* ---- leases that no worker has: rows being moved, rows that cannot be read ------------------ */

static void on_moved(struct operation *operation, enum operation_outcome outcome)
{
    struct move *move = (struct move *)operation;
    struct dispatch *dispatch = move->ctx;

    if (outcome == OPERATION_COMMITTED)
        dispatch_end(dispatch, &move->lease, false);
    else
        dispatch_return(dispatch, &move->lease, false);
    dispatch_look(dispatch);
    free(move);
}

static void move_rows(const struct job_loader *loader, struct hop *hop,
                      const struct due_group *group)
{
    struct move *move = memory_new(sizeof(*move) + group->count * sizeof(move->places[0]));

    move->ctx = loader->dispatch;
    move->lease = job_lease(loader, hop, group);
    move->count = group->count;
    for (unsigned i = 0; i < group->count; i++)
        move->places[i] = (struct row_place){ group->first.id, group->numbers[i] };
    move->operation.done = on_moved;
    move_prepare(move);
    committer_add(loader->parts->committer, &move->operation);
}

static void on_set_aside(struct operation *operation, enum operation_outcome outcome)
{
    struct damage *damage = (struct damage *)operation;

    if (outcome == OPERATION_COMMITTED) {
        damage_log(damage);
        dispatch_end(damage->ctx, &damage->lease, false);
    } else {
        dispatch_set_aside(damage->ctx, damage->lease, false);
    }
    free(damage);
}

static void set_damaged_aside(const struct job_loader *loader, struct hop *hop,
                              const struct due_group *group)
{
    struct damage *damage =
        damage_new(group->first.id, hop_name(hop), "a record is damaged", group->count);

    damage->ctx = loader->dispatch;
    damage->lease = job_lease(loader, hop, group);
    for (unsigned i = 0; i < group->count; i++)
        damage->places[i].number = group->numbers[i];
    damage->operation.done = on_set_aside;
    committer_add(loader->parts->committer, &damage->operation);
}

/* ---- one job ------------------------------------------------------------------------------ */

static void *look_up(const struct job_loader *loader, enum queue_table table, struct record_key key,
                     const ProtobufCMessageDescriptor *as)
{
    return store_look_up(loader->txn, table, &key, as, loader->arena);
}

/* Reads what the job is about; false: some of it is damaged. */
static bool read_job(const struct job_loader *loader, const struct due_group *group,
                     Queue__RecipientRecord **records, struct job_facts *out)
{
    out->message = look_up(loader, TABLE_MESSAGE, key_of_id(group->first.id),
                           &queue__message_record__descriptor);
    out->recipients = arena_take(loader->arena, group->count * sizeof(Ipc__Recipient *));
    out->count = group->count;
    for (unsigned i = 0; i < group->count; i++) {
        records[i] =
            look_up(loader, TABLE_RECIPIENT, key_of_part(group->first.id, group->numbers[i]),
                    &queue__recipient_record__descriptor);
        if (!records[i] || !records[i]->recipient || !records[i]->recipient->forward_path)
            return false;
        out->recipients[i] = records[i]->recipient;
    }
    return out->message && out->message->envelope;
}

/* The route is evaluated now; the rows say what it was when they were written. */
static bool route_is_kept(const struct job_loader *loader, const struct hop *hop,
                          Queue__RecipientRecord *const *records, const struct job_facts *job)
{
    struct routing routing;

    for (unsigned i = 0; i < job->count; i++) {
        struct routing_facts facts = routes_facts(job->message->envelope, records[i]);
        schedule_route(loader->schedule, &facts, &routing);
        if (!span_equal(span_of(routing.hop), hop_name(hop)))
            return false;
    }
    return true;
}

bool job_load(struct job_loader *loader, struct hop *hop, const struct due_group *group,
              struct job_facts *out_facts)
{
    Queue__RecipientRecord *records[RECIPIENTS_PER_JOB_MAX];
    int64_t now_ms = loader->now_ms;

    ensure(group->count > 0);
    arena_reset(loader->arena);
    *out_facts = (struct job_facts){ .hop = hop_name(hop) };
    out_facts->route = schedule_route_of(loader->schedule, hop_name(hop));
    if (!read_job(loader, group, records, out_facts)) {
        set_damaged_aside(loader, hop, group);
        return false;
    }
    if (!route_is_kept(loader, hop, records, out_facts)) {
        move_rows(loader, hop, group);
        return false;
    }
    struct schedule_rules rules = schedule_rules_for(loader->schedule, hop_name(hop),
                                                     out_facts->message->envelope->tls_report);
    int64_t accepted_ms = out_facts->message->accepted_utc_ms;
    out_facts->attempts = records[0]->attempts;
    out_facts->last_attempt = schedule_is_last(&rules, accepted_ms, now_ms);
    out_facts->skip_policy =
        schedule_skips_policy(&rules, records[0]->policy_waits, accepted_ms, now_ms);
    out_facts->signing_is_over =
        out_facts->last_attempt ||
        schedule_leaves_unsigned(records[0]->unsigned_since_utc_ms, now_ms);
    return true;
}
