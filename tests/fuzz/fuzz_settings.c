/* fuzz_settings - any text as a configuration: what is accepted survives writing and reading. */
#include "lib/base/settings.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 loses the string it was reading at a syntax error: once per wrong reload. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig";
}

static void check_round_trip(const struct settings *s)
{
    struct settings *back = settings_new();
    struct settings_errors errors;
    struct buf text;

    settings_errors_init(&errors);
    buf_init(&text, SETTINGS_TEXT_MAX);
    settings_write(s, &text);
    ensure(settings_parse(buf_span(&text), "written", back, &errors));
    ensure(memcmp(s, back,
                  offsetof(struct settings, listeners) +
                      s->listener_count * sizeof(s->listeners[0])) == 0);
    ensure(memcmp(s->routes, back->routes, s->route_count * sizeof(s->routes[0])) == 0);
    buf_clear(&text);
    settings_errors_clear(&errors);
    settings_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings *s = settings_new();
    struct settings_errors errors;

    settings_errors_init(&errors);
    if (settings_parse((struct span){ (const char *)data, size }, "fuzz", s, &errors))
        check_round_trip(s);
    else
        ensure(errors.count > 0);
    settings_errors_clear(&errors);
    settings_free(&s);
    return 0;
}
