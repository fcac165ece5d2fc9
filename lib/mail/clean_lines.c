#include "lib/mail/clean_lines.h"

#include <string.h>

/* What bytes are, sixteen at a time; gcc and clang make it what the machine has. */
typedef unsigned char vector __attribute__((vector_size(16)));

struct census {
    uint64_t crs;
    bool nul;
    bool eight_bit;
};

static void count_byte(struct census *census, unsigned char byte)
{
    census->crs += byte == '\r';
    census->nul = census->nul || byte == '\0';
    census->eight_bit = census->eight_bit || byte > 127;
}

/* At most 255 vectors: no count of a lane runs over. */
static void count_vectors(struct census *census, const char *at, size_t count)
{
    const vector none = { 0 };
    vector crs = none;
    vector nuls = none;
    vector bits = none;

    for (; count > 0; at += sizeof(vector), count--) {
        vector bytes;
        memcpy(&bytes, at, sizeof(bytes));
        crs -= (vector)(bytes == '\r'); /* a lane that is true is -1 */
        nuls |= (vector)(bytes == 0);
        bits |= bytes;
    }
    for (size_t i = 0; i < sizeof(vector); i++) {
        census->crs += crs[i];
        census->nul = census->nul || nuls[i];
        census->eight_bit = census->eight_bit || bits[i] > 127;
    }
}

static struct census census_of(struct span s)
{
    struct census census = { 0 };

    while (s.len >= sizeof(vector)) {
        size_t vectors = s.len / sizeof(vector) < 255 ? s.len / sizeof(vector) : 255;
        count_vectors(&census, s.data, vectors);
        s = span_from(s, vectors * sizeof(vector));
    }
    for (size_t i = 0; i < s.len; i++)
        count_byte(&census, (unsigned char)s.data[i]);
    return census;
}

/* Where the line at `at` ends, behind its LF; 0: it has no LF, or no CR in front of it. */
static size_t line_end(struct span content, size_t at)
{
    const char *lf = memchr(content.data + at, '\n', content.len - at);

    return lf && lf > content.data + at && lf[-1] == '\r' ? (size_t)(lf - content.data) + 1 : 0;
}

/* Lines up to `len`, the stops and the end of each looked at, not yet what stands in them. */
static struct clean_lines lines_within(struct span content, const char *stops)
{
    struct clean_lines found = { 0 };

    while (found.len < content.len && !strchr(stops, content.data[found.len])) {
        size_t end = line_end(content, found.len);
        if (end == 0)
            break;
        uint64_t line = end - found.len - 2;
        found.longest = line > found.longest ? line : found.longest;
        found.lines++;
        found.len = end;
    }
    return found;
}

/* Where the line begins that has the first NUL or bare CR; there is one. */
static size_t before_fault(struct span lines)
{
    size_t start = 0;

    for (;;) {
        size_t end = line_end(lines, start);
        struct census census = census_of((struct span){ lines.data + start, end - start });
        if (census.nul || census.crs > 1)
            return start;
        start = end;
    }
}

struct clean_lines clean_lines_of(struct span content, const char *stops)
{
    struct clean_lines found = lines_within(content, stops);
    struct census census = census_of(span_first(content, found.len));

    if (census.nul || census.crs != found.lines) {
        content = span_first(content, before_fault(span_first(content, found.len)));
        found = lines_within(content, stops);
        census = census_of(content);
    }
    found.eight_bit = census.eight_bit;
    return found;
}
