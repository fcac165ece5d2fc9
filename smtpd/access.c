#include "smtpd/access.h"

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

struct access_judgement access_judge(const struct access_facts *facts)
{
    const struct access_rule *rule = rules;

    while (!rule->applies(facts))
        rule++;
    return rule->judgement;
}
