/* arena.h - memory that lives and dies together. Chunks grow by doubling; reset keeps the largest chunk. */
#ifndef PGOUTBOX_BASE_ARENA_H
#define PGOUTBOX_BASE_ARENA_H

#include <stddef.h>

#include "base/slice.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *head;
	size_t allocated; /* bytes taken from malloc */
};

#define ARENA_INIT ((struct arena){NULL, 0})

void arena_done(struct arena *a);
void arena_reset(struct arena *a);

/* size bytes aligned for any type, not zeroed; NULL when memory is out. size 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t size);

/* A NUL-terminated copy (the NUL is not counted in a slice's len); NULL when memory is out. */
char *arena_copy(struct arena *a, struct slice s);

#endif
