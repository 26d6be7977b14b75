/* sha256.h - SHA-256 (FIPS 180-4) and HMAC with it (RFC 2104), to sign what is sent to a webhook.
 *
 * Here because no library that the daemon links on purpose exports an HMAC. Not made for secrets against who shares the machine's
 * caches, nor for speed.
 */
#ifndef PGOUTBOX_BASE_SHA256_H
#define PGOUTBOX_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum { SHA256_BYTES = 32, SHA256_BLOCK = 64 };

struct sha256 {
	uint32_t state[8];
	uint64_t len; /* bytes so far */
	unsigned char block[SHA256_BLOCK];
};

void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t len);
void sha256_end(struct sha256 *s, unsigned char ret_digest[SHA256_BYTES]);

/* Of all parts, one after the other. */
void sha256_hmac(struct slice key, const struct slice parts[], size_t count, unsigned char ret_mac[SHA256_BYTES]);

#endif
