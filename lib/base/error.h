/*
 * error - what went wrong, as a chain of sentences from the outside in, and of what kind it is.
 * Whatever can fail returns a struct error *, NULL for success.  The caller owns it: it wraps it,
 * or acts on it and frees it.
 */
#ifndef WAXSEAL_BASE_ERROR_H
#define WAXSEAL_BASE_ERROR_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

/* The answer to a relay's question: what is to be done about it? */
enum error_kind {
    ERROR_TRANSIENT, /* try again later */
    ERROR_PERMANENT, /* refused for good */
    ERROR_LOCAL,     /* our own trouble: keep the mail, blame nobody */
};

struct error;

/* Begins a chain.  Never gives NULL: without memory the process ends (design.md section 2). */
struct error *error_new(enum error_kind kind, const char *format, ...) PRINTF_LIKE(2, 3) MUST_CHECK;

/* Begins a chain with the system's words for `errnum` behind ours: "open x: No such file". */
struct error *error_errno(enum error_kind kind, int errnum, const char *format, ...)
    PRINTF_LIKE(3, 4) MUST_CHECK;

/* Lengthens a chain in front: "what we were doing: cause".  Takes `cause`, keeps its kind. */
struct error *error_wrap(struct error *cause, const char *format, ...) PRINTF_LIKE(2, 3) MUST_CHECK;

enum error_kind error_kind(const struct error *err);

/* The whole chain in one line; lent, lives as long as `err`. */
const char *error_text(const struct error *err);

/* Frees *err and sets it to NULL; accepts NULL inside. */
void error_free(struct error **err);

/* For our own bugs: says where, and ends the process.  The supervisor starts the role anew. */
#define ensure(fact) ((fact) ? (void)0 : ensure_failed(#fact, __FILE__, __LINE__))
void ensure_failed(const char *fact, const char *file, int line) __attribute__((noreturn));

#endif
