#include "smtpd/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/base/random.h"

/* Processes of many reloads may be there at a time: each lives as long as its transactions. */
enum { PARTS = 254, ROWS = 8192 };

/* What one process counts. */
struct part {
    atomic_uint total;
    atomic_ushort rows[ROWS];
};

/* All of it may be garbled by a captured process: every number is taken within bounds. */
struct table {
    _Atomic uint64_t secret[2]; /* of the hash; the first process to come sets it */
    atomic_uint parts_used;     /* parts from here on were never touched */
    struct part parts[PARTS];
};
_Static_assert(sizeof(struct table) <= COUNTERS_SIZE, "the shared memory holds the table");

/*
 * The numbers of our own part and the secret are kept here too, and these are believed: a process
 * that writes into other parts harms nobody for longer than until our next client comes or goes.
 */
struct counters {
    struct table *table;
    int fd; /* -1: the table is our own */
    unsigned own;
    uint64_t secret[2];
    unsigned total;
    unsigned short rows[ROWS];
};

/* --- parts and their owners */

/* Tries to lock a part for as long as this process lives.  True also when it is ours already. */
static bool lock_part(const struct counters *c, unsigned part, short type)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = part, .l_len = 1 };

    return c->fd < 0 || fcntl(c->fd, F_SETLK, &lock) == 0;
}

static void zero_part(struct part *part)
{
    atomic_store(&part->total, 0);
    for (unsigned i = 0; i < ROWS; i++)
        if (atomic_load_explicit(&part->rows[i], memory_order_relaxed) != 0)
            atomic_store(&part->rows[i], 0);
}

static unsigned parts_used(const struct counters *c)
{
    unsigned used = atomic_load(&c->table->parts_used);

    return used < PARTS ? used : PARTS;
}

static void note_used(struct counters *c)
{
    unsigned used = atomic_load(&c->table->parts_used);

    while (used < c->own + 1 &&
           !atomic_compare_exchange_weak(&c->table->parts_used, &used, c->own + 1))
        ;
}

/* A free part becomes ours. */
static bool take_part(struct counters *c)
{
    for (c->own = 0; c->own < PARTS; c->own++) {
        if (!lock_part(c, c->own, F_WRLCK))
            continue;
        zero_part(&c->table->parts[c->own]);
        note_used(c);
        return true;
    }
    return false;
}

void counters_sweep(struct counters *c)
{
    if (c->fd < 0)
        return;
    for (unsigned i = 0; i < parts_used(c); i++) {
        if (i == c->own || !lock_part(c, i, F_WRLCK))
            continue;
        zero_part(&c->table->parts[i]);
        (void)lock_part(c, i, F_UNLCK);
    }
}

/* --- open and close */

static void set_secret(struct counters *c)
{
    for (int i = 0; i < 2; i++) {
        uint64_t none = 0, fresh;
        random_bytes(&fresh, sizeof(fresh));
        atomic_compare_exchange_strong(&c->table->secret[i], &none, fresh | 1);
        c->secret[i] = atomic_load(&c->table->secret[i]);
    }
}

/* Memory that somebody shrinks is the end of all who have it mapped. */
static struct error *seal(int fd)
{
    const int wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

    if (fd < 0 || fcntl(fd, F_ADD_SEALS, wanted) == 0)
        return NULL;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals >= 0 && (seals & F_SEAL_SHRINK))
        return NULL;
    return error_errno(ERROR_LOCAL, errno, "seal the table of counters");
}

static struct error *check_size(int fd)
{
    struct stat info;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &info) != 0)
        return error_errno(ERROR_LOCAL, errno, "table of counters");
    if (info.st_size < (off_t)sizeof(struct table))
        return error_new(ERROR_LOCAL, "table of counters is too small: %lld octets",
                         (long long)info.st_size);
    return NULL;
}

struct error *counters_open(int fd, struct counters **out_counters)
{
    int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
    struct error *err = seal(fd);

    if (!err)
        err = check_size(fd);
    if (err)
        return err;
    void *memory = mmap(NULL, sizeof(struct table), PROT_READ | PROT_WRITE, flags, fd, 0);
    if (memory == MAP_FAILED)
        return error_errno(ERROR_LOCAL, errno, "map the table of counters");
    struct counters *c = memory_new(sizeof(*c));
    c->table = memory;
    c->fd = fd;
    set_secret(c);
    if (!take_part(c)) {
        munmap(c->table, sizeof(*c->table));
        free(c);
        return error_new(ERROR_LOCAL, "all %d parts of the table of counters are taken", PARTS);
    }
    counters_sweep(c);
    *out_counters = c;
    return NULL;
}

void counters_close(struct counters **counters)
{
    struct counters *c = *counters;

    if (!c)
        return;
    zero_part(&c->table->parts[c->own]);
    (void)lock_part(c, c->own, F_UNLCK);
    munmap(c->table, sizeof(*c->table));
    free(c);
    *counters = NULL;
}

/* --- counting */

struct rows {
    unsigned first;
    unsigned second;
};

static uint64_t mix(uint64_t x) /* the finalizer of splitmix64 */
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* The rows of the first bytes of an address. */
static struct rows rows_of(const struct counters *c, const struct ip_address *client, size_t len)
{
    uint64_t key = client->family << 8 | len;
    uint64_t address = 0;

    for (size_t i = 0; i < len; i++)
        address = address << 8 | client->bytes[i];
    key = mix(mix(address ^ c->secret[0]) ^ key ^ c->secret[1]);
    struct rows rows = { (unsigned)(key % ROWS), (unsigned)((key >> 32) % ROWS) };
    if (rows.second == rows.first)
        rows.second = (rows.first + 1) % ROWS;
    return rows;
}

/* What one client is counted in. */
struct places {
    struct rows client;
    struct rows network;
};

/* One client is an IPv4 address or an IPv6 /64: nobody has fewer addresses than that. */
static struct places places_of(const struct counters *c, const struct ip_address *client)
{
    bool is_v6 = client->family == ADDRESS_V6;

    return (struct places){ rows_of(c, client, is_v6 ? 8 : 4), rows_of(c, client, is_v6 ? 6 : 3) };
}

/* Shows the others what we count. */
static void publish(struct counters *c, struct rows rows)
{
    struct part *own = &c->table->parts[c->own];

    atomic_store(&own->rows[rows.first], c->rows[rows.first]);
    atomic_store(&own->rows[rows.second], c->rows[rows.second]);
}

static void add_to(struct counters *c, struct rows rows, int one)
{
    c->rows[rows.first] = (unsigned short)(c->rows[rows.first] + one);
    c->rows[rows.second] = (unsigned short)(c->rows[rows.second] + one);
    publish(c, rows);
}

static void count(struct counters *c, struct places places, int one)
{
    ensure(one > 0 || c->total > 0);
    c->total = (unsigned)((int)c->total + one);
    note_used(c);
    atomic_store(&c->table->parts[c->own].total, c->total);
    add_to(c, places.client, one);
    add_to(c, places.network, one);
}

unsigned counters_total(const struct counters *c)
{
    unsigned total = 0;

    for (unsigned i = 0; i < parts_used(c); i++)
        total += atomic_load_explicit(&c->table->parts[i].total, memory_order_relaxed);
    return total;
}

static unsigned row_total(const struct counters *c, unsigned row)
{
    unsigned total = 0;

    for (unsigned i = 0; i < parts_used(c); i++)
        total += atomic_load_explicit(&c->table->parts[i].rows[row], memory_order_relaxed);
    return total;
}

static unsigned rows_total(const struct counters *c, struct rows rows)
{
    unsigned first = row_total(c, rows.first);
    unsigned second = row_total(c, rows.second);

    return first < second ? first : second;
}

/* With the client in question counted already. */
static enum admission judge(const struct counters *c, struct places places,
                            const struct ip_address *client, const struct admission_limits *limits)
{
    unsigned connections = limits->connections;

    if (ip_address_is_loopback(client))
        return counters_total(c) > connections ? ADMISSION_FULL : ADMISSION_GRANTED;
    if (counters_total(c) > connections - connections / 10 * (limits->is_stranger ? 2 : 1))
        return ADMISSION_FULL;
    if (rows_total(c, places.client) > limits->connections_per_client)
        return ADMISSION_CLIENT;
    if (client->family != ADDRESS_LOCAL &&
        rows_total(c, places.network) > limits->connections_per_network)
        return ADMISSION_NETWORK;
    return ADMISSION_GRANTED;
}

enum admission counters_admit(struct counters *c, const struct ip_address *client,
                              const struct admission_limits *limits)
{
    struct places places = places_of(c, client);

    count(c, places,
          +1); /* first: two processes that look at the same time must not both say yes */
    enum admission admission = judge(c, places, client, limits);
    if (admission != ADMISSION_GRANTED)
        count(c, places, -1);
    return admission;
}

void counters_leave(struct counters *c, const struct ip_address *client)
{
    count(c, places_of(c, client), -1);
}
