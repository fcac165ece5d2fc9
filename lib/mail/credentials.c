#include "lib/mail/credentials.h"

#include "lib/base/utf8.h"

#define FORM "it must have one line, USER:PASSWORD"

/* No NUL, for SASL ends a name with it (RFC 4616 s.2), nor any other control character. */
static bool is_fit(struct span text, size_t most)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
            return false;
    return text.len > 0 && text.len <= most && utf8_is_valid(text);
}

static struct span without_cr(struct span line)
{
    return line.len > 0 && line.data[line.len - 1] == '\r' ? span_first(line, line.len - 1) : line;
}

struct error *credentials_parse(struct span text, struct credentials *out)
{
    struct credentials found = { { NULL, 0 }, { NULL, 0 } };
    struct span line;

    while (span_cut(&text, '\n', &line)) {
        line = without_cr(line);
        if (line.len == 0 || line.data[0] == '#')
            continue;
        if (found.user.len > 0)
            return error_new(ERROR_LOCAL, "more than one line; " FORM);
        size_t colon = span_find(line, ':');
        found.user = span_first(line, colon);
        found.password = span_from(line, colon + 1);
        if (!is_fit(found.user, CREDENTIALS_USER_MAX) ||
            !is_fit(found.password, CREDENTIALS_PASSWORD_MAX))
            return error_new(ERROR_LOCAL, "its line has another form; " FORM);
    }
    if (found.user.len == 0)
        return error_new(ERROR_LOCAL, "empty; " FORM);
    *out = found;
    return NULL;
}
