#include "supervisor/quarrels.h"

struct quarrel_verdict quarrel_judge(const struct quarrel *q)
{
    if (q->peer_exposure > q->teller_exposure)
        return (struct quarrel_verdict){ .ends_peer = true };
    if (q->teller_was_heard)
        return (struct quarrel_verdict){ .ends_peer = false };
    return (struct quarrel_verdict){ .ends_peer = true, .word_spent = true };
}
