/* sha256.c - bytes in, a digest or an authentication code out. Knows nothing of who asks. */
#include "base/sha256.h"

#include <string.h>

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t rounds[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t
turn(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static void
expand(const unsigned char *block, uint32_t w[64])
{
	for (int i = 0; i < 16; i++, block += 4)
		w[i] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 | block[3];
	for (int i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];

		w[i] = w[i - 16] + w[i - 7] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
	}
}

static void
compress(uint32_t state[8], const unsigned char *block)
{
	uint32_t v[8], w[64];

	expand(block, w);
	memcpy(v, state, sizeof(v));
	for (int i = 0; i < 64; i++) {
		uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
		uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
		uint32_t one = v[7] + (turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25)) + choice + rounds[i] + w[i];
		uint32_t two = (turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22)) + majority;

		memmove(v + 1, v, 7 * sizeof(v[0]));
		v[4] += one;
		v[0] = one + two;
	}
	for (int i = 0; i < 8; i++)
		state[i] += v[i];
}

void
sha256_init(struct sha256 *s)
{
	static const uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

	memcpy(s->state, first, sizeof(first));
	s->len = 0;
}

void
sha256_add(struct sha256 *s, const void *data, size_t len)
{
	const unsigned char *bytes = data;

	while (len > 0) {
		size_t used = s->len % SHA256_BLOCK, n = SHA256_BLOCK - used;

		n = n < len ? n : len;
		memcpy(s->block + used, bytes, n);
		s->len += n;
		bytes += n;
		len -= n;
		if (used + n == SHA256_BLOCK)
			compress(s->state, s->block);
	}
}

static void
put_number(unsigned char *out, uint64_t number, size_t bytes)
{
	for (size_t i = bytes; i-- > 0; number >>= 8)
		out[i] = (unsigned char)number;
}

/* A one bit, zeros, and the number of bits in the last eight bytes of a block. */
void
sha256_end(struct sha256 *s, unsigned char ret_digest[SHA256_BYTES])
{
	static const unsigned char padding[SHA256_BLOCK] = {0x80};
	unsigned char bits[8];
	size_t used = s->len % SHA256_BLOCK;

	put_number(bits, s->len * 8, sizeof(bits));
	sha256_add(s, padding, used < SHA256_BLOCK - 8 ? SHA256_BLOCK - 8 - used : 2 * SHA256_BLOCK - 8 - used);
	sha256_add(s, bits, sizeof(bits));
	for (size_t i = 0; i < 8; i++)
		put_number(ret_digest + 4 * i, s->state[i], 4);
}

static void
begin_with_key(struct sha256 *s, const unsigned char key[SHA256_BLOCK], unsigned char mask)
{
	unsigned char block[SHA256_BLOCK];

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = key[i] ^ mask;
	sha256_init(s);
	sha256_add(s, block, sizeof(block));
	explicit_bzero(block, sizeof(block));
}

void
sha256_hmac(struct slice key, const struct slice parts[], size_t count, unsigned char ret_mac[SHA256_BYTES])
{
	unsigned char block[SHA256_BLOCK] = {0}, inner[SHA256_BYTES];
	struct sha256 s;

	if (key.len <= sizeof(block)) {
		memcpy(block, key.data, key.len);
	} else {
		sha256_init(&s);
		sha256_add(&s, key.data, key.len);
		sha256_end(&s, block);
	}
	begin_with_key(&s, block, 0x36);
	for (size_t i = 0; i < count; i++)
		sha256_add(&s, parts[i].data, parts[i].len);
	sha256_end(&s, inner);
	begin_with_key(&s, block, 0x5c);
	sha256_add(&s, inner, sizeof(inner));
	sha256_end(&s, ret_mac);
	explicit_bzero(block, sizeof(block));
	explicit_bzero(&s, sizeof(s));
}
