#include "tlsrpt/draft.h"

const char *draft_verdict_text(enum draft_verdict verdict)
{
    static const char *const texts[] = {
        [DRAFT_GOES] = "goes",
        [DRAFT_OFF] = "tlsrpt-reports is off",
        [DRAFT_EXCLUDED] = "tlsrpt-exclude names the domain",
        [DRAFT_NOWHERE] = "its TLSRPT record names no place where reports can go",
        [DRAFT_UNSIGNED] = "it wants reports by mail, and no dkim entry signs for tlsrpt-sender",
    };

    return texts[verdict];
}

static void note_fault(struct draft *draft, struct span uri, enum destination_fault fault)
{
    if (fault == DESTINATION_FINE || fault == DESTINATION_REPEATED)
        return;
    if (draft->fault_count == RUA_MAX)
        return;
    draft->faults[draft->fault_count++] = (struct draft_fault){ uri, fault };
}

/* Of a URI that the record's own rules pass over. */
static enum destination_fault why_unusable(struct span uri)
{
    bool is_known = span_starts_with_nocase(uri, SPAN("mailto:")) ||
                    span_starts_with_nocase(uri, SPAN("https:"));

    return is_known ? DESTINATION_SYNTAX : DESTINATION_SCHEME;
}

void draft_read(struct span record, struct draft *out)
{
    struct span uri;
    struct rua rua;

    *out = (struct draft){ .fault_count = 0 };
    rua_parse(&record, 1, &rua);
    while (span_cut(&rua.list, ',', &uri)) {
        uri = span_trim(uri);
        note_fault(out, uri,
                   rua_is_usable(uri) ? destinations_add(&out->to, uri) : why_unusable(uri));
    }
}

bool draft_can_mail(const struct settings *settings)
{
    struct span sender = span_of(settings->tlsrpt_sender);

    return settings_dkim_signs(settings, span_from(sender, span_find(sender, '@') + 1));
}

static bool has_https(const struct destinations *to)
{
    for (unsigned i = 0; i < to->count; i++)
        if (to->items[i].kind == DESTINATION_HTTPS)
            return true;
    return false;
}

enum draft_verdict draft_judge(const struct settings *settings, const struct subject *subject,
                               const struct destinations *to)
{
    if (settings->tlsrpt_reports == SWITCH_OFF)
        return DRAFT_OFF;
    if (domain_list_contains(&settings->tlsrpt_exclude, span_of(subject->domain)))
        return DRAFT_EXCLUDED;
    if (to->count == 0)
        return DRAFT_NOWHERE;
    if (!has_https(to) && !draft_can_mail(settings))
        return DRAFT_UNSIGNED;
    return DRAFT_GOES;
}
