/* redact.h - what librdkafka says, without the secrets that it was given.
 *
 * It redacts its own configuration dump, but quotes commands and what it cannot read.
 */
#ifndef PGOUTBOX_SINK_REDACT_H
#define PGOUTBOX_SINK_REDACT_H

#include <stddef.h>

#include "base/error.h"
#include "sink/producer.h"

struct redact {
	char **secrets;
	size_t count;
};

/* Copies the values of the properties that are secret by their names. ERR_RETRY when memory is out. All zero is fine for
 * the others, and hides nothing. */
int redact_init(struct redact *r, const struct producer_property *properties, size_t count, struct error *err)
	__attribute__((warn_unused_result));
void redact_done(struct redact *r); /* wipes them */

/* Copies text, cut to size, with "***" for each secret in it, and for an end of one that is recognisable as such. */
void redact_copy(const struct redact *r, const char *text, char *out, size_t size);

#endif
