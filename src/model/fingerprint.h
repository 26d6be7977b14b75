/* fingerprint.h - what tells one message from another, in a few words: hashes of its parts. Pure.
 *
 * Made alike of what route would publish and of what Kafka has, so that both can be compared without being kept. The key of the
 * hashes is the caller's, drawn anew for each run: fingerprints are not to be stored.
 */
#ifndef PGOUTBOX_MODEL_FINGERPRINT_H
#define PGOUTBOX_MODEL_FINGERPRINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/siphash.h"
#include "model/message.h"

struct fingerprint {
	uint64_t id[2];   /* of the header "id" */
	uint64_t key, payload, headers; /* 0 = NULL, or no headers */
	int64_t timestamp_ms; /* 0 = not known: no time of the event's */
	bool has_id, has_key;
	bool marked; /* has the header mark */
};

/* The header named mark is left out of the hashes: it tells a repetition from what it repeats. */
void fingerprint_make(const struct siphash_key *key, const struct message *m, const char *mark,
                      struct fingerprint *ret_fingerprint);

#endif
