/* settings_text - settings as a configuration says them, for tests of what is made of settings. */
#ifndef WAXSEAL_TESTS_SUPPORT_SETTINGS_TEXT_H
#define WAXSEAL_TESTS_SUPPORT_SETTINGS_TEXT_H

#include "lib/base/settings.h"

/* Reads a text that is right, else the test fails; the caller frees it. */
struct settings *settings_of(const char *text);

#endif
