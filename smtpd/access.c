#include "smtpd/access.h"

#include <stdio.h>
#include <string.h>

#include "lib/mail/header_addresses.h"

/* "postmaster" alone; with our own name as its domain it is the same mailbox. */
static bool is_for_our_postmaster(const struct access_facts *f)
{
    struct span local_part = { f->forward_path->text, f->forward_path->local_len };
    struct span domain = span_of(f->forward_path->domain);

    if (!span_equal_nocase(local_part, SPAN("postmaster")))
        return false;
    return domain.len == 0 || span_equal_nocase(domain, f->hostname);
}

static bool lacks_a_domain(const struct access_facts *f)
{
    return f->forward_path->domain[0] == '\0';
}

static bool has_logged_in(const struct access_facts *f)
{
    return f->user.len > 0;
}

/* Came through a Unix socket, or through the drop folder. */
static bool is_local_user(const struct access_facts *f)
{
    return f->client.family == ADDRESS_LOCAL;
}

/* As relay-certificates names it. */
static bool has_a_certificate(const struct access_facts *f)
{
    return f->has_certificate;
}

/* A proxy stands for clients of anywhere: it relays for nobody, even where its network may. */
static bool is_a_proxy(const struct access_facts *f)
{
    return network_list_contains(&f->listener->proxy_from, &f->client);
}

/* --- what some clients may use, and no more -------------------------------------------------- */

/* The rule that forbids it; NULL: none does. */
static const struct client_rule *forbidding_rule(const struct client_rules *rules, struct span user,
                                                 const struct ip_address *client,
                                                 const struct address *address)
{
    const struct client_rule *rule = rules ? client_rules_find(rules, user, client) : NULL;
    char text[DOMAIN_MAX + ADDRESS_MAX + 2]; /* with its domain as it is looked up */

    if (!rule)
        return NULL;
    snprintf(text, sizeof(text), "%.*s@%s", (int)address->local_len, address->text,
             address->domain);
    return client_rule_allows(rule, span_of(text)) ? NULL : rule;
}

static bool is_forbidden(const struct access_facts *f, bool to_users)
{
    const struct client_rule *rule =
        forbidding_rule(f->recipient_rules, f->user, &f->client, f->forward_path);

    return rule && (rule->user[0] != '\0') == to_users;
}

static bool is_forbidden_to_the_user(const struct access_facts *f)
{
    return is_forbidden(f, true);
}

static bool is_forbidden_to_the_network(const struct access_facts *f)
{
    return is_forbidden(f, false);
}

struct access_judgement access_judge_sender(const struct client_rules *sender_rules,
                                            struct span user, const struct ip_address *client,
                                            const struct address *reverse_path)
{
    static const struct access_judgement fine = { ACCESS_RELAY, "sender" };
    const struct client_rule *rule;

    if (reverse_path->text[0] == '\0')
        return fine;
    rule = forbidding_rule(sender_rules, user, client, reverse_path);
    if (!rule)
        return fine;
    return (struct access_judgement){ ACCESS_DENIED, rule->user[0] != '\0'
                                                         ? "not a sender of this user's"
                                                         : "not a sender of your network's" };
}

struct authors {
    const struct client_rule *rule;
    struct span origin;
    bool are_allowed;
};

static void judge_author(void *ctx, struct span text)
{
    struct authors *authors = ctx;
    char whole[2 * ADDRESS_MAX + 2];

    if (span_find(text, '@') < text.len)
        snprintf(whole, sizeof(whole), SPAN_FMT, SPAN_ARG(text));
    else
        snprintf(whole, sizeof(whole), SPAN_FMT "@" SPAN_FMT, SPAN_ARG(text),
                 SPAN_ARG(authors->origin));
    authors->are_allowed =
        authors->are_allowed && client_rule_allows(authors->rule, span_of(whole));
}

bool access_authors_are_allowed(const struct client_rule *rule, struct span origin,
                                struct span block)
{
    struct authors authors = { rule, origin, true };

    return header_visit_authors(block, judge_author, &authors) && authors.are_allowed;
}

/* --- who may send where ---------------------------------------------------------------------- */

/* Whoever sends it: what cannot be delivered there is not to be taken. */
static bool is_for_our_domain(const struct access_facts *f)
{
    return domain_list_contains(&f->listener->relay_to, span_of(f->forward_path->domain)) &&
           (f->user.len > 0 || !is_a_proxy(f));
}

/* RFC 5321 s.4.5.1: each domain has one, listed or not. */
static bool is_postmaster_of_our_domain(const struct access_facts *f)
{
    struct span local_part = { f->forward_path->text, f->forward_path->local_len };

    return is_for_our_domain(f) && span_equal_nocase(local_part, SPAN("postmaster"));
}

static bool is_in_a_network(const struct access_facts *f)
{
    return network_list_contains(&f->listener->relay_from, &f->client);
}

static bool is_anybody(const struct access_facts *f)
{
    (void)f;
    return true;
}

/* clang-format off */
static const struct access_rule {
    bool (*applies)(const struct access_facts *facts);
    struct access_judgement judgement;
} rules[] = {
    { is_for_our_postmaster, { ACCESS_POSTMASTER, "our postmaster" } },      /* RFC 5321 s.4.5.1 */
    { lacks_a_domain,        { ACCESS_DENIED,     "address without domain" } },
    { is_forbidden_to_the_user,    { ACCESS_DENIED, "not a recipient for this user" } },
    { is_forbidden_to_the_network, { ACCESS_DENIED, "not a recipient for your network" } },
    { is_postmaster_of_our_domain, { ACCESS_RELAY, "postmaster of an own domain" } },
    { is_for_our_domain,     { ACCESS_OWN,        "own domain" } },
    { has_logged_in,         { ACCESS_RELAY,      "user" } },
    { is_local_user,         { ACCESS_RELAY,      "local user" } },
    { has_a_certificate,     { ACCESS_RELAY,      "client certificate" } },
    { is_a_proxy,            { ACCESS_DENIED,     "you are a proxy" } },
    { is_in_a_network,       { ACCESS_RELAY,      "client network" } },
    { is_anybody,            { ACCESS_DENIED,     "you are not in a network that may" } },
};
/* clang-format on */

bool access_is_stranger(const struct access_facts *f)
{
    return !has_logged_in(f) && !is_local_user(f) && !has_a_certificate(f) &&
           (is_a_proxy(f) || !is_in_a_network(f));
}

struct access_judgement access_judge(const struct access_facts *facts)
{
    const struct access_rule *rule = rules;

    while (!rule->applies(facts))
        rule++;
    return rule->judgement;
}
