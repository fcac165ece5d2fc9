/*
 * entry_json - a cached policy as JSON: for `policy show` and `list`, and as the line of a file
 * that `policy export` writes and `policy import` reads back.  Called by operator and listing.
 * Pure.
 */
#ifndef WAXSEAL_POLICY_ENTRY_JSON_H
#define WAXSEAL_POLICY_ENTRY_JSON_H

#include "lib/base/json.h"
#include "policy/sts_entry.h"

/* All that is known of it, what is wrong included. */
struct json *entry_json(const struct sts_entry *entry, int64_t now_utc_ms);

/* Adds the row of a list. */
void entry_json_row(const struct sts_entry *entry, int64_t now_utc_ms, struct json *rows);

/* Adds it as exported: domain, id, fetched, used, and the file as published. */
void entry_json_export(const struct sts_entry *entry, struct json *rows);

/*
 * Reads an exported one.  Nothing is believed that a fetch would not be: the domain is checked, the
 * file parsed, and times of the future are taken for now.  NULL, or why it is none, lent.
 */
const char *entry_json_import(const struct json *value, int64_t now_utc_ms, struct sts_entry *out);

#endif
