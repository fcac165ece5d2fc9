#include "lib/base/settings_table.h"

#include "lib/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- saying what is wrong -------------------------------------------------------------------- */

enum { VALUE_TEXT_SIZE = 80, NAME_MAX_SUGGESTED = 40 };

/* A value in a message: harmless and short. */
static void value_format(const struct tree_node *node, char text[VALUE_TEXT_SIZE])
{
    size_t len = 0;

    switch (node->kind) {
    case TREE_TEXT:
        text[len++] = '"';
        for (size_t i = 0; i < node->text.len && len < VALUE_TEXT_SIZE - 2; i++) {
            char c = node->text.data[i];
            text[len++] = c >= ' ' && c <= '~' ? c : '?';
        }
        text[len++] = '"';
        text[len] = '\0';
        break;
    case TREE_NUMBER:
        snprintf(text, VALUE_TEXT_SIZE, "%lld", (long long)node->number);
        break;
    case TREE_GROUP:
        snprintf(text, VALUE_TEXT_SIZE, "a { } group");
        break;
    case TREE_LIST:
        snprintf(text, VALUE_TEXT_SIZE, node->count > 0 ? "this list" : "an empty list");
        break;
    case TREE_OTHER:
    default:
        snprintf(text, VALUE_TEXT_SIZE, "this value");
    }
}

bool setting_refuse(const struct settings_reading *reading, const struct setting *setting,
                    unsigned line, const char *what)
{
    bool ranged = setting->range_text[0] != '\0';

    settings_errors_add(reading->errors, reading->file, line, "%s %s; write %s%s%s", setting->name,
                        what, setting->type->right, ranged ? ": " : "", setting->range_text);
    return false;
}

bool setting_refuse_for(const struct settings_reading *reading, const struct setting *setting,
                        unsigned line, const char *what, const char *right)
{
    settings_errors_add(reading->errors, reading->file, line, "%s %s; write %s", setting->name,
                        what, right);
    return false;
}

bool setting_refuse_value(const struct settings_reading *reading, const struct setting *setting,
                          const struct tree_node *node)
{
    char value[VALUE_TEXT_SIZE];
    char what[VALUE_TEXT_SIZE + 32];

    value_format(node, value);
    snprintf(what, sizeof(what), "cannot be %s", value);
    return setting_refuse(reading, setting, node->line, what);
}

/* --- names ----------------------------------------------------------------------------------- */

static bool same_group(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static const struct setting *find_setting(const char *group, struct span name)
{
    for (size_t i = 0; i < settings_table_count; i++)
        if (same_group(settings_table[i].group, group) &&
            span_equal(span_of(settings_table[i].name), name))
            return &settings_table[i];
    return NULL;
}

static unsigned least_of(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;

    return least < c ? least : c;
}

/* How many letters must be put in, taken out or changed to make one name of the other. */
static unsigned edit_distance(struct span a, struct span b)
{
    unsigned row[NAME_MAX_SUGGESTED + 1];

    for (unsigned j = 0; j <= b.len; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            unsigned above = row[j];
            unsigned changed = ascii_lower(a.data[i - 1]) != ascii_lower(b.data[j - 1]);
            row[j] = least_of(above + 1, row[j - 1] + 1, diagonal + changed);
            diagonal = above;
        }
    }
    return row[b.len];
}

static const struct setting *nearest_setting(const char *group, struct span name)
{
    const struct setting *nearest = NULL;
    unsigned least = (unsigned)name.len / 2 + 1;

    if (name.len > NAME_MAX_SUGGESTED)
        return NULL;
    for (size_t i = 0; i < settings_table_count; i++) {
        unsigned distance;
        if (!same_group(settings_table[i].group, group))
            continue;
        distance = edit_distance(name, span_of(settings_table[i].name));
        if (distance < least) {
            least = distance;
            nearest = &settings_table[i];
        }
    }
    return nearest;
}

/* Is it a member of another group, or a setting of the top (NULL)? */
static bool belongs_elsewhere(const char *group, struct span name, const char **out_other)
{
    static const char *const groups[] = { NULL, "listeners", "routes", "exception", "dkim" };

    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        *out_other = groups[i];
        if (!same_group(groups[i], group) && find_setting(groups[i], name))
            return true;
    }
    return false;
}

static void refuse_name(const struct settings_reading *reading, const char *group,
                        const struct tree_node *node)
{
    struct span name = span_of(node->name);
    const struct setting *nearest = nearest_setting(group, name);
    const char *other;

    if (belongs_elsewhere(group, name, &other))
        settings_errors_add(reading->errors, reading->file, node->line,
                            "%.60s does not belong here; write it %s%s", node->name,
                            other ? "inside an entry of " : "outside of ", other ? other : group);
    else if (nearest)
        settings_errors_add(reading->errors, reading->file, node->line,
                            "there is no setting %.60s; did you mean %s?", node->name,
                            nearest->name);
    else
        settings_errors_add(reading->errors, reading->file, node->line,
                            "there is no setting %.60s; see waxseal.conf(5) for all names",
                            node->name);
}

bool settings_read_group(const struct settings_reading *reading, const char *group,
                         const struct tree_node *node, void *into)
{
    bool fine = true;

    for (size_t i = 0; i < node->count; i++) {
        const struct tree_node *member = &node->children[i];
        const struct setting *setting = find_setting(group, span_of(member->name));
        if (!setting) {
            refuse_name(reading, group, member);
            fine = false;
        } else if (!setting->type->read(reading, setting, member, into)) {
            fine = false;
        }
    }
    return fine;
}

/* --- where a setting stands ------------------------------------------------------------------ */

static const struct tree_node *member_of(const struct tree_node *node, const char *name)
{
    for (size_t i = 0; node && node->kind == TREE_GROUP && i < node->count; i++)
        if (strcmp(node->children[i].name, name) == 0)
            return &node->children[i];
    return NULL;
}

unsigned settings_line_in(const struct tree_node *root, const char *group, unsigned entry,
                          const char *name)
{
    const struct tree_node *node = root;

    if (group) {
        node = member_of(root, group);
        node = node && entry < node->count ? &node->children[entry] : NULL;
    }
    node = member_of(node, name);
    return node ? node->line : 0;
}

/* --- settings that must fit each other ------------------------------------------------------- */

/* The line of the later one of two settings, 1 when neither is written. */
static unsigned line_of_either(const struct tree_node *root, const char *a, const char *b)
{
    unsigned line = 1;

    for (size_t i = 0; i < root->count; i++)
        if (strcmp(root->children[i].name, a) == 0 || strcmp(root->children[i].name, b) == 0)
            line = root->children[i].line;
    return line;
}

/* Is a text written that is not empty?  Asked also when it was refused. */
static bool is_given_text(const struct tree_node *root, const char *name)
{
    const struct tree_node *node = member_of(root, name);

    return node && (node->kind != TREE_TEXT || node->text.len > 0);
}

/* Is this setting at its default, or written in a way that was not refused? */
static bool is_read(const struct tree_node *root, const char *name)
{
    const struct tree_node *node = member_of(root, name);
    const struct setting *setting = find_setting(NULL, span_of(name));
    struct settings_errors errors;
    struct settings *scratch;
    bool fine;

    if (!node)
        return true;
    scratch = settings_new();
    settings_errors_init(&errors);
    fine = setting->type->read(&(struct settings_reading){ "", &errors }, setting, node, scratch);
    settings_errors_clear(&errors);
    settings_free(&scratch);
    return fine;
}

static void check_order(const struct settings_reading *reading, const struct tree_node *root,
                        const char *small_name, uint64_t small, const char *large_name,
                        uint64_t large)
{
    if (small > large && is_read(root, small_name) && is_read(root, large_name))
        settings_errors_add(reading->errors, reading->file,
                            line_of_either(root, small_name, large_name),
                            "%s is more than %s; make it the same or less", small_name, large_name);
}

/* Two that know users might know two of one name. */
static void check_one_judge(const struct settings_reading *reading, const struct tree_node *root,
                            const struct settings *s)
{
    if (s->users_file[0] != '\0' && s->dovecot_socket[0] != '\0')
        settings_errors_add(reading->errors, reading->file,
                            line_of_either(root, "dovecot-socket", "users-file"),
                            "dovecot-socket and users-file are both set; leave one of them out");
}

/* Where nobody can log in, nobody could hand in mail.  Entries count only if none was refused. */
static void check_users(const struct settings_reading *reading, const struct tree_node *root,
                        const struct settings *s)
{
    if (settings_have_users(s) || reading->errors->count > 0)
        return;
    for (unsigned i = 0; i < s->listener_count; i++)
        if (s->listeners[i].auth == LISTENER_AUTH_REQUIRED &&
            s->listeners[i].certificate_users.count == 0)
            settings_errors_add(reading->errors, reading->file,
                                settings_line_in(root, "listeners", i, "auth"),
                                "auth: \"required\" without users-file, so that nobody could log "
                                "in; set users-file or dovecot-socket");
}

/* Domains, and ".x" for all below x, of which a list has one as a whole. */
static bool list_covers(const struct domain_list *list, struct span domains)
{
    const char *item = list->text;

    for (unsigned i = 0; i < list->count; i++, item += strlen(item) + 1)
        if (domain_is_covered(span_of(item), domains) || span_equal_nocase(span_of(item), domains))
            return true;
    return false;
}

/* Does the first route for all mail to such a domain keep it from coming back? */
static bool route_covers(const struct settings *s, struct span domains)
{
    for (unsigned i = 0; i < s->route_count; i++) {
        const struct route_settings *r = &s->routes[i];
        bool for_anybody = r->senders.count + r->listeners.count + r->users.count == 0;
        if (for_anybody && (r->recipients.count == 0 || list_covers(&r->recipients, domains)))
            return r->to != ROUTE_TO_MX;
    }
    return false;
}

static bool routes_cover(const struct settings *s, const struct domain_list *domains)
{
    const char *item = domains->text;

    for (unsigned i = 0; i < domains->count; i++, item += strlen(item) + 1)
        if (!route_covers(s, span_of(item)))
            return false;
    return true;
}

/*
 * The MX of our own domains is ourselves: without a host behind us their mail would come back.
 * Routes count only if none was refused.
 */
static void check_own_domains(const struct settings_reading *reading, const struct tree_node *root,
                              const struct settings *s)
{
    for (unsigned i = 0; i < s->listener_count; i++)
        if (s->listeners[i].relay_to.count > 0 && !is_given_text(root, "relayhost") &&
            is_read(root, "routes") && !routes_cover(s, &s->listeners[i].relay_to))
            settings_errors_add(reading->errors, reading->file,
                                settings_line_in(root, "listeners", i, "relay-to"),
                                "relay-to without relayhost, so that mail for these domains would "
                                "come back to us; set relayhost to the host that takes it, or name "
                                "it in a route for these domains");
}

static bool listens_at(const struct listener_settings *l, const char *socket)
{
    struct endpoint at;

    if (span_starts_with(span_of(socket), SPAN(SETTINGS_UNIX_FORM)))
        return strcmp(l->unix_path, socket + sizeof(SETTINGS_UNIX_FORM) - 1) == 0;
    for (unsigned n = 0; endpoint_parse(span_of(socket), 0, &at) && n < l->address_count; n++)
        if (at.port == l->addresses[n].port &&
            ip_address_equal(&at.address, &l->addresses[n].address))
            return true;
    return false;
}

static bool is_at_default(const char *socketmap)
{
    struct settings *defaults = settings_new();
    bool same;

    settings_defaults(defaults);
    same = strcmp(socketmap, defaults->socketmap) == 0;
    settings_free(&defaults);
    return same;
}

/* Where a listener is it could not be opened; at its default it just stays closed then. */
static void check_socketmap(const struct settings_reading *reading, const struct tree_node *root,
                            const struct settings *s)
{
    const struct tree_node *node = member_of(root, "socketmap");

    if (!node || !is_read(root, "socketmap") || is_at_default(s->socketmap))
        return;
    for (unsigned i = 0; i < s->listener_count; i++)
        if (listens_at(&s->listeners[i], s->socketmap))
            settings_errors_add(reading->errors, reading->file, node->line,
                                "socketmap: a listener has the address %s already; give it "
                                "another one, or \"\" for none",
                                s->socketmap);
}

static struct span domain_of(const char *mailbox)
{
    struct span text = span_of(mailbox);

    return span_from(text, span_find(text, '@') + 1);
}

/* The signature must be that of the reporter, who is told by the contact (RFC 8460 s.3, s.5.3). */
static void check_reporter(const struct settings_reading *reading, const struct tree_node *root,
                           const struct settings *s)
{
    if (s->tlsrpt_sender[0] != '\0' && s->tlsrpt_contact[0] != '\0' &&
        !span_equal_nocase(domain_of(s->tlsrpt_sender), domain_of(s->tlsrpt_contact)))
        settings_errors_add(reading->errors, reading->file,
                            line_of_either(root, "tlsrpt-sender", "tlsrpt-contact"),
                            "tlsrpt-sender and tlsrpt-contact are of two domains; write mailboxes "
                            "of one, for it is the one that reports");
}

static void check_whole(const struct settings_reading *reading, const struct tree_node *root,
                        const struct settings *s)
{
    check_order(reading, root, "retry-first", s->retry_first_s, "retry-max", s->retry_max_s);
    check_order(reading, root, "max-message-size", s->max_message_bytes, "queue-size-max",
                s->queue_bytes_max);
    check_users(reading, root, s);
    check_one_judge(reading, root, s);
    check_own_domains(reading, root, s);
    check_socketmap(reading, root, s);
    check_reporter(reading, root, s);
}

bool settings_parse(struct span text, const char *file, struct settings *out,
                    struct settings_errors *errors)
{
    struct settings_reading reading = { file, errors };
    struct tree *tree = tree_parse(text, file, errors);
    struct settings *s = settings_new();

    settings_group_defaults(NULL, s);
    settings_read_group(&reading, NULL, tree_root(tree), s); /* its errors are counted */
    check_whole(&reading, tree_root(tree), s);
    tree_free(&tree);
    if (errors->count == 0) {
        settings_complete(s);
        settings_copy(out, s);
    }
    settings_free(&s);
    return errors->count == 0;
}
