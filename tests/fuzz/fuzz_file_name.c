/* fuzz_file_name - the name of a report's file: what is read of one is written and read again. */
#include "lib/base/error.h"
#include "tlsrpt/file_name.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[FILE_NAME_SIZE], text_again[FILE_NAME_SIZE];
    struct file_name name, again;

    if (!file_name_parse((struct span){ (const char *)data, size }, &name))
        return 0;
    file_name_format(&name, text);
    ensure(span_is_printable(span_of(text)));
    ensure(file_name_parse(span_of(text), &again));
    file_name_format(&again, text_again);
    ensure(strcmp(text, text_again) == 0 && name.packed == again.packed);
    return 0;
}
