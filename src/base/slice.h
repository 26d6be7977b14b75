/* slice.h - bytes that carry their length. Never owns; data == NULL is SQL's NULL, distinct from empty. */
#ifndef PGOUTBOX_BASE_SLICE_H
#define PGOUTBOX_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
	const char *data;
	size_t len;
};

#define SLICE_NULL ((struct slice){NULL, 0})

/* A slice over a C string (without its NUL); NULL gives SLICE_NULL. */
static inline struct slice
slice_from(const char *s)
{
	return (struct slice){s, s == NULL ? 0 : strlen(s)};
}

static inline bool
slice_is_null(struct slice s)
{
	return s.data == NULL;
}

/* NULL equals only NULL. */
static inline bool
slice_equal(struct slice a, struct slice b)
{
	if (a.data == NULL || b.data == NULL)
		return a.data == b.data;
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

#endif
