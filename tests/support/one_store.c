#include "tests/support/one_store.h"

struct store_rig rig;
const struct span mail = { "Subject: hello\r\n\r\nbody\r\n", 24 };

int open_rig(void **state)
{
    (void)state;
    store_rig_open(&rig);
    return 0;
}

int close_rig(void **state)
{
    (void)state;
    store_rig_close(&rig);
    return 0;
}

uint64_t a_message(void)
{
    uint64_t id = store_rig_accept(&rig, "ada@sender.test", "bob@example.net", mail);

    ensure(id > 0);
    return id;
}
