/* fuzz_command - a line from a client: whatever passes is harmless in a command, a log, a header.
 */
#include "lib/base/error.h"
#include "lib/base/utf8.h"
#include "lib/mail/command.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(const struct address *a)
{
    ensure(strlen(a->text) <= ADDRESS_MAX && strlen(a->domain) <= DOMAIN_MAX);
    ensure(span_is_printable(span_of(a->domain)));
    for (const char *c = a->text; *c; c++)
        ensure((unsigned char)*c >= ' ' && *c != 0x7f);
    ensure(utf8_is_valid(span_of(a->text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span line = { (const char *)data, size };
    char name[DOMAIN_MAX + 1];
    struct command command;
    struct mail_command mail;
    struct rcpt_command rcpt;
    struct bdat_command bdat;
    char room[SMTP_COMMAND_MAX];
    struct span rest;

    if (command_parse(line, &command) != COMMAND_FINE)
        return 0;
    if (command_parse_mail(command.argument, NULL, &mail) == COMMAND_FINE) {
        check_address(&mail.reverse_path);
        ensure(mail.smtputf8 || address_is_ascii(&mail.reverse_path));
    }
    if (command_parse_rcpt(command.argument, true, NULL, &rcpt) == COMMAND_FINE) {
        check_address(&rcpt.forward_path);
        ensure(rcpt.forward_path.text[0] != '\0');
    }
    if (command_parse_rcpt(command.argument, false, NULL, &rcpt) == COMMAND_FINE)
        ensure(address_is_ascii(&rcpt.forward_path) && span_is_printable(span_of(rcpt.orcpt)));
    rest = command_without_blanks(command.argument, room);
    ensure(rest.len <= command.argument.len);
    if (command_parse_bdat(command.argument, &bdat) == COMMAND_FINE)
        ensure(command.argument.data[0] >= '0' && command.argument.data[0] <= '9');
    if (command_parse_hello(command.argument, name) == COMMAND_FINE)
        ensure(span_is_printable(span_of(name)) && name[0] != '\0');
    return 0;
}
