#include "policy/sts_export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/io/kv.h"

enum { PATH_SIZE = 1024, HEADER_SIZE = 8 };

static const char magic[] = "waxseal policies 1\n";

struct sts_export {
    FILE *file;
    char folder[PATH_SIZE];
    char path[PATH_SIZE];
    char draft[PATH_SIZE];
};

/* Length and checksum in front of each record, in big-endian order. */
static void put_u32(unsigned char *at, uint32_t number)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (unsigned char)(number >> (24 - 8 * i));
}

static uint32_t u32_at(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

struct error *sts_export_open(const char *folder, const char *name, struct sts_export **out_export)
{
    struct sts_export *export = memory_new(sizeof(*export));
    snprintf(export->folder, PATH_SIZE, "%s", folder);
    snprintf(export->path, PATH_SIZE, "%s/%s", folder, name);
    snprintf(export->draft, PATH_SIZE, "%s/%s.new", folder, name);
    export->file = fopen(export->draft, "we");
    if (export->file && fwrite(magic, sizeof(magic) - 1, 1, export->file) == 1) {
        *out_export = export;
        return NULL;
    }
    struct error *err = error_errno(ERROR_LOCAL, errno, "write %s", export->draft);
    sts_export_drop(&export);
    return err;
}

struct error *sts_export_add(struct sts_export *export, struct span record)
{
    unsigned char header[HEADER_SIZE];
    put_u32(header, (uint32_t)record.len);
    put_u32(header + 4, kv_checksum(0, record));
    if (fwrite(header, sizeof(header), 1, export->file) != 1 ||
        fwrite(record.data, record.len, 1, export->file) != 1)
        return error_errno(ERROR_LOCAL, errno, "write %s", export->draft);
    return NULL;
}

static bool sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return synced;
}

struct error *sts_export_finish(struct sts_export **export)
{
    struct sts_export *e = *export;
    struct error *err = NULL;
    if (fflush(e->file) || fsync(fileno(e->file)) || rename(e->draft, e->path) ||
        !sync_folder(e->folder))
        err = error_errno(ERROR_LOCAL, errno, "write %s", e->path);
    sts_export_drop(export);
    return err;
}

void sts_export_drop(struct sts_export **export)
{
    struct sts_export *e = *export;
    *export = NULL;
    if (!e)
        return;
    if (e->file)
        fclose(e->file);
    unlink(e->draft); /* not there any more when it was finished */
    free(e);
}

/* False at the end, or where the file is damaged. */
static bool read_record(FILE *file, char *room, size_t *out_len)
{
    unsigned char header[HEADER_SIZE];
    if (fread(header, sizeof(header), 1, file) != 1)
        return false;
    size_t len = u32_at(header);
    if (len == 0 || len > STS_RECORD_MAX || fread(room, len, 1, file) != 1)
        return false;
    *out_len = len;
    return kv_checksum(0, (struct span){ room, len }) == u32_at(header + 4);
}

static struct error *read_records(FILE *file, sts_export_fn *take, void *ctx)
{
    char head[sizeof(magic) - 1];
    struct error *err = NULL;
    size_t len;
    if (fread(head, sizeof(head), 1, file) != 1 || memcmp(head, magic, sizeof(head)) != 0)
        return NULL;
    char *room = memory_new(STS_RECORD_MAX);
    while (!err && read_record(file, room, &len))
        err = take(ctx, (struct span){ room, len });
    free(room);
    return err;
}

struct error *sts_export_read(const char *folder, const char *name, sts_export_fn *take, void *ctx)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    if (!file && errno == ENOENT)
        return NULL;
    if (!file)
        return error_errno(ERROR_LOCAL, errno, "read %s", path);
    struct error *err = read_records(file, take, ctx);
    fclose(file);
    return err;
}
