#include "lib/io/kv_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/memory.h"

/* LMDB 0.9's file format on this machine: native byte order, 64-bit page numbers. */
enum {
    PAGE_HEAD = 16,
    PAGE_BRANCH = 0x01,
    PAGE_LEAF = 0x02,
    PAGE_OVERFLOW = 0x04,
    NODE_HEAD = 8,
    NODE_BIG = 0x01,
    NODE_TABLE = 0x02,
    META_MAGIC = (int)0xBEEFC0DE,
    META_COUNT = 2,
    PAGE_MIN = 512,
    PAGE_MAX = 64 * 1024,
    DEPTH_MAX = 32, /* LMDB's CURSOR_STACK */
    TABLE_NAME_MAX = 63,
    VALUE_MAX = 64 * 1024 * 1024,
};
#define NO_PAGE UINT64_MAX

struct page_head {
    uint64_t number;
    uint16_t pad;
    uint16_t flags;
    uint16_t lower;
    uint16_t upper;
};

struct tree {
    uint32_t pad; /* of the first one: the page size */
    uint16_t flags;
    uint16_t depth;
    uint64_t branches;
    uint64_t leaves;
    uint64_t overflows;
    uint64_t entries;
    uint64_t root;
};

struct meta {
    uint32_t magic;
    uint32_t version;
    uint64_t address;
    uint64_t map_size;
    struct tree trees[2]; /* free pages; main */
    uint64_t last_page;
    uint64_t txn;
};

struct node {
    struct span key;
    struct span value; /* in the page; for a big one its page number */
    uint64_t child;    /* of a branch */
    uint16_t flags;
    uint32_t value_len;
    size_t value_at; /* in the page */
};

struct scan {
    int fd;
    uint64_t page_count;
    size_t page_size;
    unsigned char *seen; /* a bit for each page */
    kv_scan_fn *on_entry;
    void *ctx;
    bool whole;
};

/* ---- pages ---------------------------------------------------------------------------------- */

static bool read_at(const struct scan *s, uint64_t offset, void *room, size_t len)
{
    char *at = room;

    while (len > 0) {
        ssize_t got = pread(s->fd, at, len, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        offset += (uint64_t)got;
        len -= (size_t)got;
    }
    return true;
}

static bool is_seen(const struct scan *s, uint64_t page)
{
    return s->seen[page / 8] >> (page % 8) & 1;
}

static void mark_seen(struct scan *s, uint64_t page)
{
    s->seen[page / 8] |= (unsigned char)(1 << (page % 8));
}

/* A branch or leaf page whose head makes sense. */
static bool read_page(const struct scan *s, uint64_t page, char *room, struct page_head *out)
{
    if (page >= s->page_count || !read_at(s, page * s->page_size, room, s->page_size))
        return false;
    memcpy(out, room, sizeof(*out));
    return out->number == page && out->lower >= PAGE_HEAD && out->lower <= out->upper &&
           out->upper <= s->page_size;
}

static unsigned node_count(const struct page_head *head)
{
    return (unsigned)(head->lower - PAGE_HEAD) / 2;
}

static bool read_node(const struct scan *s, const char *room, const struct page_head *head,
                      unsigned index, struct node *out)
{
    uint16_t at;
    uint16_t parts[4]; /* low and high half, flags, length of the key */

    memcpy(&at, room + PAGE_HEAD + 2 * (size_t)index, sizeof(at));
    if (at < head->upper || (size_t)at + NODE_HEAD > s->page_size)
        return false;
    memcpy(parts, room + at, sizeof(parts));
    size_t value_at = (size_t)at + NODE_HEAD + parts[3];
    if (value_at > s->page_size)
        return false;
    *out = (struct node){ .key = { room + at + NODE_HEAD, parts[3] }, .flags = parts[2] };
    out->child = parts[0] | (uint64_t)parts[1] << 16 | (uint64_t)parts[2] << 32;
    out->value_len = parts[0] | (uint32_t)parts[1] << 16;
    out->value_at = value_at;
    if (!(head->flags & PAGE_LEAF))
        return true;
    size_t inside = out->flags & NODE_BIG ? sizeof(uint64_t) : out->value_len;
    if (inside > s->page_size - value_at)
        return false;
    out->value = (struct span){ room + value_at, inside };
    return true;
}

/* ---- entries -------------------------------------------------------------------------------- */

/* A value on overflow pages of its own. */
static bool give_big(struct scan *s, const char *table, const struct node *node)
{
    struct page_head head;
    uint64_t page;

    memcpy(&page, node->value.data, sizeof(page));
    if (page >= s->page_count || node->value_len > VALUE_MAX ||
        !read_at(s, page * s->page_size, &head, sizeof(head)) || head.number != page ||
        !(head.flags & PAGE_OVERFLOW))
        return false;
    uint64_t offset = page * s->page_size + PAGE_HEAD;
    char *value = memory_new(node->value_len + 1);
    bool fine = read_at(s, offset, value, node->value_len);
    if (fine)
        s->on_entry(s->ctx, table, node->key, (struct span){ value, node->value_len }, offset);
    free(value);
    uint64_t pages = (PAGE_HEAD + node->value_len + s->page_size - 1) / s->page_size;
    for (uint64_t i = page; i < page + pages && i < s->page_count; i++)
        mark_seen(s, i);
    return fine;
}

static bool give_entry(struct scan *s, const char *table, uint64_t page, const struct node *node)
{
    if (node->flags & NODE_BIG)
        return give_big(s, table, node);
    s->on_entry(s->ctx, table, node->key, node->value, page * s->page_size + node->value_at);
    return true;
}

/* ---- the way the tree leads -------------------------------------------------------------------
 */

static void walk(struct scan *s, const char *table, uint64_t page, unsigned depth);

/* An entry of the main tree is a table. */
static bool walk_table(struct scan *s, const struct node *node)
{
    struct tree tree;
    char name[TABLE_NAME_MAX + 1];

    if (node->value.len != sizeof(tree) || !span_to_string(node->key, name, sizeof(name)))
        return false;
    memcpy(&tree, node->value.data, sizeof(tree));
    if (tree.root != NO_PAGE)
        walk(s, name, tree.root, 0);
    return true;
}

static bool walk_node(struct scan *s, const char *table, uint64_t page,
                      const struct page_head *head, const struct node *node, unsigned depth)
{
    if (head->flags & PAGE_BRANCH) {
        walk(s, table, node->child, depth + 1);
        return true;
    }
    return table ? give_entry(s, table, page, node)
                 : (node->flags & NODE_TABLE) != 0 && walk_table(s, node);
}

static void walk(struct scan *s, const char *table, uint64_t page, unsigned depth)
{
    struct page_head head;
    struct node node;
    char *room = memory_new(s->page_size);

    bool fine = depth < DEPTH_MAX && page < s->page_count && !is_seen(s, page) &&
                read_page(s, page, room, &head) && (head.flags & (PAGE_BRANCH | PAGE_LEAF));
    if (fine)
        mark_seen(s, page);
    for (unsigned i = 0; fine && i < node_count(&head); i++)
        if (!read_node(s, room, &head, i, &node) || !walk_node(s, table, page, &head, &node, depth))
            s->whole = false;
    if (!fine)
        s->whole = false;
    free(room);
}

/* ---- pages that nothing leads to --------------------------------------------------------------
 */

static void sweep_page(struct scan *s, uint64_t page, char *room)
{
    struct page_head head;
    struct node node;

    if (is_seen(s, page) || !read_page(s, page, room, &head) || !(head.flags & PAGE_LEAF))
        return;
    for (unsigned i = 0; i < node_count(&head); i++)
        if (read_node(s, room, &head, i, &node) && !(node.flags & NODE_TABLE))
            give_entry(s, NULL, page, &node);
}

static void sweep(struct scan *s)
{
    char *room = memory_new(s->page_size);

    for (uint64_t page = META_COUNT; page < s->page_count; page++)
        sweep_page(s, page, room);
    free(room);
}

/* ---- the file ---------------------------------------------------------------------------------
 */

static bool read_meta(const struct scan *s, uint64_t offset, struct meta *out)
{
    return read_at(s, offset + PAGE_HEAD, out, sizeof(*out)) &&
           out->magic == (uint32_t)META_MAGIC && out->version == 1 &&
           out->trees[0].pad >= PAGE_MIN && out->trees[0].pad <= PAGE_MAX &&
           (out->trees[0].pad & (out->trees[0].pad - 1)) == 0;
}

/* The newer of the two; false: neither can be read. */
static bool choose_meta(struct scan *s, struct meta *out)
{
    struct meta second;
    bool has_first = read_meta(s, 0, out);

    s->page_size = has_first ? out->trees[0].pad : (size_t)sysconf(_SC_PAGESIZE);
    bool has_second = read_meta(s, s->page_size, &second);
    if (has_second && (!has_first || second.txn > out->txn))
        *out = second;
    s->whole = has_first && has_second;
    return has_first || has_second;
}

static struct error *scan_file(struct scan *s)
{
    struct stat st;
    struct meta meta;

    if (fstat(s->fd, &st))
        return error_errno(ERROR_LOCAL, errno, "stat");
    bool has_meta = choose_meta(s, &meta);
    s->page_count = (uint64_t)st.st_size / s->page_size;
    s->seen = memory_new(s->page_count / 8 + 1);
    if (has_meta && meta.trees[1].root != NO_PAGE)
        walk(s, NULL, meta.trees[1].root, 0);
    if (!s->whole)
        sweep(s);
    free(s->seen);
    return NULL;
}

struct error *kv_scan(const char *folder, kv_scan_fn *on_entry, void *ctx, bool *out_whole)
{
    struct scan s = { .on_entry = on_entry, .ctx = ctx };
    char *path;

    ensure(asprintf(&path, "%s/data.mdb", folder) > 0);
    s.fd = open(path, O_RDONLY | O_CLOEXEC);
    struct error *err = s.fd < 0 ? error_errno(ERROR_LOCAL, errno, "open") : scan_file(&s);
    if (s.fd >= 0)
        close(s.fd);
    if (err)
        err = error_wrap(err, "%s", path);
    free(path);
    *out_whole = s.whole;
    return err;
}
