/* buf.c - appends in, one run of bytes out. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAP_MIN 64

void
buf_done(struct buf *b)
{
	free(b->data);
	*b = BUF_INIT;
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->data != NULL)
		b->data[0] = '\0';
}

/* Room for more bytes and a NUL, else the buffer has failed. */
static bool
reserve(struct buf *b, size_t more)
{
	size_t cap = b->cap == 0 ? CAP_MIN : b->cap;
	char *data;

	if (b->failed)
		return false;
	if (more < b->cap - b->len)
		return true;
	if (more > SIZE_MAX / 2 - b->len - 1) {
		b->failed = true;
		return false;
	}
	while (cap < b->len + more + 1)
		cap *= 2;
	data = realloc(b->data, cap);
	if (data == NULL) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

void
buf_add(struct buf *b, const void *data, size_t len)
{
	if (!reserve(b, len))
		return;
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void
buf_add_slice(struct buf *b, struct slice s)
{
	buf_add(b, s.data, s.len);
}

void
buf_add_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_add_char(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list args;
	int need;

	if (!reserve(b, CAP_MIN - 1))
		return;
	va_start(args, fmt);
	need = vsnprintf(b->data + b->len, b->cap - b->len, fmt, args);
	va_end(args);
	if (need >= 0 && (size_t)need >= b->cap - b->len && reserve(b, (size_t)need)) {
		va_start(args, fmt);
		need = vsnprintf(b->data + b->len, b->cap - b->len, fmt, args);
		va_end(args);
	}
	if (need < 0)
		b->failed = true;
	if (b->failed)
		b->data[b->len] = '\0';
	else
		b->len += (size_t)need;
}

void
buf_add_u16be(struct buf *b, uint16_t v)
{
	unsigned char bytes[2] = {(unsigned char)(v >> 8), (unsigned char)v};

	buf_add(b, bytes, sizeof bytes);
}

void
buf_add_u32be(struct buf *b, uint32_t v)
{
	unsigned char bytes[4];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(v >> (8 * (sizeof bytes - 1 - i)));
	buf_add(b, bytes, sizeof bytes);
}

void
buf_add_u64be(struct buf *b, uint64_t v)
{
	unsigned char bytes[8];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(v >> (8 * (sizeof bytes - 1 - i)));
	buf_add(b, bytes, sizeof bytes);
}

bool
buf_failed(const struct buf *b)
{
	return b->failed;
}

const char *
buf_str(const struct buf *b)
{
	return b->data == NULL ? "" : b->data;
}

char *
buf_take(struct buf *b)
{
	char *data = NULL;

	if (reserve(b, 0)) {
		data = b->data;
		data[b->len] = '\0';
		b->data = NULL;
	}
	buf_done(b);
	return data;
}
