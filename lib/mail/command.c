#include "lib/mail/command.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/base/utf8.h"
#include "lib/mail/domain.h"
#include "lib/mail/dsn.h"

static const struct command_refusal refusals[COMMAND_FAULT_COUNT] = {
    [COMMAND_BAD_BYTES] = { 500, "5.5.2", "NUL, bare CR or bare LF in a command" },
    [COMMAND_SYNTAX] = { 501, "5.5.4", "Syntax error in the argument" },
    [COMMAND_BAD_REVERSE_PATH] = { 501, "5.1.7", "Not a valid reverse-path" },
    [COMMAND_BAD_FORWARD_PATH] = { 501, "5.1.3", "Not a valid forward-path" },
    [COMMAND_NON_ASCII_REVERSE] = { 550, "5.6.7", "Non-ASCII address needs SMTPUTF8" },
    [COMMAND_NON_ASCII_FORWARD] = { 553, "5.6.7", "Non-ASCII address needs SMTPUTF8" },
    [COMMAND_PARAMETER_SYNTAX] = { 501, "5.5.4", "Syntax error in a parameter" },
    [COMMAND_PARAMETER_TWICE] = { 501, "5.5.4", "Parameter given twice" },
    [COMMAND_PARAMETER_UNKNOWN] = { 555, "5.5.4", "Parameter not recognized or not implemented" },
};

static const struct {
    struct span name;
    enum command_verb verb;
} verbs[] = {
    { { "EHLO", 4 }, VERB_EHLO },       { { "HELO", 4 }, VERB_HELO },
    { { "MAIL", 4 }, VERB_MAIL },       { { "RCPT", 4 }, VERB_RCPT },
    { { "DATA", 4 }, VERB_DATA },       { { "BDAT", 4 }, VERB_BDAT },
    { { "RSET", 4 }, VERB_RSET },       { { "NOOP", 4 }, VERB_NOOP },
    { { "QUIT", 4 }, VERB_QUIT },       { { "VRFY", 4 }, VERB_VRFY },
    { { "EXPN", 4 }, VERB_EXPN },       { { "HELP", 4 }, VERB_HELP },
    { { "AUTH", 4 }, VERB_AUTH },       { { "STARTTLS", 8 }, VERB_STARTTLS },
    { { "XCLIENT", 7 }, VERB_XCLIENT }, { { "SEND", 4 }, VERB_OBSOLETE },
    { { "SOML", 4 }, VERB_OBSOLETE },   { { "SAML", 4 }, VERB_OBSOLETE },
    { { "TURN", 4 }, VERB_OBSOLETE },   { { "ETRN", 4 }, VERB_OBSOLETE },
    { { "GET", 3 }, VERB_HTTP },        { { "POST", 4 }, VERB_HTTP },
    { { "HEAD", 4 }, VERB_HTTP },       { { "PUT", 3 }, VERB_HTTP },
    { { "OPTIONS", 7 }, VERB_HTTP },    { { "CONNECT", 7 }, VERB_HTTP },
};

const struct command_refusal *command_refusal(enum command_fault fault)
{
    ensure(fault > COMMAND_FINE && fault < COMMAND_FAULT_COUNT);
    return &refusals[fault];
}

static enum command_verb verb_of(struct span word)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (span_equal_nocase(word, verbs[i].name))
            return verbs[i].verb;
    return VERB_UNKNOWN;
}

static struct span without_blanks_at_end(struct span s)
{
    while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
        s.len--;
    return s;
}

enum command_fault command_parse(struct span line, struct command *out)
{
    size_t blank;

    *out = (struct command){ .verb = VERB_UNKNOWN };
    if (span_find(line, '\0') < line.len || span_find(line, '\r') < line.len ||
        span_find(line, '\n') < line.len)
        return COMMAND_BAD_BYTES;
    line = without_blanks_at_end(line);
    blank = span_find(line, ' ');
    out->verb = verb_of(span_first(line, blank));
    out->argument = span_from(line, blank + 1);
    out->has_argument = out->argument.len > 0;
    return COMMAND_FINE;
}

/* Bytes before the '>' that ends a path; one in a quoted local-part ends nothing. */
static size_t path_length(struct span text)
{
    bool quoted = false;

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"')
            quoted = !quoted;
        else if (quoted && text.data[i] == '\\')
            i++;
        else if (!quoted && text.data[i] == '>')
            return i;
    }
    return text.len;
}

struct span command_without_blanks(struct span argument, char room[SMTP_COMMAND_MAX])
{
    struct span keyword = span_first(argument, span_find(argument, ':') + 1);
    struct span rest = span_trim(span_from(argument, keyword.len));

    if (argument.len > SMTP_COMMAND_MAX || rest.len == 0 || rest.data[0] != '<')
        return argument;
    memcpy(room, keyword.data, keyword.len);
    memcpy(room + keyword.len, rest.data, rest.len);
    return (struct span){ room, keyword.len + rest.len };
}

/* "FROM:<path>" or "TO:<path>", then the end or a blank and parameters. */
static bool cut_path(struct span argument, struct span keyword, struct span *out_path,
                     struct span *out_parameters)
{
    struct span rest;
    size_t end;

    if (!span_starts_with_nocase(argument, keyword))
        return false;
    rest = span_from(argument, keyword.len);
    end = path_length(rest);
    if (end == rest.len)
        return false;
    *out_path = span_first(rest, end);
    rest = span_from(rest, end + 1);
    if (rest.len > 0 && rest.data[0] != ' ')
        return false;
    *out_parameters = span_trim(rest);
    return true;
}

/* RFC 5321 s.4.1.2: esmtp-keyword */
static bool is_keyword(struct span s)
{
    if (s.len == 0 || s.data[0] == '-')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!ascii_is_alnum(s.data[i]) && s.data[i] != '-')
            return false;
    return true;
}

/*
 * RFC 5321 s.4.1.2: esmtp-value; RFC 6531 s.3.3 adds UTF-8.  A "=" in it is tolerated, as AUTH= and
 * others have one.
 */
static bool is_value(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.data[i] <= ' ' || s.data[i] == 0x7f)
            return false;
    return s.len > 0 && utf8_is_valid(s);
}

struct parameter {
    struct span keyword;
    struct span value; /* data NULL: no "=" */
};

/* Cuts the next parameter off; blanks between them may be many. */
static bool cut_parameter(struct span *rest, struct parameter *out, enum command_fault *fault)
{
    struct span word;
    size_t equals;

    *rest = span_trim(*rest);
    if (rest->len == 0)
        return false;
    word = span_first(*rest, span_find(*rest, ' '));
    *rest = span_from(*rest, word.len);
    equals = span_find(word, '=');
    *out = (struct parameter){ .keyword = span_first(word, equals) };
    if (equals < word.len)
        out->value = span_from(word, equals + 1);
    if (!is_keyword(out->keyword) || (out->value.data && !is_value(out->value)))
        *fault = COMMAND_PARAMETER_SYNTAX;
    return *fault == COMMAND_FINE;
}

/* RFC 6710 s.3: one digit, perhaps with a minus; there is no "-0". */
static enum command_fault take_priority(struct span value, struct mail_command *out)
{
    bool is_low = value.len == 2 && value.data[0] == '-' && value.data[1] != '0';
    struct span digit = span_from(value, is_low);

    if (out->priority_given)
        return COMMAND_PARAMETER_TWICE;
    if (digit.len != 1 || !ascii_is_digit(digit.data[0]))
        return COMMAND_PARAMETER_SYNTAX;
    out->priority_given = true;
    out->priority = is_low ? '0' - digit.data[0] : digit.data[0] - '0';
    return COMMAND_FINE;
}

/* RFC 1870 s.3: 1 to 20 digits.  More than we can count is more than we can take. */
static enum command_fault take_size(struct span value, struct mail_command *out)
{
    if (out->size_given)
        return COMMAND_PARAMETER_TWICE;
    if (value.len == 0 || value.len > 20)
        return COMMAND_PARAMETER_SYNTAX;
    for (size_t i = 0; i < value.len; i++)
        if (!ascii_is_digit(value.data[i]))
            return COMMAND_PARAMETER_SYNTAX;
    if (!span_to_number(value, UINT64_MAX, &out->size))
        out->size = UINT64_MAX;
    out->size_given = true;
    return COMMAND_FINE;
}

/* RFC 6152 s.2 */
static enum command_fault take_body(struct span value, struct mail_command *out)
{
    if (out->body_given)
        return COMMAND_PARAMETER_TWICE;
    if (span_equal_nocase(value, SPAN("8BITMIME")))
        out->body = BODY_8BITMIME;
    else if (!span_equal_nocase(value, SPAN("7BIT")))
        return COMMAND_PARAMETER_SYNTAX;
    out->body_given = true;
    return COMMAND_FINE;
}

/* The fault of a parameter that may be given once: is it there already, is it well-formed? */
static enum command_fault once(bool is_given, bool is_fine)
{
    if (is_given)
        return COMMAND_PARAMETER_TWICE;
    return is_fine ? COMMAND_FINE : COMMAND_PARAMETER_SYNTAX;
}

static bool is_hex(char c)
{
    return ascii_is_digit(c) || (c >= 'A' && c <= 'F');
}

/* RFC 4954 s.5: "<>", or a mailbox as xtext (RFC 3461 s.4). */
static enum command_fault take_auth(struct span value, struct mail_command *out)
{
    if (out->auth_given)
        return COMMAND_PARAMETER_TWICE;
    out->auth_given = true;
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] == '=' ||
            (value.data[i] == '+' &&
             (i + 2 >= value.len || !is_hex(value.data[i + 1]) || !is_hex(value.data[i + 2]))))
            return COMMAND_PARAMETER_SYNTAX;
    return value.len > 0 ? COMMAND_FINE : COMMAND_PARAMETER_SYNTAX;
}

/* RFC 6531 s.3.4, RFC 8689 s.2: these take no value. */
static enum command_fault take_flag(const struct parameter *parameter, bool *flag)
{
    enum command_fault fault = once(*flag, parameter->value.data == NULL);

    *flag = true;
    return fault;
}

static enum command_fault take_mail_parameter(const struct parameter *parameter,
                                              struct mail_command *out)
{
    if (span_equal_nocase(parameter->keyword, SPAN("SIZE")))
        return take_size(parameter->value, out);
    if (span_equal_nocase(parameter->keyword, SPAN("BODY")))
        return take_body(parameter->value, out);
    if (span_equal_nocase(parameter->keyword, SPAN("AUTH")))
        return take_auth(parameter->value, out);
    if (span_equal_nocase(parameter->keyword, SPAN("SMTPUTF8")))
        return take_flag(parameter, &out->smtputf8);
    if (span_equal_nocase(parameter->keyword, SPAN("REQUIRETLS")))
        return take_flag(parameter, &out->requiretls);
    if (span_equal_nocase(parameter->keyword, SPAN("MT-PRIORITY")))
        return take_priority(parameter->value, out);
    if (span_equal_nocase(parameter->keyword, SPAN("RET"))) {
        bool is_given = out->dsn.ret_full || out->dsn.ret_headers;
        return once(is_given, dsn_parse_ret(parameter->value, &out->dsn));
    }
    if (span_equal_nocase(parameter->keyword, SPAN("ENVID"))) {
        bool is_given = out->dsn.envid[0] != '\0';
        return once(is_given, dsn_parse_envid(parameter->value, &out->dsn));
    }
    return COMMAND_PARAMETER_UNKNOWN;
}

static enum command_fault take_rcpt_parameter(const struct parameter *parameter,
                                              struct rcpt_command *out)
{
    bool is_given;

    if (span_equal_nocase(parameter->keyword, SPAN("NOTIFY"))) {
        is_given = out->notify != 0;
        return once(is_given, dsn_parse_notify(parameter->value, &out->notify));
    }
    if (span_equal_nocase(parameter->keyword, SPAN("ORCPT"))) {
        is_given = out->orcpt[0] != '\0';
        return once(is_given, dsn_parse_orcpt(parameter->value, out->orcpt));
    }
    return COMMAND_PARAMETER_UNKNOWN;
}

/* What is not ASCII wants SMTPUTF8 to have been said (RFC 6531 s.3.2, s.3.5). */
static enum command_fault check_ascii(const struct address *path, enum command_fault non_ascii,
                                      struct span parameters)
{
    if (!address_is_ascii(path))
        return non_ascii;
    return span_is_ascii(parameters) ? COMMAND_FINE : COMMAND_PARAMETER_SYNTAX;
}

typedef enum address_fault parse_path_fn(struct span text, struct address *out);

/* A path that is none, but one with "@" and the origin behind it, was a bare name. */
static enum address_fault parse_path(parse_path_fn *parse, struct span path, const char *origin,
                                     struct address *out)
{
    char text[PATH_MAX_OCTETS + SMTP_COMMAND_MAX];
    enum address_fault fault = parse(path, out);

    if (fault != ADDRESS_SYNTAX || !origin || path.len > SMTP_COMMAND_MAX)
        return fault;
    int len = snprintf(text, sizeof(text), SPAN_FMT "@%s", SPAN_ARG(path), origin);
    struct span whole = { text, (size_t)len };
    return parse(whole, out) == ADDRESS_FINE ? ADDRESS_FINE : fault;
}

enum command_fault command_parse_mail(struct span argument, const char *origin,
                                      struct mail_command *out)
{
    enum command_fault fault = COMMAND_FINE;
    struct parameter parameter;
    struct span path, rest, parameters;

    *out = (struct mail_command){ .body = BODY_7BIT };
    if (!cut_path(argument, SPAN("FROM:<"), &path, &rest))
        return COMMAND_SYNTAX;
    if (parse_path(address_parse_reverse, path, origin, &out->reverse_path) != ADDRESS_FINE)
        return COMMAND_BAD_REVERSE_PATH;
    parameters = rest;
    while (fault == COMMAND_FINE && cut_parameter(&rest, &parameter, &fault)) {
        out->parameters++;
        fault = take_mail_parameter(&parameter, out);
    }
    if (fault || out->smtputf8)
        return fault;
    return check_ascii(&out->reverse_path, COMMAND_NON_ASCII_REVERSE, parameters);
}

enum command_fault command_parse_rcpt(struct span argument, bool smtputf8, const char *origin,
                                      struct rcpt_command *out)
{
    enum command_fault fault = COMMAND_FINE;
    struct parameter parameter;
    struct span path, rest, parameters;

    *out = (struct rcpt_command){ .parameters = 0 };
    if (!cut_path(argument, SPAN("TO:<"), &path, &rest))
        return COMMAND_SYNTAX;
    if (parse_path(address_parse_utf8, path, origin, &out->forward_path) != ADDRESS_FINE)
        return COMMAND_BAD_FORWARD_PATH;
    parameters = rest;
    while (fault == COMMAND_FINE && cut_parameter(&rest, &parameter, &fault)) {
        out->parameters++;
        fault = take_rcpt_parameter(&parameter, out);
    }
    if (fault || smtputf8)
        return fault;
    return check_ascii(&out->forward_path, COMMAND_NON_ASCII_FORWARD, parameters);
}

enum command_fault command_parse_bdat(struct span argument, struct bdat_command *out)
{
    struct span size = span_first(argument, span_find(argument, ' '));
    struct span rest = span_trim(span_from(argument, size.len));

    *out = (struct bdat_command){ .is_last = span_equal_nocase(rest, SPAN("LAST")) };
    if (size.len > 20 || !span_to_number(size, UINT64_MAX, &out->octets) ||
        (rest.len > 0 && !out->is_last))
        return COMMAND_SYNTAX;
    return COMMAND_FINE;
}

static bool is_literal(struct span s)
{
    static const struct span v6 = { "IPv6:", 5 };
    struct ip_address address;
    struct span inner;

    if (s.len < 3 || s.data[0] != '[' || s.data[s.len - 1] != ']')
        return false;
    inner = span_first(span_from(s, 1), s.len - 2);
    if (span_starts_with_nocase(inner, v6))
        inner = span_from(inner, v6.len);
    return ip_address_parse(inner, &address);
}

/* A domain in which underscores stand for hyphens and may stand anywhere. */
static bool is_hello_name(struct span s)
{
    char letters[DOMAIN_MAX + 1];

    if (!span_to_string(s, letters, sizeof(letters)))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (letters[i] == '_')
            letters[i] = 'x';
    return domain_is_host(span_of(letters));
}

enum command_fault command_parse_hello(struct span argument, char out_name[DOMAIN_MAX + 1])
{
    out_name[0] = '\0';
    if (!is_hello_name(argument) && !is_literal(argument))
        return COMMAND_SYNTAX;
    return span_to_string(argument, out_name, DOMAIN_MAX + 1) ? COMMAND_FINE : COMMAND_SYNTAX;
}
