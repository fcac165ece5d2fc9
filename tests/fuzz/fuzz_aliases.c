/*
 * fuzz_aliases - a file of aliases: whatever stands in it, every expansion ends, tells each target
 * once, and never a pipe, a file or an include.
 */
#include <string.h>

#include "lib/base/error.h"
#include "lib/mail/aliases.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOLD_MAX = 64 };

struct told {
    char texts[TOLD_MAX][ADDRESS_MAX + 1];
    unsigned count;
};

static void on_target(void *ctx, const struct address *target)
{
    struct told *told = ctx;
    struct address again;

    ensure(address_parse(span_of(target->text), &again) == ADDRESS_FINE);
    ensure(target->domain[0] != '\0');
    for (unsigned i = 0; i < told->count && i < TOLD_MAX; i++)
        ensure(!span_equal_nocase(span_of(told->texts[i]), span_of(target->text)));
    if (told->count < TOLD_MAX)
        strcpy(told->texts[told->count], target->text);
    told->count++;
}

static void on_skipped(void *ctx, unsigned line, const char *what)
{
    ensure(ctx == NULL && line > 0 && what[0] != '\0');
}

static void expand(const struct aliases *aliases, const char *path)
{
    static const struct alias_home home = { { "relay.test", 10 }, { "origin.test", 11 } };
    static struct told told;
    struct address address;

    told.count = 0;
    ensure(address_parse(span_of(path), &address) == ADDRESS_FINE);
    bool found = aliases_expand(aliases, &home, &address, on_target, &told);
    ensure((found || told.count == 0) && told.count <= ALIAS_TARGETS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = { (const char *)data, size };
    struct aliases *aliases = aliases_parse(text, on_skipped, NULL);

    expand(aliases, "root@relay.test");
    expand(aliases, "postmaster");
    expand(aliases, "a@origin.test");
    expand(aliases, "b@localhost");
    aliases_free(&aliases);
    return 0;
}
