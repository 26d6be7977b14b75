/* keyset.h - keys that may not be claimed for now, as a set and as the array literal that claims take. */
#ifndef PGOUTBOX_RELAY_KEYSET_H
#define PGOUTBOX_RELAY_KEYSET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/slice.h"

struct keyset_entry;

struct keyset {
	struct keyset_entry *entries;
	struct buf literal;
	bool stale; /* the literal lags behind the set */
};

#define KEYSET_INIT ((struct keyset){NULL, BUF_INIT, false})

void keyset_done(struct keyset *ks);
void keyset_clear(struct keyset *ks);
int keyset_add(struct keyset *ks, struct slice key) __attribute__((warn_unused_result)); /* -1: out of memory */
void keyset_merge(struct keyset *ks, const struct keyset *other); /* as far as memory goes */
bool keyset_has(const struct keyset *ks, struct slice key);
size_t keyset_count(const struct keyset *ks);

/* Every key of a is in b too. */
bool keyset_within(const struct keyset *a, const struct keyset *b);

/* "{...}", or NULL when the set is empty; the set's until it changes. */
const char *keyset_literal(struct keyset *ks);

#endif
