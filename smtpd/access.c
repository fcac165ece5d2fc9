#include "smtpd/access.h"

static bool in_networks(const struct network_list *networks, const struct ip_address *client)
{
    for (unsigned i = 0; i < networks->count; i++)
        if (network_contains(&networks->items[i], client))
            return true;
    return false;
}

/* "postmaster" alone; with our own name as its domain it is the same mailbox. */
static bool is_our_postmaster(const struct address *path, struct span hostname)
{
    struct span local_part = { path->text, path->local_len };
    struct span domain = span_of(path->domain);

    if (!span_equal_nocase(local_part, SPAN("postmaster")))
        return false;
    return domain.len == 0 || span_equal_nocase(domain, hostname);
}

enum access_verdict access_judge(const struct ip_address *client, bool is_user,
                                 const struct network_list *relay_from, struct span hostname,
                                 const struct address *forward_path)
{
    if (is_our_postmaster(forward_path, hostname))
        return ACCESS_POSTMASTER;
    if (forward_path->domain[0] == '\0')
        return ACCESS_DENIED;
    if (is_user)
        return ACCESS_RELAY;
    return in_networks(relay_from, client) ? ACCESS_RELAY : ACCESS_DENIED;
}
