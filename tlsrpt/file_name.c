#include "tlsrpt/file_name.h"

#include "lib/mail/domain.h"
#include "tlsrpt/day.h"

#include <stdio.h>
#include <string.h>

#define SECONDS_MAX ((uint64_t)1 << 40) /* far behind the year 30000 */

bool file_name_of_day(struct span sender, struct span domain, uint32_t day, bool packed,
                      struct file_name *out)
{
    *out = (struct file_name){
        .begin_s = day_begins(day) / SECOND_MS,
        .end_s = day_begins(day + 1) / SECOND_MS - 1,
        .packed = packed,
    };
    return domain_normalize(sender, out->sender) && domain_normalize(domain, out->domain);
}

void file_name_format(const struct file_name *name, char text[FILE_NAME_SIZE])
{
    snprintf(text, FILE_NAME_SIZE, "%s!%s!%lld!%lld%s%s.json%s", name->sender, name->domain,
             (long long)name->begin_s, (long long)name->end_s, name->unique[0] ? "!" : "",
             name->unique, name->packed ? ".gz" : "");
}

/* Cuts `ending` off the end. */
static bool cut_ending(struct span *text, struct span ending)
{
    if (!span_ends_with_nocase(*text, ending))
        return false;
    *text = span_first(*text, text->len - ending.len);
    return true;
}

static bool parse_domain(struct span *rest, char out[DOMAIN_MAX + 1])
{
    struct span piece;

    return span_cut(rest, '!', &piece) && domain_normalize(piece, out);
}

static bool parse_seconds(struct span *rest, int64_t *out)
{
    struct span piece;
    uint64_t seconds;

    if (!span_cut(rest, '!', &piece) || !span_to_number(piece, SECONDS_MAX, &seconds))
        return false;
    *out = (int64_t)seconds;
    return true;
}

/* unique-id = 1*(ALPHA / DIGIT); it may be absent. */
static bool parse_unique(struct span rest, char out[FILE_NAME_UNIQUE_MAX + 1])
{
    if (!rest.data)
        return true;
    for (size_t i = 0; i < rest.len; i++)
        if (!ascii_is_alnum(rest.data[i]))
            return false;
    return rest.len > 0 && span_to_string(rest, out, FILE_NAME_UNIQUE_MAX + 1);
}

bool file_name_parse(struct span text, struct file_name *out)
{
    struct span rest = text;

    *out = (struct file_name){ .begin_s = 0 };
    out->packed = cut_ending(&rest, SPAN(".gz"));
    return cut_ending(&rest, SPAN(".json")) && parse_domain(&rest, out->sender) &&
           parse_domain(&rest, out->domain) && parse_seconds(&rest, &out->begin_s) &&
           parse_seconds(&rest, &out->end_s) && parse_unique(rest, out->unique);
}
