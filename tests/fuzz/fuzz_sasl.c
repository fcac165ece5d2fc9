/* Whatever a client responds, each exchange ends, and no proof without the key is ever taken. */
#include <stdint.h>
#include <string.h>

#include "lib/base/base64.h"
#include "smtpd/auth/sasl.h"
#include "smtpd/auth/users.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void exchange(enum auth_mechanism mechanism, struct span rest)
{
    static const struct scram_bindings bindings = { .exporter_len = 32, .end_point_len = 32 };
    static const struct scram_keys keys = { .iterations = 4096, .salt = "salt", .salt_len = 4 };
    struct sasl *sasl = sasl_new(mechanism, &bindings);
    struct span response;
    enum sasl_result result = sasl_begin(sasl, NULL);

    while (result == SASL_CHALLENGE && span_cut(&rest, '\n', &response)) {
        result = sasl_respond(sasl, response);
        if (result == SASL_KEYS)
            result = sasl_give_keys(sasl, &keys, SPAN("nonce"));
    }
    ensure(result != SASL_PROVEN);
    ensure(result != SASL_PASSWORD || (sasl_user(sasl)[0] != '\0' && sasl_password(sasl).len > 0));
    sasl_free(&sasl);
}

static void base64_comes_back(struct span input)
{
    struct buf bytes, text;

    buf_init(&bytes, 1 << 20);
    buf_init(&text, 1 << 20);
    if (base64_decode(input, &bytes)) {
        ensure(base64_encode(buf_span(&bytes), &text));
        ensure(span_equal(buf_span(&text), input));
    }
    buf_clear(&bytes);
    buf_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = { (const char *)data, size };
    struct settings_errors errors;
    struct users *users = NULL;

    for (int mechanism = 0; mechanism < AUTH_MECHANISM_COUNT; mechanism++)
        exchange((enum auth_mechanism)mechanism, input);
    base64_comes_back(input);
    settings_errors_init(&errors);
    users_parse(input, "users", &errors, &users);
    users_free(&users);
    settings_errors_clear(&errors);
    return 0;
}
