#include "lib/base/settings_table.h"

#include "lib/base/limits.h"
#include "lib/base/utf8.h"

#include <inttypes.h>
#include <string.h>

/* --- texts ------------------------------------------------------------------------------------ */

static bool label_is_valid(struct span label)
{
    if (label.len == 0 || label.len > 63)
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!ascii_is_alnum(label.data[i]) && label.data[i] != '-')
            return false;
    return label.data[0] != '-' && label.data[label.len - 1] != '-';
}

/* So long that postmaster at it is still an address. */
enum { HOST_MAX = ADDRESS_MAX - (int)sizeof("postmaster@") + 1 };

/* A host name as DNS and EHLO know it (RFC 5321 s.2.3.5); the A-label form of others. */
static bool host_is_valid(struct span text)
{
    struct span label;

    if (text.len == 0 || text.len > HOST_MAX)
        return false;
    while (span_cut(&text, '.', &label))
        if (!label_is_valid(label))
            return false;
    return true;
}

static bool user_is_valid(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!ascii_is_alnum(text.data[i]) && text.data[i] != '_' && (i == 0 || text.data[i] != '-'))
            return false;
    return text.len > 0 && text.len < 32;
}

/* A word of our own that stands in log lines. */
static bool label_text_is_valid(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!ascii_is_alnum(text.data[i]) && !strchr("-_.", text.data[i]))
            return false;
    return text.len > 0;
}

/* Replies are ASCII (RFC 5321 s.4.2). */
static bool banner_is_valid(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < ' ' || text.data[i] > '~')
            return false;
    return text.len > 0;
}

static bool text_is_valid(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
            return false;
    return utf8_is_valid(text);
}

static bool path_is_valid(struct span text)
{
    return text.len > 0 && text.data[0] == '/' && text_is_valid(text);
}

static bool optional_path_is_valid(struct span text)
{
    return text.len == 0 || path_is_valid(text);
}

/*
 * A socket for programs, without passwords: of this machine, or of a network that the internet does
 * not reach.
 */
static bool socket_is_valid(struct span text)
{
    static const struct network unspecified[] = {
        { .address.family = ADDRESS_V4, .bits = 32 },
        { .address.family = ADDRESS_V6, .bits = 128 },
    };
    struct endpoint endpoint;
    struct span path = span_from(text, sizeof(SETTINGS_UNIX_FORM) - 1);

    if (text.len == 0)
        return true;
    if (span_starts_with(text, SPAN(SETTINGS_UNIX_FORM)))
        return path_is_valid(path) && path.data[path.len - 1] != '/';
    return endpoint_parse(text, 0, &endpoint) && ip_address_is_internal(&endpoint.address) &&
           !network_contains(&unspecified[0], &endpoint.address) &&
           !network_contains(&unspecified[1], &endpoint.address);
}

static bool mailbox_is_valid(struct span text)
{
    size_t at = span_find(text, '@');

    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~' || strchr("<>()[],;:\\\"", text.data[i]))
            return false;
    return at > 0 && at <= LOCAL_PART_MAX && host_is_valid(span_from(text, at + 1));
}

static bool port_is_valid(struct span part)
{
    uint64_t port;

    if (part.len == 0)
        return true;
    return part.data[0] == ':' && span_to_number(span_from(part, 1), UINT16_MAX, &port) && port > 0;
}

/* "[host]:port", "[address]:port", "name" or "name:port"; the port may be missing. */
bool settings_relayhost_is_valid(struct span text)
{
    struct ip_address address;

    if (text.len > 0 && text.data[0] == '[') {
        size_t end = span_find(text, ']');
        struct span inside = span_from(span_first(text, end), 1);
        return end < text.len && port_is_valid(span_from(text, end + 1)) &&
               (host_is_valid(inside) || ip_address_parse(inside, &address));
    }
    size_t colon = span_find(text, ':');
    struct span name = span_first(text, colon);
    /* an address needs brackets, for a name in bare form has its MX looked up */
    return host_is_valid(name) && !ip_address_parse(name, &address) &&
           port_is_valid(span_from(text, colon));
}

static bool text_read(const struct settings_reading *reading, const struct setting *setting,
                      const struct tree_node *node, void *group)
{
    char *field = (char *)group + setting->offset;
    bool may_be_empty = strcmp(setting->default_text, "\"\"") == 0;

    if (node->kind != TREE_TEXT)
        return setting_refuse_value(reading, setting, node);
    if (node->text.len >= setting->size)
        return setting_refuse(reading, setting, node->line, "is too long");
    if (!(node->text.len == 0 && may_be_empty) && !setting->type->valid(node->text))
        return setting_refuse_value(reading, setting, node);
    memset(field, 0, setting->size);
    memcpy(field, node->text.data, node->text.len);
    return true;
}

void setting_write_text(const char *text, struct buf *out)
{
    bool ok = buf_append(out, SPAN("\""));

    for (; *text && ok; text++) {
        if (*text == '"' || *text == '\\')
            ok = buf_append(out, SPAN("\\"));
        ok = ok && buf_append(out, (struct span){ text, 1 });
    }
    ensure(ok && buf_append(out, SPAN("\"")));
}

static void text_write(const struct setting *setting, const void *group, struct buf *out)
{
    setting_write_text((const char *)group + setting->offset, out);
}

/* --- words: an enum whose values are the words of the range, in their order ------------------ */

static bool word_read(const struct settings_reading *reading, const struct setting *setting,
                      const struct tree_node *node, void *group)
{
    struct span words = span_of(setting->range_text);
    struct span word;

    for (int value = 0; span_cut(&words, ',', &word); value++) {
        if (node->kind == TREE_TEXT && span_equal(span_trim(word), node->text)) {
            memcpy((char *)group + setting->offset, &value, sizeof(value));
            return true;
        }
    }
    return setting_refuse_value(reading, setting, node);
}

static void word_write(const struct setting *setting, const void *group, struct buf *out)
{
    struct span words = span_of(setting->range_text);
    struct span word = SPAN("");
    int value;

    memcpy(&value, (const char *)group + setting->offset, sizeof(value));
    for (int i = 0; i <= value; i++)
        ensure(span_cut(&words, ',', &word));
    word = span_trim(word);
    ensure(buf_printf(out, "\"" SPAN_FMT "\"", SPAN_ARG(word)));
}

/* --- quantities: a number with a unit -------------------------------------------------------- */

struct setting_unit {
    char letter; /* 0: no letter; the list ends with factor 0 */
    uint64_t factor;
};

static const struct setting_unit no_units[] = { { 0, 1 }, { 0, 0 } };
static const struct setting_unit size_units[] = {
    { 'T', 1ULL << 40 },
    { 'G', 1ULL << 30 },
    { 'M', 1ULL << 20 },
    { 'K', 1ULL << 10 },
    { 0, 1 },
    { 0, 0 },
};
static const struct setting_unit duration_units[] = {
    { 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 }, { 0, 0 },
};

static bool quantity_parse(struct span text, const struct setting_unit *units, uint64_t *out)
{
    char letter = text.len > 0 ? text.data[text.len - 1] : '0';
    uint64_t value;

    if (ascii_is_digit(letter))
        letter = 0;
    else
        text.len--;
    for (const struct setting_unit *unit = units; unit->factor > 0; unit++) {
        if (unit->letter != letter)
            continue;
        if (!span_to_number(text, UINT64_MAX / unit->factor, &value))
            return false;
        *out = value * unit->factor;
        return true;
    }
    return false;
}

static bool node_quantity(const struct setting *setting, const struct tree_node *node,
                          uint64_t *out)
{
    const struct setting_unit *units = setting->type->units;

    if (node->kind == TREE_TEXT)
        return units != no_units && quantity_parse(node->text, units, out);
    if (node->kind != TREE_NUMBER || node->number < 0)
        return false;
    for (; units->factor > 0; units++) {
        if (units->letter == 0) { /* a bare number has a meaning for this type */
            *out = (uint64_t)node->number;
            return true;
        }
    }
    return false;
}

/* The range is written as "1 to 100", in the units of the type. */
static bool quantity_in_range(const struct setting *setting, uint64_t value)
{
    struct span range = span_of(setting->range_text);
    size_t blank = span_find(range, ' ');
    uint64_t least, most;

    ensure(quantity_parse(span_first(range, blank), setting->type->units, &least));
    ensure(
        quantity_parse(span_from(range, blank + sizeof(" to ") - 1), setting->type->units, &most));
    return value >= least && value <= most;
}

static bool quantity_read(const struct settings_reading *reading, const struct setting *setting,
                          const struct tree_node *node, void *group)
{
    char *field = (char *)group + setting->offset;
    uint64_t value;

    if (!node_quantity(setting, node, &value))
        return setting_refuse_value(reading, setting, node);
    if (!quantity_in_range(setting, value))
        return setting_refuse(reading, setting, node->line, "is out of range");
    if (setting->size == sizeof(uint64_t)) {
        memcpy(field, &value, sizeof(value));
    } else {
        unsigned small = (unsigned)value;
        memcpy(field, &small, sizeof(small));
    }
    return true;
}

bool setting_duration_parse(struct span text, uint64_t *out_s)
{
    return quantity_parse(text, duration_units, out_s);
}

bool setting_size_parse(struct span text, uint64_t *out_bytes)
{
    return quantity_parse(text, size_units, out_bytes);
}

static uint64_t field_quantity(const struct setting *setting, const void *group)
{
    const char *field = (const char *)group + setting->offset;
    uint64_t value;
    unsigned small;

    if (setting->size == sizeof(value)) {
        memcpy(&value, field, sizeof(value));
        return value;
    }
    memcpy(&small, field, sizeof(small));
    return small;
}

/* The largest unit of which it is a whole number. */
static const struct setting_unit *unit_of(const struct setting_unit *units, uint64_t value)
{
    while (units[1].factor > 0 && (value == 0 || value % units->factor != 0))
        units++;
    return units;
}

void setting_duration_write(uint64_t seconds, struct buf *out)
{
    const struct setting_unit *unit = unit_of(duration_units, seconds);

    ensure(buf_printf(out, "%" PRIu64 "%c", seconds / unit->factor, unit->letter));
}

static void quantity_write(const struct setting *setting, const void *group, struct buf *out)
{
    uint64_t value = field_quantity(setting, group);
    const struct setting_unit *unit = unit_of(setting->type->units, value);

    if (unit->letter)
        ensure(buf_printf(out, "\"%" PRIu64 "%c\"", value / unit->factor, unit->letter));
    else
        ensure(buf_printf(out, "%" PRIu64 "%s", value, value > INT32_MAX ? "L" : ""));
}

/* --- the types ------------------------------------------------------------------------------- */

const struct setting_type setting_number = {
    "number", "a whole number", quantity_read, quantity_write, NULL, no_units,
};
const struct setting_type setting_size = {
    "size",        "a number with K, M, G or T behind it, such as \"25M\"",
    quantity_read, quantity_write,
    NULL,          size_units,
};
const struct setting_type setting_duration = {
    "duration",    "a number with s, m, h or d behind it, such as \"5m\"",
    quantity_read, quantity_write,
    NULL,          duration_units,
};
const struct setting_type setting_word = {
    "word", "one of these words", word_read, word_write, NULL, NULL,
};
const struct setting_type setting_host = {
    "host name", "a name such as \"relay.example.net\"", text_read, text_write, host_is_valid, NULL,
};
const struct setting_type setting_user = {
    "user name", "a user name such as \"waxseal\"", text_read, text_write, user_is_valid, NULL,
};
const struct setting_type setting_group = {
    "group name", "a group name such as \"postfix\"", text_read, text_write, user_is_valid, NULL,
};
const struct setting_type setting_label = {
    "label",
    "letters, digits, -, _ and . such as \"internal\"",
    text_read,
    text_write,
    label_text_is_valid,
    NULL,
};
const struct setting_type setting_banner = {
    "text", "printable ASCII such as \"ESMTP\"", text_read, text_write, banner_is_valid, NULL,
};
const struct setting_type setting_path = {
    "path", "a path that begins with /", text_read, text_write, path_is_valid, NULL,
};
const struct setting_type setting_optional_path = {
    "path", "a path that begins with /, or \"\"", text_read, text_write, optional_path_is_valid,
    NULL,
};
const struct setting_type setting_mailbox = {
    "mailbox",        "a mailbox such as \"postmaster@example.net\"",
    text_read,        text_write,
    mailbox_is_valid, NULL,
};
const struct setting_type setting_relayhost = {
    "next hop",
    "\"[host]:port\", \"[address]:port\", or \"name\" or \"name:port\" to use its MX",
    text_read,
    text_write,
    settings_relayhost_is_valid,
    NULL,
};
const struct setting_type setting_socket = {
    "socket",
    "\"127.0.0.1:8461\" or another internal address and port, \"unix:/path\", or \"\"",
    text_read,
    text_write,
    socket_is_valid,
    NULL,
};
const struct setting_type setting_text = {
    "text", "a text in \"\" without control characters", text_read, text_write, text_is_valid, NULL,
};
