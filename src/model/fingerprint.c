/* fingerprint.c - in: a message; out: hashes of its parts. */
#include "model/fingerprint.h"

#include <string.h>

/* NULL differs from all that is not, empty values among them. */
static uint64_t
hash(const struct siphash_key *key, struct slice text)
{
	return slice_is_null(text) ? 0 : siphash_64(key, text) | 1;
}

/* Headers are a list: their order counts. */
static uint64_t
add_header(const struct siphash_key *key, uint64_t so_far, const struct header *h)
{
	uint64_t words[] = {so_far, hash(key, slice_from(h->name)), hash(key, h->value)};

	return hash(key, (struct slice){(const char *)words, sizeof(words)});
}

void
fingerprint_make(const struct siphash_key *key, const struct message *m, const char *mark, struct fingerprint *ret_fingerprint)
{
	struct fingerprint fp = {
		.key = hash(key, m->key),
		.payload = hash(key, m->value),
		.timestamp_ms = m->timestamp_ms > 0 ? m->timestamp_ms : 0,
		.has_key = !slice_is_null(m->key),
	};

	for (size_t i = 0; i < m->headers_count; i++) {
		const struct header *h = &m->headers[i];

		if (strcmp(h->name, mark) == 0) {
			fp.marked = true;
			continue;
		}
		if (!fp.has_id && strcmp(h->name, "id") == 0 && !slice_is_null(h->value)) {
			fp.has_id = true;
			siphash_128(key, h->value, fp.id);
		}
		fp.headers = add_header(key, fp.headers, h);
	}
	*ret_fingerprint = fp;
}
