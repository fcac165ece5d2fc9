#include "smtpd/auth/password.h"

#include <crypt.h>
#include <errno.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/base/saslprep.h"
#include "lib/io/crypto.h"

#include <stdlib.h>

/* crypt(5): what a hash begins with, and how long its last part is. */
static const struct {
    struct span prefix;
    size_t last_len; /* behind the last '$' */
} methods[] = {
    { { "$y$", 3 }, 43 },  /* yescrypt */
    { { "$2b$", 4 }, 53 }, /* bcrypt: salt and hash together */
    { { "$2y$", 4 }, 53 },
    { { "$6$", 3 }, 86 }, /* SHA-512 */
};

static bool is_hash_byte(char c)
{
    return ascii_is_alnum(c) || c == '.' || c == '/' || c == '$' || c == '=' || c == ',';
}

bool password_hash_is_sound(struct span hash)
{
    char text[PASSWORD_HASH_SIZE];
    size_t last = hash.len;

    for (size_t i = 0; i < hash.len; i++)
        if (!is_hash_byte(hash.data[i]))
            return false;
    while (last > 0 && hash.data[last - 1] != '$')
        last--;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (span_starts_with(hash, methods[i].prefix))
            return hash.len - last == methods[i].last_len &&
                   span_to_string(hash, text, sizeof(text)) &&
                   crypt_checksalt(text) == CRYPT_SALT_OK;
    return false;
}

static bool fits_as_it_is(const char *hash, struct span password)
{
    struct crypt_data *room = memory_new(sizeof(*room));
    char phrase[PASSWORD_MAX + 1];
    const char *made = NULL;
    bool fits;

    if (span_to_string(password, phrase, sizeof(phrase)))
        made = crypt_rn(phrase, hash, room, sizeof(*room));
    fits = made && strlen(made) == strlen(hash) && crypto_equal(made, hash, strlen(hash));
    crypto_cleanse(phrase, sizeof(phrase));
    crypto_cleanse(room, sizeof(*room));
    free(room);
    return fits;
}

/* Hashes may be of passwords as they were typed: from others' files, or of before SASLprep. */
bool password_fits(const char *hash, struct span password)
{
    char prepared[PASSWORD_MAX + 1];
    bool fits = saslprep(password, prepared, sizeof(prepared)) &&
                !span_equal(span_of(prepared), password) && fits_as_it_is(hash, span_of(prepared));

    crypto_cleanse(prepared, sizeof(prepared));
    return fits || fits_as_it_is(hash, password);
}

struct error *password_hash_new(struct span password, char out_hash[PASSWORD_HASH_SIZE])
{
    struct crypt_data *room = memory_new(sizeof(*room));
    char salt[CRYPT_GENSALT_OUTPUT_SIZE], phrase[PASSWORD_MAX + 1];
    const char *made = NULL;

    if (span_to_string(password, phrase, sizeof(phrase)) &&
        crypt_gensalt_rn("$y$", 0, NULL, 0, salt, sizeof(salt)))
        made = crypt_rn(phrase, salt, room, sizeof(*room));
    bool fine = made && span_to_string(span_of(made), out_hash, PASSWORD_HASH_SIZE);
    crypto_cleanse(phrase, sizeof(phrase));
    crypto_cleanse(room, sizeof(*room));
    free(room);
    return fine ? NULL : error_errno(ERROR_LOCAL, errno, "hash a password");
}
