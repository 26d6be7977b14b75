/* fingerprint.c - in: a message; out: hashes of its parts. */
#include "model/fingerprint.h"

#include <string.h>

#include "base/sha256.h"

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

static uint64_t
hash_payload(const struct fingerprint_how *how, struct slice payload)
{
	unsigned char digest[SHA256_BYTES];
	struct sha256 s;

	if (!how->digests || slice_is_null(payload))
		return hash(&how->key, payload);
	sha256_init(&s);
	sha256_add(&s, payload.data, payload.len);
	sha256_end(&s, digest);
	return hash(&how->key, (struct slice){(const char *)digest, sizeof(digest)});
}

static void
set_id(const struct fingerprint_how *how, struct slice id, struct fingerprint *fp)
{
	if (fp->has_id || slice_is_null(id))
		return;
	fp->has_id = true;
	siphash_128(&how->key, id, fp->id);
}

void
fingerprint_make(const struct fingerprint_how *how, const struct message *m, struct fingerprint *ret_fingerprint)
{
	struct fingerprint fp = {
		.key = hash(&how->key, m->key),
		.payload = hash_payload(how, m->value),
		.timestamp_ms = m->timestamp_ms > 0 ? m->timestamp_ms : 0,
		.has_key = !slice_is_null(m->key),
	};

	for (size_t i = 0; i < m->headers_count; i++) {
		const struct header *h = &m->headers[i];

		if (strcmp(h->name, how->mark) == 0) {
			fp.marked = true;
			continue;
		}
		if (strcmp(h->name, "id") == 0)
			set_id(how, h->value, &fp);
		fp.headers = add_header(&how->key, fp.headers, h);
	}
	*ret_fingerprint = fp;
}

void
fingerprint_bare(const struct fingerprint_how *how, struct slice id, struct slice key, struct slice payload_sha256,
                 struct fingerprint *ret_fingerprint)
{
	struct fingerprint fp = {
		.key = hash(&how->key, key),
		.payload = hash(&how->key, payload_sha256),
		.has_key = !slice_is_null(key),
	};

	set_id(how, id, &fp);
	*ret_fingerprint = fp;
}
