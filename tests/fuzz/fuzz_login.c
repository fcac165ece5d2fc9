/* Whatever a next hop answers, a login ends, its lines are lines, and no signature is guessed. */
#include <stdint.h>
#include <string.h>

#include "lib/mail/ehlo.h"
#include "queue/deliver/login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(struct span line)
{
    ensure(line.len < 8192 && span_is_printable(line));
}

/* Each line of the input is a challenge; an empty one is 235. */
static void log_in(unsigned offered, struct span rest)
{
    struct login_identity identity = { SPAN("us,er"), SPAN("pencil") };
    struct login *c = login_new(offered, &identity, SPAN("0123456789abcdef0123456789abcdef"),
                                SPAN("rOprNGfwEbeRWgbNEkqO"));
    enum login_step step = LOGIN_STEP_SAY;
    struct span text;

    ensure(c);
    for (int work = 0; step == LOGIN_STEP_SAY && span_cut(&rest, '\n', &text);) {
        check_line(login_line(c));
        step = text.len == 0 ? login_accepted(c) : login_challenge(c, text);
        while (step == LOGIN_STEP_WORK && work++ < 20)
            step = login_work(c);
    }
    ensure(step != LOGIN_STEP_DONE || offered < EHLO_AUTH_SCRAM);
    ensure(step != LOGIN_STEP_BROKEN || span_is_printable(span_of(login_fault(c))));
    login_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = { (const char *)data, size };

    for (unsigned offered = EHLO_AUTH_PLAIN; offered <= EHLO_AUTH_SCRAM_PLUS; offered *= 2)
        log_in(offered, input);
    return 0;
}
