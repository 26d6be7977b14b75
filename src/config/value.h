/* value.h - one option's value: from text into its field, and back. */
#ifndef PGOUTBOX_CONFIG_VALUE_H
#define PGOUTBOX_CONFIG_VALUE_H

#include "base/buf.h"
#include "base/error.h"
#include "config/options.h"

/* Parses text and stores it in the option's field of the section's struct (a string replaces the former one). On -1 the
 * field is as before. The message follows "option: ". The value of a secret option is not quoted in it.
 * ERR_CONFIG, or ERR_RETRY when memory is out. Not for maps. */
int value_set(const struct option *opt, void *section, const char *text, struct error *err)
	__attribute__((warn_unused_result));

/* The value as text that value_set would take, not quoted for YAML and not redacted. Not for maps. */
void value_print(const struct option *opt, const void *section, struct buf *out);

/* "1..100000 rows", "3s..1h", "mark or delete"; nothing for what has no range. */
void value_print_range(const struct option *opt, struct buf *out);

/* Whole sentences for people: what is allowed, an example of what is required, whether a reload suffices. */
void value_print_facts(const struct option *opt, struct buf *out);

#endif
