/*
 * fuzz_postfix_answer - a request on the first line, and behind it the policy of whom it asks for.
 * Whatever both are, the answer is one that Postfix takes apart as it was meant.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/mail/domain.h"
#include "policy/postfix_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Braces come in pairs around one attribute each, and no byte ends a line. */
static void ensure_whole(struct span answer)
{
    unsigned depth = 0;
    for (size_t i = 0; i < answer.len; i++) {
        depth += answer.data[i] == '{';
        ensure(depth <= 1);
        ensure(answer.data[i] != '}' || depth == 1);
        depth -= answer.data[i] == '}';
        ensure((unsigned char)answer.data[i] >= ' ' && answer.data[i] != 0x7f);
    }
    ensure(depth == 0 && answer.len <= SOCKETMAP_REPLY_MAX);
}

static void ensure_answers(const struct postfix_question *question,
                           const struct postfix_facts *facts)
{
    struct buf out;
    buf_init(&out, SOCKETMAP_REPLY_MAX);
    enum postfix_answer_kind kind = postfix_answer(question, facts, &out);
    ensure_whole(buf_span(&out));
    ensure(span_starts_with(buf_span(&out), SPAN("OK ")) == (kind == POSTFIX_ANSWER_FOUND));
    if (facts->policy && facts->policy->mode == STS_ENFORCE)
        ensure(kind != POSTFIX_ANSWER_NOT_FOUND); /* never let go unheld */
    buf_clear(&out);
}

/* The text may be any: a store's bytes are not trusted either. */
static struct sts_policy *policy_of(struct span body)
{
    struct sts_policy *policy = NULL;
    if (sts_policy_parse(body, &policy) == STS_POLICY_FINE)
        return policy;
    ensure(sts_policy_parse(SPAN("version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 1\n"),
                            &policy) == STS_POLICY_FINE);
    free(policy->text);
    policy->text = memory_copy_span(body);
    policy->text_len = body.len;
    return policy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = { (const char *)data, size };
    struct span request = { NULL, 0 };
    struct postfix_question question;
    (void)span_cut(&rest, '\n', &request);
    if (rest.len > STS_POLICY_BYTES_MAX ||
        postfix_question_parse(request, &question) != POSTFIX_ASKS_POLICY)
        return 0;
    ensure(domain_is_host(span_of(question.domain)));
    ensure(question.port > 0 || span_find(request, ':') < request.len); /* a service's name */
    struct sts_policy *policy = policy_of(rest);
    for (unsigned i = 0; i < 24; i++) {
        const struct postfix_facts facts = { .dane = (enum postfix_dane)(i % 4),
                                             .sts_is_known = i % 3 != 0 || i % 2,
                                             .policy = i % 2 ? policy : NULL,
                                             .level = (enum socketmap_dane)(i / 8) };
        ensure_answers(&question, &facts);
    }
    sts_policy_free(&policy);
    return 0;
}
