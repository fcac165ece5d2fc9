#include "lib/mail/tls_required.h"

enum { NAME_SIZE = sizeof(TLS_REQUIRED_FIELD) - 1 };

enum place {
    AT_LINE_START,
    IN_NAME,
    BEHIND_NAME, /* blanks before the colon (RFC 5322 s.4.5) */
    IN_BODY,
};

enum value {
    VALUE_EMPTY,
    VALUE_HALF, /* "N" */
    VALUE_NO,
    VALUE_NO_AND_BLANK,
    VALUE_OTHER,
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static enum value blank_after(enum value value)
{
    if (value == VALUE_EMPTY)
        return VALUE_EMPTY;
    return value == VALUE_NO || value == VALUE_NO_AND_BLANK ? VALUE_NO_AND_BLANK : VALUE_OTHER;
}

static enum value value_after(enum value value, char c)
{
    if (is_blank(c))
        return blank_after(value);
    if (value == VALUE_EMPTY && ascii_lower(c) == 'n')
        return VALUE_HALF;
    return value == VALUE_HALF && ascii_lower(c) == 'o' ? VALUE_NO : VALUE_OTHER;
}

static void begin_body(struct tls_required *t)
{
    t->place = IN_BODY;
    t->has_field = true;
    t->is_ours = t->is_ours && t->fits == NAME_SIZE;
    if (!t->is_ours)
        return;
    t->count++;
    t->value = VALUE_EMPTY;
}

/* RFC 5322 s.2.2: a name is printable ASCII but the colon. */
static void take_name(struct tls_required *t, char c)
{
    const char *name = TLS_REQUIRED_FIELD;

    if (c == ':' && t->fits > 0) {
        begin_body(t);
    } else if (is_blank(c)) {
        t->place = BEHIND_NAME;
    } else if (c == ':' || c <= ' ' || c > '~') {
        t->is_over = true;
    } else {
        t->is_ours =
            t->is_ours && t->fits < NAME_SIZE && ascii_lower(c) == ascii_lower(name[t->fits]);
        t->fits++;
    }
}

static void begin_line(struct tls_required *t, char c)
{
    if (is_blank(c)) {
        t->is_over = !t->has_field;
        t->place = IN_BODY; /* the field goes on */
        if (t->is_ours)
            t->value = (unsigned char)value_after((enum value)t->value, c);
        return;
    }
    t->place = IN_NAME;
    t->is_ours = true;
    t->fits = 0;
    take_name(t, c);
}

static void take_byte(struct tls_required *t, char c)
{
    switch ((enum place)t->place) {
    case AT_LINE_START:
        begin_line(t, c);
        break;
    case IN_NAME:
        take_name(t, c);
        break;
    case BEHIND_NAME:
        if (c == ':')
            begin_body(t);
        else
            t->is_over = !is_blank(c);
        break;
    case IN_BODY:
        t->value = (unsigned char)value_after((enum value)t->value, c);
        break;
    }
}

void tls_required_take(struct tls_required *t, struct span part)
{
    for (size_t i = 0; i < part.len && !t->is_over; i++) {
        if (t->place == IN_BODY && !t->is_ours)
            return;
        take_byte(t, part.data[i]);
    }
}

/* A line without a colon is no field, and an empty one ends the header. */
void tls_required_end_line(struct tls_required *t)
{
    t->is_over = t->is_over || t->place != IN_BODY;
    t->place = AT_LINE_START;
}

bool tls_required_says_no(const struct tls_required *t)
{
    return t->count == 1 && (t->value == VALUE_NO || t->value == VALUE_NO_AND_BLANK);
}
