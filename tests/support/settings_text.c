#include "tests/support/settings_text.h"

#include "lib/base/memory.h"
#include "tests/support/test.h"

struct settings *settings_of(const char *text)
{
    struct settings *s = memory_new(sizeof(*s));
    struct settings_errors errors;

    settings_errors_init(&errors);
    if (!settings_parse(span_of(text), "conf", s, &errors))
        fail_msg("refused: " SPAN_FMT, SPAN_ARG(buf_span(&errors.text)));
    assert_int_equal(errors.count, 0);
    settings_errors_clear(&errors);
    return s;
}
