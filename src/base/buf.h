/* buf.h - a growing byte buffer, always NUL-terminated once written to.
 *
 * A failed allocation is remembered: later appends do nothing, and buf_failed() tells at the end,
 * so that a run of appends needs one check.
 */
#ifndef PGOUTBOX_BASE_BUF_H
#define PGOUTBOX_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct buf {
	char *data; /* NULL until the first append */
	size_t len; /* bytes used, without the NUL */
	size_t cap;
	bool failed;
};

#define BUF_INIT ((struct buf){NULL, 0, 0, false})

void buf_done(struct buf *b);  /* frees; b may be used again */
void buf_reset(struct buf *b); /* forgets the content and a failure, keeps the memory */
void buf_add(struct buf *b, const void *data, size_t len);
void buf_add_slice(struct buf *b, struct slice s);
void buf_add_str(struct buf *b, const char *s);
void buf_add_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_add_u16be(struct buf *b, uint16_t v);
void buf_add_u32be(struct buf *b, uint32_t v);
void buf_add_u64be(struct buf *b, uint64_t v);
bool buf_failed(const struct buf *b);

/* The content as a C string, "" when empty; stays b's. */
const char *buf_str(const struct buf *b);

/* Moves the content out as a malloc'd C string that the caller frees; NULL if an allocation failed. */
char *buf_take(struct buf *b);

/* For cleanup attributes: struct buf b __attribute__((cleanup(buf_done))) = BUF_INIT; */

#endif
