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

struct fingerprint_how {
	struct siphash_key key;
	const char *mark; /* a header's name, which is left out of the hashes: it tells a repetition from what it repeats */
	bool digests;     /* payloads are to be compared with those of fingerprint_bare(): slower */
};

struct fingerprint {
	uint64_t id[2];   /* of the header "id" */
	uint64_t key, payload, headers; /* 0 = NULL, or no headers */
	int64_t timestamp_ms; /* 0 = not known: no time of the event's */
	bool has_id, has_key;
	bool marked; /* has the header how.mark */
};

void fingerprint_make(const struct fingerprint_how *how, const struct message *m, struct fingerprint *ret_fingerprint);

/* Of what a receipt tells of a message; payload_sha256 NULL = a tombstone. */
void fingerprint_bare(const struct fingerprint_how *how, struct slice id, struct slice key, struct slice payload_sha256,
                      struct fingerprint *ret_fingerprint);

#endif
