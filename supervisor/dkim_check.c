/* dkim_check - waxseal dkim check: each key of the configuration against what DNS has of it. */
#include "supervisor/commands.h"

#include "lib/base/json.h"
#include "lib/base/memory.h"
#include "lib/io/signing_key.h"
#include "lib/mail/dkim_published.h"
#include "lib/mail/dkim_record.h"
#include "lib/mail/domain.h"
#include "supervisor/asking.h"
#include "supervisor/dkim_keys.h"
#include "supervisor/dkim_lookups.h"
#include "supervisor/print.h"
#include "supervisor/watched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECKS_MAX = 1024 }; /* names in DNS; an entry may have many senders */

/* A key, and a domain as which it signs. */
struct check {
    const struct dkim_settings *entry;
    char name[DKIM_NAME_SIZE];
    unsigned char key[DKIM_KEY_MAX];
    size_t key_len; /* 0: its file cannot be used */
    enum dkim_algorithm algorithm;
    bool wants_record; /* our record mends what is wrong */
    bool is_wrong;     /* or not known */
    struct json *row;  /* lent; what is found goes there */
};

struct checks {
    struct check items[CHECKS_MAX];
    unsigned count;
    bool has_more; /* beyond CHECKS_MAX */
    struct json *rows;
    unsigned any; /* entries that sign as whatever domain mail is from */
};

/* --- findings -------------------------------------------------------------------------------- */

static const char *const severities[] = {
    [DKIM_WARNING] = "warning",
    [DKIM_UNKNOWN] = "unknown",
    [DKIM_WRONG] = "wrong",
};

/* The row tells the worst. */
static void set_verdict(struct check *c, enum dkim_severity severity)
{
    if (c->is_wrong || (severity == DKIM_WARNING && json_member_is(c->row, "verdict", "warning")))
        return;
    c->is_wrong = severity != DKIM_WARNING;
    json_add_string(c->row, "verdict", severities[severity]);
}

static void on_finding(void *ctx, const struct dkim_finding *finding, struct span detail)
{
    struct check *c = ctx;
    struct json *o = json_append_object(json_get(c->row, "findings"));

    json_add_string(o, "severity", severities[finding->severity]);
    json_add_string(o, "what", finding->word);
    json_add_string(o, "text", finding->text);
    json_add_text(o, "detail", detail);
    json_add_string(o, "remedy", finding->remedy);
    c->wants_record = c->wants_record || finding->wants_record;
    set_verdict(c, finding->severity);
}

/* --- the key's file -------------------------------------------------------------------------- */

static void tell_of_file(struct check *c, const struct dkim_finding *finding, struct error **taken)
{
    if (*taken)
        on_finding(c, finding, span_of(error_text(*taken)));
    error_free(taken);
}

static void take_public(struct check *c, const struct signing_key *key)
{
    struct span bytes = { (const char *)c->key, 0 };
    struct buf record;

    c->algorithm = signing_key_algorithm(key);
    c->key_len = signing_key_public(key, c->key);
    bytes.len = c->key_len;
    buf_init(&record, DKIM_RECORD_MAX);
    ensure(dkim_record_write(c->algorithm, bytes, &record));
    json_add_string(c->row, "algorithm", dkim_key_name(c->algorithm));
    json_add_number(c->row, "bits", signing_key_bits(key));
    json_add_text(c->row, "record", buf_span(&record));
    buf_clear(&record);
}

static void read_key(struct check *c)
{
    static const struct dkim_finding unusable = {
        DKIM_WRONG, false, "unusable-key", "The key cannot be used:",
        "Mend the file or its rights, or make another one with waxseal dkim new."
    };
    static const struct dkim_finding unusual = { DKIM_WARNING, false, "unusual-key",
                                                 "The key is not as it should be:",
                                                 "Make another one with waxseal dkim new." };
    struct watched *file = NULL;
    struct signing_key *key = NULL;
    struct error *err = watched_open(CONTENT_DKIM_KEY, 0, c->entry->key, &file);

    if (!err)
        err = dkim_key_check(c->entry, watched_content(file));
    if (!err)
        err = signing_key_load(watched_content(file), true, &key);
    tell_of_file(c, &unusable, &err);
    if (key) {
        take_public(c, key);
        err = dkim_key_examine(c->entry, watched_content(file));
        tell_of_file(c, &unusual, &err);
    }
    signing_key_free(&key);
    watched_free(&file);
}

/* --- which keys, and as whom ----------------------------------------------------------------- */

static bool is_there(const struct checks *all, const struct dkim_settings *entry, const char *name)
{
    for (unsigned i = 0; i < all->count; i++)
        if (all->items[i].entry == entry && strcmp(all->items[i].name, name) == 0)
            return true;
    return false;
}

static void add(struct checks *all, const struct dkim_settings *entry, const char *domain)
{
    char name[DKIM_NAME_SIZE];
    struct check *c;

    if (!dkim_record_name(span_of(entry->selector), span_of(domain), name) ||
        is_there(all, entry, name))
        return;
    all->has_more = all->count == CHECKS_MAX;
    if (all->has_more)
        return;
    c = &all->items[all->count++];
    c->entry = entry;
    memcpy(c->name, name, sizeof(name));
    c->row = json_append_object(all->rows);
    json_add_string(c->row, "name", name);
    json_add_string(c->row, "domain", domain);
    json_add_string(c->row, "selector", entry->selector);
    json_add_string(c->row, "key", entry->key);
    json_add_string(c->row, "verdict", "fine");
    json_add_array(c->row, "findings");
    read_key(c);
}

/* As whom does it sign?  Where only mail itself tells, it is counted. */
static void add_senders(struct checks *all, const struct dkim_settings *entry)
{
    bool is_any = false;

    if (entry->domain[0] != '\0') {
        add(all, entry, entry->domain);
        return;
    }
    for (unsigned i = 0; i < entry->senders.count; i++) {
        const char *sender = name_list_item(&entry->senders, i);
        if (sender[0] == '.' || sender[0] == '*')
            is_any = true;
        else
            add(all, entry, sender);
    }
    all->any += is_any;
}

static struct error *find_checks(const struct invocation *i, const struct settings *s,
                                 struct checks *all)
{
    char domain[DOMAIN_MAX + 1];
    const struct dkim_settings *entry;
    unsigned at = 0;

    if (!i->operand) {
        for (; at < s->dkim_count; at++)
            add_senders(all, &s->dkim[at]);
        return s->dkim_count > 0 ? NULL
                                 : error_new(ERROR_LOCAL,
                                             "%s has no entry in dkim: mail is not "
                                             "signed; make a key with waxseal dkim new",
                                             i->config);
    }
    if (!domain_normalize(span_of(i->operand), domain))
        return error_new(ERROR_LOCAL, "that is no domain");
    while (settings_dkim_next(s, span_of(domain), &at, &entry))
        add(all, entry, entry->domain[0] != '\0' ? entry->domain : domain);
    return all->count > 0 ? NULL
                          : error_new(ERROR_LOCAL,
                                      "no entry in dkim of %s signs mail from %s; make a key with "
                                      "waxseal dkim new %s",
                                      i->config, domain, domain);
}

/* --- DNS ------------------------------------------------------------------------------------- */

static const char *name_of(void *ctx, unsigned n)
{
    const struct check *c = &((struct checks *)ctx)->items[n];

    return c->key_len > 0 ? c->name : NULL;
}

static void on_answer(void *ctx, unsigned n, const struct dns_answer *answer)
{
    struct check *c = &((struct checks *)ctx)->items[n];
    const struct dkim_public ours = { c->algorithm, { (const char *)c->key, c->key_len } };

    dkim_published_judge(answer, &ours, on_finding, c);
}

static struct error *look_up(const struct settings *s, struct checks *all)
{
    const struct dkim_questions questions = { all->count, name_of, on_answer, all };

    return dkim_lookups_run(s, &questions);
}

/* --- what is shown --------------------------------------------------------------------------- */

static void print_finding(const struct json *finding)
{
    fputs("    ", stdout);
    print_safe(json_text(json_get(finding, "text")), stdout);
    if (json_text(json_get(finding, "detail")).len > 0)
        print_text(" ", finding, "detail", "", stdout);
    print_text("\n    ", finding, "remedy", "\n", stdout);
}

static void print_record(const struct check *c)
{
    struct buf zone;

    buf_init(&zone, DKIM_ZONE_LINE_MAX);
    ensure(dkim_record_zone(c->name, json_text(json_get(c->row, "record")), &zone));
    print_text("    Whoever keeps the DNS of ", c->row, "domain", " does that. Our record:\n\n",
               stdout);
    printf(SPAN_FMT "\n", SPAN_ARG(buf_span(&zone)));
    buf_clear(&zone);
}

static void print_check(const struct check *c)
{
    const struct json *list = json_get(c->row, "findings");

    print_text("", c->row, "name", ": ", stdout);
    print_text("", c->row, "verdict", "\n", stdout);
    if (c->key_len > 0)
        printf("    %s of %u bits, ", c->algorithm == DKIM_RSA_SHA256 ? "RSA" : "Ed25519",
               (unsigned)json_number(json_get(c->row, "bits")));
    else
        fputs("    ", stdout);
    print_text("", c->row, "key", "\n", stdout);
    for (size_t n = 0; n < json_count(list); n++)
        print_finding(json_item(list, n));
    if (c->wants_record)
        print_record(c);
}

static void print_checks(const struct invocation *i, const struct checks *all)
{
    if (i->json) {
        print_json(all->rows, stdout);
        return;
    }
    for (unsigned n = 0; n < all->count; n++)
        print_check(&all->items[n]);
    if (all->any > 0)
        printf("%u of the entries in dkim sign%s as the domain that mail is from; name one to "
               "check it:\n    waxseal dkim check DOMAIN\n",
               all->any, all->any == 1 ? "s" : "");
    if (all->has_more)
        printf("There are more than %d names; the rest was not checked.\n", CHECKS_MAX);
}

static bool all_well(const struct checks *all)
{
    for (unsigned n = 0; n < all->count; n++)
        if (all->items[n].is_wrong)
            return false;
    return all->count > 0;
}

static int check_all(const struct invocation *i, const struct settings *s, struct checks *all)
{
    struct error *err = find_checks(i, s, all);
    int status;

    if (!err)
        err = look_up(s, all);
    if (err)
        return asking_tell(err);
    print_checks(i, all);
    status = asking_tell(NULL);
    return status == EXIT_DONE && !all_well(all) ? EXIT_FAILED : status;
}

int dkim_run_check(const struct invocation *i)
{
    struct settings *s = settings_new();
    struct checks *all = memory_new(sizeof(*all));
    struct settings_errors errors;
    int status = EXIT_FAILED;

    settings_errors_init(&errors);
    all->rows = json_new_array();
    if (settings_load(i->config, s, &errors))
        status = check_all(i, s, all);
    else
        fprintf(stderr, SPAN_FMT, SPAN_ARG(buf_span(&errors.text)));
    json_free(&all->rows);
    free(all);
    settings_errors_clear(&errors);
    settings_free(&s);
    return status;
}
