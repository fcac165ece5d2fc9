#include "supervisor/print.h"

#include "lib/base/memory.h"
#include "lib/base/utf8.h"

#include <inttypes.h>
#include <stdint.h>
#include <string.h>

const char print_held_words[] =
    "delivery = \"hold\" is in the configuration: nothing is sent until "
    "you take that out and reload (systemctl reload waxseal)";

enum { COLUMNS_MAX = 20, NUMBER_SIZE = 24, WORDS_MAX = 60 };

/* --- one value ------------------------------------------------------------------------------- */

/* What turns the direction of writing, or begins a line: what follows would seem to stand elsewhere
 * (U+200E, U+200F, U+2028 to U+202E, U+2060 to U+2069). */
static bool is_direction(struct span character)
{
    unsigned char last = (unsigned char)character.data[2];

    if (span_starts_with(character, SPAN("\xe2\x80")))
        return (last >= 0x8e && last <= 0x8f) || (last >= 0xa8 && last <= 0xae);
    return span_starts_with(character, SPAN("\xe2\x81")) && last >= 0xa0 && last <= 0xa9;
}

/* Controls of ASCII and of Unicode's first block (U+0080 to U+009F), which terminals obey, too. */
static bool is_control(struct span character)
{
    unsigned char first = (unsigned char)character.data[0];

    if (character.len == 1)
        return first < ' ' || first == 0x7f;
    if (character.len == 3)
        return is_direction(character);
    return character.len == 2 && first == 0xc2 && (unsigned char)character.data[1] < 0xa0;
}

/* One character, or its bytes as \xNN. */
static size_t print_character(struct span character, bool visible, FILE *out)
{
    if (visible && out)
        fwrite(character.data, 1, character.len, out);
    for (size_t i = 0; !visible && out && i < character.len; i++)
        fprintf(out, "\\x%02x", (unsigned char)character.data[i]);
    return visible ? 1 : 4 * character.len;
}

/* As many characters as `most` columns have room for. */
static size_t print_first(struct span text, size_t most, FILE *out)
{
    size_t width = 0;

    if (text.len <= most && span_is_printable(text)) { /* most are */
        if (out)
            fwrite(text.data, 1, text.len, out);
        return text.len;
    }
    while (text.len > 0) {
        size_t len = utf8_character(text);
        struct span character = span_first(text, len > 0 ? len : 1);
        bool visible = len > 0 && !is_control(character);
        if (width + print_character(character, visible, NULL) > most)
            return width;
        width += print_character(character, visible, out);
        text = span_from(text, character.len);
    }
    return width;
}

size_t print_safe(struct span text, FILE *out)
{
    return print_first(text, SIZE_MAX, out);
}

/* The text of a value without parts; `room` serves for numbers. */
static struct span scalar_text(const struct json *value, char room[NUMBER_SIZE])
{
    switch (value ? json_kind_of(value) : JSON_KIND_NULL) {
    case JSON_KIND_TEXT:
        return json_text(value).len > 0 ? json_text(value) : SPAN("-");
    case JSON_KIND_NUMBER:
        snprintf(room, NUMBER_SIZE, "%" PRId64, json_number(value));
        return span_of(room);
    case JSON_KIND_BOOL:
        return json_bool(value) ? SPAN("yes") : SPAN("no");
    case JSON_KIND_ARRAY:
    case JSON_KIND_OBJECT:
        return SPAN("...");
    case JSON_KIND_NULL:
    default:
        return SPAN("-");
    }
}

static size_t print_scalar(const struct json *value, FILE *out)
{
    char room[NUMBER_SIZE];

    return print_safe(scalar_text(value, room), out);
}

/* --- rows as a table ------------------------------------------------------------------------- */

struct table {
    const struct json *rows; /* an array of objects */
    size_t row_count;
    const char *keys[COLUMNS_MAX];
    size_t widths[COLUMNS_MAX];
    size_t column_count;
};

/* A server may have a lot to say; `queue show` has all of it. */
static bool is_words(const char *key)
{
    return strcmp(key, "last_reply") == 0;
}

/* The beginning of the first line, and dots for what is left out. */
static size_t print_words(struct span text, FILE *out)
{
    const struct span dots = SPAN("...");
    struct span line = span_first(text, span_find(text, '\n'));

    if (line.len == text.len && print_safe(text, NULL) <= WORDS_MAX)
        return print_safe(text, out);
    return print_first(line, WORDS_MAX - dots.len, out) + print_safe(dots, out);
}

/* Seconds, in the greatest unit that there is one of, as filters take it. */
static size_t print_age(int64_t seconds, FILE *out)
{
    static const struct {
        int64_t seconds;
        char letter;
    } units[] = { { 24 * 3600, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
    char room[NUMBER_SIZE];
    size_t i = 0;

    while (units[i].seconds > 1 && seconds < units[i].seconds)
        i++;
    snprintf(room, sizeof(room), "%" PRId64 "%c", seconds / units[i].seconds, units[i].letter);
    return print_safe(span_of(room), out);
}

static size_t print_cell(const struct table *table, const struct json *row, size_t column,
                         FILE *out)
{
    const struct json *value = json_get(row, table->keys[column]);

    if (is_words(table->keys[column]) && value && json_kind_of(value) == JSON_KIND_TEXT &&
        json_text(value).len > 0)
        return print_words(json_text(value), out);
    if (strcmp(table->keys[column], "age") == 0 && value && json_kind_of(value) == JSON_KIND_NUMBER)
        return print_age(json_number(value), out);
    return print_scalar(value, out);
}

static size_t member_count(const struct json *row)
{
    void *cursor = NULL;
    const char *key;
    size_t count = 0;

    while (json_next(row, &cursor, &key))
        count++;
    return count;
}

/* Of what is damaged little is known: the first that has most to tell says which columns there are.
 */
static const struct json *whole_row(const struct table *table)
{
    const struct json *whole = json_item(table->rows, 0);

    for (size_t i = 1; i < table->row_count; i++) {
        const struct json *row = json_item(table->rows, i);
        if (member_count(row) > member_count(whole))
            whole = row;
    }
    return whole;
}

static void measure(struct table *table)
{
    const struct json *row = whole_row(table);
    void *cursor = NULL;
    const char *key;

    while (table->column_count < COLUMNS_MAX && json_next(row, &cursor, &key)) {
        table->keys[table->column_count] = key;
        table->widths[table->column_count++] = strlen(key);
    }
    for (size_t i = 0; i < table->row_count; i++)
        for (size_t j = 0; j < table->column_count; j++) {
            size_t width = print_cell(table, json_item(table->rows, i), j, NULL);
            if (width > table->widths[j])
                table->widths[j] = width;
        }
}

static void print_head(const struct table *table, FILE *out)
{
    for (size_t j = 0; j < table->column_count; j++) {
        for (const char *c = table->keys[j]; *c; c++)
            fputc(*c == '_' || *c == '-' ? ' ' : *c, out);
        if (j + 1 < table->column_count)
            fprintf(out, "%*s", (int)(table->widths[j] - strlen(table->keys[j]) + 2), "");
    }
    fputc('\n', out);
}

static void print_row(const struct table *table, const struct json *row, FILE *out)
{
    for (size_t j = 0; j < table->column_count; j++) {
        size_t width = print_cell(table, row, j, out);
        if (j + 1 < table->column_count)
            fprintf(out, "%*s", (int)(table->widths[j] - width + 2), "");
    }
    fputc('\n', out);
}

void print_rows(const struct json *rows, bool is_first, FILE *out)
{
    struct table table = { .rows = rows, .row_count = json_count(rows) };

    if (table.row_count == 0)
        return;
    measure(&table);
    if (is_first)
        print_head(&table, out);
    for (size_t i = 0; i < table.row_count; i++)
        print_row(&table, json_item(rows, i), out);
}

/* --- one object as lines --------------------------------------------------------------------- */

static void print_object(const struct json *object, int indent, FILE *out);

static void print_items(const struct json *array, int indent, FILE *out)
{
    for (size_t i = 0; i < json_count(array); i++) {
        const struct json *item = json_item(array, i);
        if (json_kind_of(item) == JSON_KIND_OBJECT) {
            fprintf(out, "%*s-\n", indent, "");
            print_object(item, indent + 2, out);
        } else {
            fprintf(out, "%*s- ", indent, "");
            print_scalar(item, out);
            fputc('\n', out);
        }
    }
}

/* The lines of a server's reply stand below each other. */
static void print_lines(struct span text, int indent, FILE *out)
{
    struct span line;

    while (span_cut(&text, '\n', &line)) {
        fprintf(out, "\n%*s", indent, "");
        print_safe(line, out);
    }
    fputc('\n', out);
}

static bool has_lines(const struct json *value)
{
    return json_kind_of(value) == JSON_KIND_TEXT &&
           span_find(json_text(value), '\n') < json_text(value).len;
}

static void print_member(const char *key, const struct json *value, int indent, FILE *out)
{
    enum json_kind kind = json_kind_of(value);

    fprintf(out, "%*s%s:", indent, "", key);
    if (kind == JSON_KIND_ARRAY || kind == JSON_KIND_OBJECT) {
        fputc('\n', out);
        if (kind == JSON_KIND_ARRAY)
            print_items(value, indent + 2, out);
        else
            print_object(value, indent + 2, out);
        return;
    }
    if (has_lines(value)) {
        print_lines(json_text(value), indent + 2, out);
        return;
    }
    fputc(' ', out);
    print_scalar(value, out);
    fputc('\n', out);
}

static void print_object(const struct json *object, int indent, FILE *out)
{
    void *cursor = NULL;
    const struct json *value;
    const char *key;

    while ((value = json_next(object, &cursor, &key)))
        print_member(key, value, indent, out);
}

void print_one(const struct json *object, FILE *out)
{
    if (json_kind_of(object) == JSON_KIND_OBJECT)
        print_object(object, 0, out);
    else
        print_items(object, 0, out);
}

static bool print_piece(void *ctx, struct span piece)
{
    fwrite(piece.data, 1, piece.len, ctx);
    return true;
}

void print_json(const struct json *value, FILE *out)
{
    ensure(json_write_pieces(value, JSON_INDENTED, print_piece, out));
    fputc('\n', out);
}

void print_trouble(const char *words, FILE *out)
{
    struct span rest = span_of(words);
    struct span line;

    fputs("waxseal: ", out);
    for (bool is_first = true; span_cut(&rest, '\n', &line); is_first = false) {
        fputs(is_first ? "" : "\n", out);
        print_safe(line, out);
    }
    fputc('\n', out);
}

void print_text(const char *before, const struct json *object, const char *key, const char *after,
                FILE *out)
{
    struct span text = json_member_text(object, key);

    if (text.len == 0)
        return;
    fputs(before, out);
    print_safe(text, out);
    fputs(after, out);
}
