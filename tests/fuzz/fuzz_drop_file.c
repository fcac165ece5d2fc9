/* fuzz_drop_file - the head of a file in the drop folder: whatever is taken can be said in SMTP. */
#include "smtpd/pickup/drop_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NAME "m00112233445566778899aabbccddeeff"

static void check_lines(struct span commands)
{
    struct span line;
    unsigned lines = 0;

    ensure(commands.len > 0 && commands.data[commands.len - 1] == '\n');
    commands.len--;
    while (span_cut(&commands, '\n', &line)) {
        ensure(line.len <= DROP_COMMAND_MAX);
        ensure(span_starts_with(line, lines == 0 ? SPAN("MAIL FROM:") : SPAN("RCPT TO:")));
        ensure(span_find(line, '\r') == line.len && span_find(line, '\0') == line.len);
        lines++;
    }
    ensure(lines >= 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = { (const char *)data, size };
    struct drop_head head, again;
    struct buf written;

    if (drop_head_parse(text, NAME, &head) != DROP_FINE)
        return 0;
    ensure(head.len <= size);
    check_lines(head.commands);
    buf_init(&written, 2 * DROP_HEAD_MAX);
    if (drop_head_write(NAME, head.commands, head.content_size, &written)) {
        ensure(drop_head_parse(buf_span(&written), NAME, &again) == DROP_FINE);
        ensure(again.content_size == head.content_size && again.len == buf_len(&written));
        ensure(span_equal(again.commands, head.commands));
    }
    buf_clear(&written);
    return 0;
}
