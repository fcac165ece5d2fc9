#include "tests/support/test.h"

#include "lib/ipc/channel.h"
#include "queue/candidate_words.h"

#include <string.h>

static ProtobufCBinaryData bytes(const char *text)
{
    return bytes_of_span(span_of(text));
}

static void assert_words(const Ipc__Candidate *candidate, const char *words)
{
    char room[CANDIDATE_WORDS_SIZE];
    struct span got = candidate_certificate(candidate, room);

    assert_int_equal(got.len, strlen(words));
    assert_memory_equal(got.data, words, got.len);
}

static Ipc__Candidate candidate_with(const char *verify)
{
    Ipc__Candidate c = IPC__CANDIDATE__INIT;

    c.certificate_subject = bytes("CN=mx");
    c.certificate_names = bytes("mx.example.net b.example.net");
    c.certificate_issuer = bytes("CN=CA");
    c.certificate_expires_utc_ms = 1000;
    c.verify_result = bytes(verify);
    return c;
}

static void certificate_is_told_with_what_is_wrong(void **state)
{
    Ipc__Candidate good = candidate_with("ok");
    Ipc__Candidate bad = candidate_with("X509_V_ERR_CERT_HAS_EXPIRED");

    (void)state;
    assert_words(&good, "subject CN=mx; names mx.example.net b.example.net; issuer CN=CA; "
                        "expires 1970-01-01T00:00:01Z");
    assert_words(&bad, "subject CN=mx; names mx.example.net b.example.net; issuer CN=CA; "
                       "expires 1970-01-01T00:00:01Z; X509_V_ERR_CERT_HAS_EXPIRED");
}

static void words_of_an_older_version_stand_as_they_are(void **state)
{
    Ipc__Candidate old = IPC__CANDIDATE__INIT;
    Ipc__Candidate none = IPC__CANDIDATE__INIT;

    (void)state;
    old.certificate = bytes("subject CN=old");
    assert_words(&old, "subject CN=old");
    assert_words(&none, "");
}

static void what_is_too_long_is_cut(void **state)
{
    char names[2 * CANDIDATE_WORDS_SIZE];
    char room[CANDIDATE_WORDS_SIZE];
    Ipc__Candidate c = candidate_with("ok");

    (void)state;
    memset(names, 'a', sizeof(names) - 1);
    names[sizeof(names) - 1] = '\0';
    c.certificate_names = bytes(names);
    assert_int_equal(candidate_certificate(&c, room).len, CANDIDATE_WORDS_SIZE - 1);
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("a certificate is told with what is wrong with it",
          certificate_is_told_with_what_is_wrong),
        T("the words of an older version stand as they are",
          words_of_an_older_version_stand_as_they_are),
        T("what is too long is cut", what_is_too_long_is_cut),
    };

    return cmocka_run_group_tests_name("candidate_words", tests, NULL, NULL);
}
