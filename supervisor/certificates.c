#include "supervisor/certificates.h"

#include "lib/base/clock.h"
#include "lib/io/certificate.h"

/* What its dates say, or NULL when they are fine for some time. */
static struct error *judge_dates(const struct certificate_facts *facts, int64_t now_utc_ms,
                                 bool *out_is_fault)
{
    char day[CLOCK_TEXT_SIZE];

    *out_is_fault = true;
    if (now_utc_ms > facts->not_after_utc_ms) {
        clock_format_rfc3339(facts->not_after_utc_ms, day);
        return error_new(ERROR_LOCAL, "expired at %s", day);
    }
    if (now_utc_ms < facts->not_before_utc_ms) {
        clock_format_rfc3339(facts->not_before_utc_ms, day);
        return error_new(ERROR_LOCAL, "is not valid before %s", day);
    }
    *out_is_fault = false;
    if (facts->not_after_utc_ms - now_utc_ms > CERTIFICATE_WARNING_DAYS * DAY_MS)
        return NULL;
    clock_format_rfc3339(facts->not_after_utc_ms, day);
    return error_new(ERROR_LOCAL, "expires at %s; renew it", day);
}

static void complain_of(struct error *err, const char *path, bool is_fault,
                        certificate_complaint_fn *complain, void *ctx)
{
    err = error_wrap(err, "tls-certificate %s", path);
    complain(ctx, is_fault, &err);
}

void certificate_examine(struct span chain_pem, const char *path, struct span hostname,
                         int64_t now_utc_ms, certificate_complaint_fn *complain, void *ctx)
{
    struct certificate_facts facts;
    struct error *err = certificate_read(chain_pem, hostname, &facts);
    bool is_fault = true;
    bool is_read = !err;

    if (is_read)
        err = judge_dates(&facts, now_utc_ms, &is_fault);
    if (err)
        complain_of(err, path, is_fault, complain, ctx);
    if (is_read && !facts.is_in_order)
        complain_of(error_new(ERROR_LOCAL,
                              "a certificate in the chain did not issue the one before "
                              "it; put each in front of its issuer's"),
                    path, false, complain, ctx);
    if (is_read && !facts.names_host && hostname.len > 0) {
        err = error_new(ERROR_LOCAL, "tls-certificate %s does not bear our name, " SPAN_FMT, path,
                        SPAN_ARG(hostname));
        complain(ctx, false, &err);
    }
}
