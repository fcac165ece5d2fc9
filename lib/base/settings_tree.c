#include "lib/base/settings_tree.h"

#include "lib/base/memory.h"

#include <libconfig.h>
#include <stdlib.h>
#include <string.h>

enum {
    TREE_DEPTH_MAX = 8,       /* settings.h needs 4 */
    TREE_DUPLICATES_MAX = 64, /* that many are named, then the reading ends */
};

struct tree {
    config_t config; /* owns the names and texts */
    struct tree_node root;
    unsigned passed_over[TREE_DUPLICATES_MAX]; /* lines of names given twice */
    unsigned passed_over_count;
};

/* --- what libconfig must not see ------------------------------------------------------------- */

static bool is_include(struct span line)
{
    return span_starts_with(span_trim(line), SPAN("@include"));
}

/* Turns every @include into a comment, wherever it stands, and says so. */
static void refuse_includes(char *text, const char *file, struct settings_errors *errors)
{
    struct span rest = span_of(text);
    struct span line;

    for (unsigned number = 1; span_cut(&rest, '\n', &line); number++) {
        if (!is_include(line))
            continue;
        settings_errors_add(errors, file, number,
                            "@include is not supported; write all settings in this file");
        text[line.data - text + (ptrdiff_t)span_find(line, '@')] = '#';
    }
}

static bool is_name_byte(char c)
{
    return ascii_is_alnum(c) || c == '-' || c == '_' || c == '*';
}

/* The only "name =" or "name :" of a line; false when there is none, or more than one. */
static bool only_name_of(struct span line, struct span *out_name)
{
    size_t found = 0;

    for (size_t at = 0; at < line.len; at++) {
        size_t begin = at;
        while (at < line.len && is_name_byte(line.data[at]))
            at++;
        struct span behind = span_trim(span_from(line, at));
        if (at > begin && behind.len > 0 && (behind.data[0] == '=' || behind.data[0] == ':')) {
            *out_name = (struct span){ line.data + begin, at - begin };
            found++;
        }
    }
    return found == 1;
}

static bool line_of(const char *text, unsigned number, struct span *out_line)
{
    struct span rest = span_of(text);

    *out_line = SPAN("");
    while (number-- > 0)
        if (!span_cut(&rest, '\n', out_line))
            return false;
    return true;
}

/*
 * Says that a setting was given twice, and renames it, "user" to "*ser", so that the rest can be
 * read.  Gives false when it cannot be told which name of the line it is.
 */
static bool pass_over(struct tree *tree, char *text, unsigned number,
                      const struct settings_reading *reading)
{
    struct span line, name;
    size_t at = 0;

    if (!line_of(text, number, &line) || !only_name_of(line, &name) ||
        tree->passed_over_count == TREE_DUPLICATES_MAX) {
        settings_errors_add(reading->errors, reading->file, number,
                            "a setting of this line was given before; give it once");
        return false;
    }
    settings_errors_add(reading->errors, reading->file, number,
                        "%.*s was given before; give it once", SPAN_ARG(span_first(name, 60)));
    while (at < name.len && name.data[at] == '*')
        at++;
    if (at == name.len)
        return false;
    text[name.data - text + (ptrdiff_t)at] = '*';
    tree->passed_over[tree->passed_over_count++] = number;
    return true;
}

/* --- from libconfig's values to ours --------------------------------------------------------- */

static bool was_passed_over(const struct tree *tree, const config_setting_t *setting)
{
    const char *name = config_setting_name(setting);

    if (!name || name[0] != '*')
        return false;
    for (unsigned i = 0; i < tree->passed_over_count; i++)
        if (tree->passed_over[i] == config_setting_source_line(setting))
            return true;
    return false;
}

static enum tree_kind kind_of(const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_STRING:
        return TREE_TEXT;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return TREE_NUMBER;
    case CONFIG_TYPE_GROUP:
        return TREE_GROUP;
    case CONFIG_TYPE_ARRAY:
    case CONFIG_TYPE_LIST:
        return TREE_LIST;
    default:
        return TREE_OTHER;
    }
}

static void node_fill(const struct tree *tree, const config_setting_t *setting, unsigned depth,
                      struct tree_node *node);

static void node_fill_children(const struct tree *tree, const config_setting_t *setting,
                               unsigned depth, struct tree_node *node)
{
    unsigned count = (unsigned)config_setting_length(setting);

    node->children = memory_new_array(count, sizeof(node->children[0]));
    for (unsigned i = 0; i < count; i++) {
        const config_setting_t *child =
            config_setting_get_elem((config_setting_t *)(uintptr_t)setting, i);
        if (!was_passed_over(tree, child))
            node_fill(tree, child, depth + 1, &node->children[node->count++]);
    }
}

static void node_fill(const struct tree *tree, const config_setting_t *setting, unsigned depth,
                      struct tree_node *node)
{
    node->name = config_setting_name(setting);
    node->line = config_setting_source_line(setting);
    node->kind = depth > TREE_DEPTH_MAX ? TREE_OTHER : kind_of(setting);
    if (node->kind == TREE_TEXT)
        node->text = span_of(config_setting_get_string(setting));
    else if (node->kind == TREE_NUMBER)
        node->number = config_setting_get_int64(setting);
    else if (node->kind == TREE_GROUP || node->kind == TREE_LIST)
        node_fill_children(tree, setting, depth, node);
}

static void node_clear(struct tree_node *node)
{
    for (size_t i = 0; i < node->count; i++)
        node_clear(&node->children[i]);
    free(node->children);
}

/* --- reading --------------------------------------------------------------------------------- */

static bool is_duplicate(const config_t *config)
{
    return strcmp(config_error_text(config), "duplicate setting name") == 0;
}

static void refuse_syntax(const config_t *config, const struct settings_reading *reading)
{
    settings_errors_add(reading->errors, reading->file, (unsigned)config_error_line(config),
                        "%s; write settings as: name = value;  texts in \"\", lists in [ ]",
                        config_error_text(config));
}

static void read_text(struct tree *tree, char *text, const struct settings_reading *reading)
{
    while (config_read_string(&tree->config, text) != CONFIG_TRUE) {
        unsigned line = (unsigned)config_error_line(&tree->config);
        if (!is_duplicate(&tree->config)) {
            refuse_syntax(&tree->config, reading);
            return;
        }
        if (!pass_over(tree, text, line, reading))
            return;
        config_destroy(&tree->config);
        config_init(&tree->config);
    }
}

struct tree *tree_parse(struct span text, const char *file, struct settings_errors *errors)
{
    const struct settings_reading reading = { file, errors };
    struct tree *tree = memory_new(sizeof(*tree));
    char *copy = memory_copy_span(text);

    config_init(&tree->config);
    if (span_find(text, '\0') < text.len) {
        settings_errors_add(errors, file, 1, "there is a zero byte in this text; is it a text?");
    } else {
        refuse_includes(copy, file, errors);
        read_text(tree, copy, &reading);
    }
    node_fill(tree, config_root_setting(&tree->config), 0, &tree->root);
    free(copy);
    return tree;
}

void tree_free(struct tree **tree)
{
    if (!*tree)
        return;
    node_clear(&(*tree)->root);
    config_destroy(&(*tree)->config);
    free(*tree);
    *tree = NULL;
}

const struct tree_node *tree_root(const struct tree *tree)
{
    return &tree->root;
}
