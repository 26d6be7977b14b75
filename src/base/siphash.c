/* siphash.c - in: a key, bytes; out: a hash of them. Knows nothing of what they are. */
#include "base/siphash.h"

#include <endian.h>

struct state {
	uint64_t v0, v1, v2, v3;
};

static uint64_t
rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static void
rounds(struct state *s, int count)
{
	for (int i = 0; i < count; i++) {
		s->v0 += s->v1;
		s->v2 += s->v3;
		s->v1 = rotate(s->v1, 13) ^ s->v0;
		s->v3 = rotate(s->v3, 16) ^ s->v2;
		s->v0 = rotate(s->v0, 32);
		s->v2 += s->v1;
		s->v0 += s->v3;
		s->v1 = rotate(s->v1, 17) ^ s->v2;
		s->v3 = rotate(s->v3, 21) ^ s->v0;
		s->v2 = rotate(s->v2, 32);
	}
}

static void
absorb(struct state *s, uint64_t word)
{
	s->v3 ^= word;
	rounds(s, 2);
	s->v0 ^= word;
}

/* The bytes behind the last whole word, and the length. */
static uint64_t
last_word(struct slice text)
{
	uint64_t word = (uint64_t)text.len << 56;

	for (size_t i = 0; i < text.len % 8; i++)
		word |= (uint64_t)(unsigned char)text.data[text.len - text.len % 8 + i] << (8 * i);
	return word;
}

static struct state
digest(const struct siphash_key *key, struct slice text, uint64_t wide)
{
	struct state s = {
		.v0 = key->k0 ^ UINT64_C(0x736f6d6570736575),
		.v1 = key->k1 ^ UINT64_C(0x646f72616e646f6d) ^ wide,
		.v2 = key->k0 ^ UINT64_C(0x6c7967656e657261),
		.v3 = key->k1 ^ UINT64_C(0x7465646279746573),
	};

	for (size_t i = 0; i + 8 <= text.len; i += 8) {
		uint64_t word;

		memcpy(&word, text.data + i, sizeof(word));
		absorb(&s, le64toh(word));
	}
	absorb(&s, last_word(text));
	return s;
}

static uint64_t
squeeze(const struct state *s)
{
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

uint64_t
siphash_64(const struct siphash_key *key, struct slice text)
{
	struct state s = digest(key, text, 0);

	s.v2 ^= 0xff;
	rounds(&s, 4);
	return squeeze(&s);
}

void
siphash_128(const struct siphash_key *key, struct slice text, uint64_t ret_hash[2])
{
	struct state s = digest(key, text, 0xee);

	s.v2 ^= 0xee;
	rounds(&s, 4);
	ret_hash[0] = squeeze(&s);
	s.v1 ^= 0xdd;
	rounds(&s, 4);
	ret_hash[1] = squeeze(&s);
}
