#include "policy/mx_match.h"

static bool is_name(struct span name)
{
    return name.len > 0 && name.data[0] != '.' && span_find(name, '*') == name.len;
}

bool mx_match(struct span host, struct span pattern)
{
    if (host.len > 0 && host.data[host.len - 1] == '.')
        host.len--;
    if (!span_starts_with(pattern, SPAN("*.")))
        return is_name(pattern) && span_equal_nocase(host, pattern);
    struct span suffix = span_from(pattern, 2);
    size_t label = span_find(host, '.');
    if (!is_name(suffix) || label == 0 || label == host.len)
        return false;
    return span_equal_nocase(span_from(host, label + 1), suffix);
}
