#include "lib/base/saslprep.h"

#include <stringprep.h>

#include "lib/base/utf8.h"

bool saslprep(struct span text, char *room, size_t size)
{
    bool fits = utf8_is_valid(text) && span_to_string(text, room, size);

    if (fits && span_is_printable(text))
        return true;
    /* what RFC 3454 does not know is refused: nobody can say yet what its one form will be */
    fits = fits &&
           stringprep(room, size, STRINGPREP_NO_UNASSIGNED, stringprep_saslprep) == STRINGPREP_OK &&
           room[0] != '\0';
    if (!fits)
        room[0] = '\0';
    return fits;
}
