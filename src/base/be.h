/* be.h - numbers of big-endian order, wherever they lie: PostgreSQL's binary format. */
#ifndef PGOUTBOX_BASE_BE_H
#define PGOUTBOX_BASE_BE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t
be64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

static inline uint32_t
be32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static inline uint16_t
be16(const char *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

#endif
