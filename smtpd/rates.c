#include "smtpd/rates.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "smtpd/smtpd.h"

enum {
    ROWS = 64 * 1024,
    KNOWN_ROWS = 16 * 1024,
    KNOWN_MS = HOUR_MS,
    US_PER_MS = 1000,
};

struct table {
    _Atomic uint64_t secret;              /* of the hash; the first process to come sets it */
    _Atomic int64_t full_us[ROWS];        /* when all has come back */
    _Atomic int64_t known_ms[KNOWN_ROWS]; /* until when the client is known */
};
_Static_assert((int)RATES_END <= (int)SMTPD_SHARED_SIZE, "it is shared");
_Static_assert(sizeof(struct table) <= RATES_END - RATES_OFFSET, "the shared memory holds it");

struct rates {
    struct table *table;
    uint64_t secret; /* believed, whatever others write */
};

static const char *const names[RATE_COUNT] = {
    [RATE_CLIENT_MESSAGES] = "messages from your address",
    [RATE_CLIENT_RECIPIENTS] = "recipients from your address",
    [RATE_USER_MESSAGES] = "messages of this user",
    [RATE_USER_RECIPIENTS] = "recipients of this user",
    [RATE_SENDER_MESSAGES] = "messages of this sender",
    [RATE_SENDER_RECIPIENTS] = "recipients of this sender",
};

const char *rate_name(enum rate rate)
{
    return names[rate];
}

/* --- the table --- */

static struct error *check_size(int fd)
{
    struct stat info;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &info) != 0)
        return error_errno(ERROR_LOCAL, errno, "table of rates");
    if (info.st_size < RATES_END)
        return error_new(ERROR_LOCAL, "table of rates is too small: %lld octets",
                         (long long)info.st_size);
    return NULL;
}

static uint64_t find_secret(struct table *table)
{
    uint64_t none = 0, fresh;

    random_bytes(&fresh, sizeof(fresh));
    atomic_compare_exchange_strong(&table->secret, &none, fresh | 1);
    return atomic_load(&table->secret);
}

struct error *rates_open(int fd, struct rates **out_rates)
{
    int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
    struct error *err = check_size(fd);
    void *memory;

    if (err)
        return err;
    memory = mmap(NULL, sizeof(struct table), PROT_READ | PROT_WRITE, flags, fd,
                  fd < 0 ? 0 : RATES_OFFSET);
    if (memory == MAP_FAILED)
        return error_errno(ERROR_LOCAL, errno, "map the table of rates");
    *out_rates = memory_new(sizeof(**out_rates));
    (*out_rates)->table = memory;
    (*out_rates)->secret = find_secret(memory);
    return NULL;
}

void rates_close(struct rates **rates)
{
    if (!*rates)
        return;
    munmap((*rates)->table, sizeof(*(*rates)->table));
    free(*rates);
    *rates = NULL;
}

/* --- rows --- */

static uint64_t mix(uint64_t x) /* the finalizer of splitmix64 */
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t hash(const struct rates *r, unsigned kind, struct span who)
{
    uint64_t sum = mix(r->secret ^ kind);

    for (size_t i = 0; i < who.len; i++)
        sum = mix(sum ^ (unsigned char)ascii_lower(who.data[i]));
    return mix(sum ^ who.len);
}

struct rows {
    unsigned first;
    unsigned second;
};

static struct rows rows_of(uint64_t hash, unsigned count)
{
    struct rows rows = { (unsigned)(hash % count), (unsigned)((hash >> 32) % count) };

    if (rows.second == rows.first)
        rows.second = (rows.first + 1) % count;
    return rows;
}

struct span rate_client(const struct ip_address *client, char room[RATE_CLIENT_SIZE])
{
    size_t len = client->family == ADDRESS_V6 ? 8 : 4;

    room[0] = (char)client->family;
    memcpy(room + 1, client->bytes, len);
    return (struct span){ room, len + 1 };
}

/* --- rates --- */

static int64_t within(int64_t value, int64_t least, int64_t most)
{
    if (value < least)
        return least;
    return value > most ? most : value;
}

/* When all of it will have come back; now, when nothing is used. */
static int64_t full_at(const struct table *table, struct rows rows, int64_t now_us, int64_t time_us)
{
    int64_t first = atomic_load_explicit(&table->full_us[rows.first], memory_order_relaxed);
    int64_t second = atomic_load_explicit(&table->full_us[rows.second], memory_order_relaxed);

    return within(first < second ? first : second, now_us, now_us + time_us);
}

/* Two processes may both take the last one: a limit is exceeded by the number of processes. */
static void raise_row(_Atomic int64_t *row, int64_t to, int64_t most)
{
    int64_t have = atomic_load_explicit(row, memory_order_relaxed);

    while ((have < to || have > most) &&
           !atomic_compare_exchange_weak_explicit(row, &have, to, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

static struct rows rows_of_ask(const struct rates *r, const struct rate_ask *ask)
{
    return rows_of(hash(r, ask->rate, ask->who), ROWS);
}

static bool has_one(const struct rates *r, const struct rate_ask *ask, int64_t now_us,
                    int64_t time_us)
{
    if (ask->limit == 0)
        return true;
    return full_at(r->table, rows_of_ask(r, ask), now_us, time_us) + time_us / ask->limit <=
           now_us + time_us;
}

static void take_one(struct rates *r, const struct rate_ask *ask, int64_t now_us, int64_t time_us)
{
    struct rows rows;
    int64_t to;

    if (ask->limit == 0)
        return;
    rows = rows_of_ask(r, ask);
    to = full_at(r->table, rows, now_us, time_us) + time_us / ask->limit;
    raise_row(&r->table->full_us[rows.first], to, now_us + time_us);
    raise_row(&r->table->full_us[rows.second], to, now_us + time_us);
}

bool rates_take(struct rates *rates, const struct rate_ask *asks, unsigned count, int64_t now_ms,
                int64_t time_ms, enum rate *out_spent)
{
    int64_t now_us = now_ms * US_PER_MS;
    int64_t time_us = time_ms * US_PER_MS;

    for (unsigned i = 0; i < count; i++)
        if (!has_one(rates, &asks[i], now_us, time_us)) {
            *out_spent = asks[i].rate;
            return false;
        }
    for (unsigned i = 0; i < count; i++)
        take_one(rates, &asks[i], now_us, time_us);
    return true;
}

/* --- clients that are known --- */

static struct rows known_rows(const struct rates *r, const struct ip_address *client)
{
    char room[RATE_CLIENT_SIZE];

    return rows_of(hash(r, RATE_COUNT, rate_client(client, room)), KNOWN_ROWS);
}

void rates_praise(struct rates *rates, const struct ip_address *client, int64_t now_ms)
{
    struct rows rows = known_rows(rates, client);

    raise_row(&rates->table->known_ms[rows.first], now_ms + KNOWN_MS, now_ms + KNOWN_MS);
    raise_row(&rates->table->known_ms[rows.second], now_ms + KNOWN_MS, now_ms + KNOWN_MS);
}

static bool is_known_until(int64_t known_ms, int64_t now_ms)
{
    return known_ms >= now_ms && known_ms <= now_ms + KNOWN_MS;
}

bool rates_knows(const struct rates *rates, const struct ip_address *client, int64_t now_ms)
{
    struct rows rows = known_rows(rates, client);

    return is_known_until(atomic_load(&rates->table->known_ms[rows.first]), now_ms) &&
           is_known_until(atomic_load(&rates->table->known_ms[rows.second]), now_ms);
}
