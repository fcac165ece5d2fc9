#include "lib/mail/header_addresses.h"

#include <string.h>

#include "lib/mail/header_fields.h"

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,    /* an atom or a quoted string */
    TOKEN_LITERAL, /* "[192.0.2.1]" */
    TOKEN_SPECIAL, /* one of <>()[]:;@,. and a stray control */
};

struct token {
    enum token_kind kind;
    struct span text;
};

/* --- tokens (RFC 5322 s.3.2) */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Bytes of atoms: all but blanks, controls and specials; above 127 by RFC 6532 s.3.2. */
static bool is_atom(char c)
{
    return ((unsigned char)c > ' ' && c != 0x7f) && !strchr("()<>[]:;@\\,.\"", c);
}

/* Bytes of what `open` begins and `close` ends; comments nest, quoted pairs hide; 0: no end. */
static size_t enclosed_length(struct span text, char open, char close)
{
    unsigned depth = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '\\')
            i++;
        else if (c == close && depth <= 1 && i > 0)
            return i + 1;
        else if (c == close && i > 0)
            depth--;
        else if (c == open)
            depth++;
    }
    return 0;
}

/* Steps over blanks and comments; a comment without end takes all that is left. */
static void skip_blanks(struct header_addresses *list)
{
    for (;;) {
        size_t len = 0;
        while (len < list->rest.len && is_blank(list->rest.data[len]))
            len++;
        list->rest = span_from(list->rest, len);
        if (list->rest.len == 0 || list->rest.data[0] != '(')
            return;
        len = enclosed_length(list->rest, '(', ')');
        list->is_broken = list->is_broken || len == 0;
        list->rest = span_from(list->rest, len > 0 ? len : list->rest.len);
    }
}

static size_t atom_length(struct span text)
{
    size_t len = 0;

    while (len < text.len && is_atom(text.data[len]))
        len++;
    return len;
}

static struct token measure_token(struct span text)
{
    struct token token = { TOKEN_SPECIAL, span_first(text, 1) };
    size_t len = atom_length(text);

    if (len > 0) {
        token = (struct token){ TOKEN_WORD, span_first(text, len) };
    } else if (text.data[0] == '"') {
        len = enclosed_length(text, '"', '"');
        token = (struct token){ len > 0 ? TOKEN_WORD : TOKEN_END, span_first(text, len) };
    } else if (text.data[0] == '[') {
        len = enclosed_length(text, '[', ']');
        token = (struct token){ len > 0 ? TOKEN_LITERAL : TOKEN_END, span_first(text, len) };
    }
    return token;
}

/* A quoted string or literal without end is no token: it ends the list. */
static struct token take_token(struct header_addresses *list)
{
    struct token token = { TOKEN_END, { NULL, 0 } };

    skip_blanks(list);
    if (list->rest.len == 0)
        return token;
    token = measure_token(list->rest);
    list->is_broken = list->is_broken || token.kind == TOKEN_END;
    list->rest = span_from(list->rest, token.kind == TOKEN_END ? list->rest.len : token.text.len);
    return token;
}

static char special(struct token token)
{
    return token.kind == TOKEN_SPECIAL ? token.text.data[0] : '\0';
}

static bool is_one_of(struct token token, const char *specials)
{
    return special(token) != '\0' && strchr(specials, special(token)) != NULL;
}

static char next_special(const struct header_addresses *list)
{
    struct header_addresses ahead = *list;

    return special(take_token(&ahead));
}

/* --- words and dots: a local-part, a domain, or a display name */

static struct span joined(struct span first, struct span last)
{
    if (!first.data)
        return last;
    return (struct span){ first.data, (size_t)(last.data + last.len - first.data) };
}

static void entry_add(struct header_entry *entry, struct token token)
{
    bool is_dot = special(token) == '.';

    if (is_dot || entry->ends_with_dot || !entry->words.data) {
        entry->words = joined(entry->words, token.text);
    } else {
        entry->words = token.text;
        entry->has_name = true;
    }
    entry->ends_with_dot = is_dot;
}

/* Takes words and dots as long as there are any. */
static void take_words(struct header_addresses *list, struct header_entry *entry)
{
    struct header_addresses ahead = *list;
    struct token token = take_token(&ahead);

    while (token.kind == TOKEN_WORD || special(token) == '.') {
        entry_add(entry, token);
        *list = ahead;
        token = take_token(&ahead);
    }
}

static struct header_mailbox bare(struct span local)
{
    return (struct header_mailbox){ local, local, { local.data + local.len, 0 } };
}

/* The domain behind "@": a literal, or one run of words with dots; false when there is none. */
static bool take_domain(struct header_addresses *list, struct span *out_domain)
{
    struct header_entry domain = { .has_name = false };
    struct header_addresses ahead = *list;
    struct token token = take_token(&ahead);

    if (token.kind == TOKEN_LITERAL)
        domain.words = token.text;
    while (token.kind == TOKEN_LITERAL || token.kind == TOKEN_WORD || special(token) == '.') {
        if (token.kind != TOKEN_LITERAL)
            entry_add(&domain, token);
        if (domain.has_name)
            return true; /* a second word is not of the domain */
        *list = ahead;
        *out_domain = domain.words;
        if (token.kind == TOKEN_LITERAL)
            return true;
        token = take_token(&ahead);
    }
    return domain.words.data != NULL;
}

/* "@" was read behind a local-part. */
static bool finish_mailbox(struct header_addresses *list, struct span local,
                           struct header_mailbox *out)
{
    struct span domain;

    if (!local.data || !take_domain(list, &domain)) {
        list->is_broken = true;
        return false;
    }
    *out = (struct header_mailbox){ joined(local, domain), local, domain };
    return true;
}

/* --- "<...>" */

/* RFC 5322 s.4.4: "@a,@b:" in front, which names nobody. */
static void skip_route(struct header_addresses *list)
{
    struct header_addresses ahead = *list;
    struct token token;

    if (next_special(list) != '@')
        return;
    do
        token = take_token(&ahead);
    while (token.kind != TOKEN_END && !is_one_of(token, ":<>;"));
    if (special(token) == ':')
        *list = ahead;
}

/* Up to the ">" or, where it is missing, to the end of the entry. */
static void close_angle(struct header_addresses *list)
{
    struct header_addresses ahead = *list;
    struct token token = take_token(&ahead);

    while (token.kind != TOKEN_END && !is_one_of(token, ",;<>")) {
        list->is_broken = true;
        *list = ahead;
        token = take_token(&ahead);
    }
    if (special(token) == '>')
        *list = ahead;
    else
        list->is_broken = true;
}

/* The address in "<...>", whose "<" was read; false when there is none. */
static bool take_angle(struct header_addresses *list, struct header_mailbox *out)
{
    struct header_entry inside = { .has_name = false };
    bool found = false;

    skip_route(list);
    take_words(list, &inside);
    if (next_special(list) == '@') {
        take_token(list);
        found = finish_mailbox(list, inside.words, out);
    } else if (inside.words.data) {
        *out = bare(inside.words);
        found = true;
    }
    list->is_broken = list->is_broken || inside.has_name;
    close_angle(list);
    return found;
}

/* --- the list */

void header_addresses_init(struct header_addresses *list, struct span body)
{
    *list = (struct header_addresses){ .rest = body };
}

/* The entry is over: a single word is a bare name, several are a display name without address. */
static bool end_entry(struct header_addresses *list, struct header_mailbox *out)
{
    struct header_entry ended = list->entry;

    list->entry = (struct header_entry){ .has_name = false };
    if (!ended.words.data)
        return false;
    if (ended.has_name || ended.has_address) {
        list->is_broken = true;
        return false;
    }
    *out = bare(ended.words);
    return true;
}

/* What stands before something out of place is no local-part. */
static void stumble(struct header_addresses *list)
{
    list->is_broken = true;
    list->entry = (struct header_entry){ .has_name = true, .has_address = list->entry.has_address };
}

static bool take_special(struct header_addresses *list, char c, struct header_mailbox *out)
{
    struct header_entry before = list->entry;

    switch (c) {
    case '@':
        list->is_broken = list->is_broken || before.has_name || before.has_address;
        list->entry = (struct header_entry){ .has_address = true };
        return finish_mailbox(list, before.words, out);
    case '<':
        list->entry = (struct header_entry){ .has_address = true };
        return take_angle(list, out);
    case ',':
    case ';':
        return end_entry(list, out);
    case ':': /* what stood before is a group's name */
        list->is_broken = list->is_broken || !before.words.data || before.has_address;
        list->entry = (struct header_entry){ .has_name = false };
        return false;
    default:
        stumble(list);
        return false;
    }
}

bool header_addresses_next(struct header_addresses *list, struct header_mailbox *out)
{
    for (;;) {
        struct token token = take_token(list);
        if (token.kind == TOKEN_END)
            return end_entry(list, out);
        if (token.kind == TOKEN_WORD || special(token) == '.')
            entry_add(&list->entry, token);
        else if (token.kind == TOKEN_LITERAL)
            stumble(list);
        else if (take_special(list, special(token), out))
            return true;
    }
}

/* --- one address */

static bool put(char room[ADDRESS_MAX + 1], size_t *len, struct span text)
{
    if (text.len > ADDRESS_MAX - *len || span_find(text, '\0') < text.len)
        return false;
    memcpy(room + *len, text.data, text.len);
    *len += text.len;
    room[*len] = '\0';
    return true;
}

bool header_mailbox_text(const struct header_mailbox *mailbox, char room[ADDRESS_MAX + 1])
{
    struct header_addresses parts;
    size_t len = 0;

    room[0] = '\0';
    header_addresses_init(&parts, mailbox->whole);
    for (;;) {
        struct token token = take_token(&parts);
        if (token.kind == TOKEN_END)
            return len > 0;
        if (!put(room, &len, token.text))
            return false;
    }
}

/* The addresses of one From field; false when it holds anything else. */
static bool visit_author_field(struct span body, header_author_fn *each, void *ctx)
{
    struct header_addresses list;
    struct header_mailbox mailbox;
    char text[ADDRESS_MAX + 1];
    bool fine = true;

    header_addresses_init(&list, body);
    while (header_addresses_next(&list, &mailbox)) {
        if (header_mailbox_text(&mailbox, text))
            each(ctx, span_of(text));
        else
            fine = false;
    }
    return fine && !list.is_broken;
}

bool header_visit_authors(struct span block, header_author_fn *each, void *ctx)
{
    struct header_fields fields;
    struct header_field field;
    bool fine = true;

    header_fields_init(&fields, block);
    do
        while (header_fields_next(&fields, &field))
            if (span_equal_nocase(field.name, SPAN("From")))
                fine = visit_author_field(field.body, each, ctx) && fine;
    while (header_fields_skip(&fields));
    return fine;
}
