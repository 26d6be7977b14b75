/* keyset.c - in: keys; out: membership and an array literal. Knows nothing of why a key is held. */
#include "relay/keyset.h"

#include <stdlib.h>
#include <string.h>

#define uthash_fatal(msg) abort()
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "source/statements.h"

struct keyset_entry {
	UT_hash_handle hh;
	size_t len;
	char key[];
};

void
keyset_clear(struct keyset *ks)
{
	struct keyset_entry *e, *next;

	HASH_ITER(hh, ks->entries, e, next)
	{
		HASH_DEL(ks->entries, e);
		free(e);
	}
	ks->stale = true;
}

void
keyset_done(struct keyset *ks)
{
	keyset_clear(ks);
	buf_done(&ks->literal);
}

static struct keyset_entry *
find(const struct keyset *ks, struct slice key)
{
	struct keyset_entry *e;

	HASH_FIND(hh, ks->entries, key.data, key.len, e);
	return e;
}

int
keyset_add(struct keyset *ks, struct slice key)
{
	struct keyset_entry *e;

	if (key.data == NULL || find(ks, key) != NULL)
		return 0;
	e = malloc(sizeof(*e) + key.len + 1);
	if (e == NULL)
		return -1;
	e->len = key.len;
	memcpy(e->key, key.data, key.len);
	e->key[key.len] = '\0';
	HASH_ADD_KEYPTR(hh, ks->entries, e->key, e->len, e);
	if (e->hh.tbl == NULL) {
		free(e);
		return -1;
	}
	ks->stale = true;
	return 0;
}

void
keyset_merge(struct keyset *ks, const struct keyset *other)
{
	for (const struct keyset_entry *e = other->entries; e != NULL; e = e->hh.next)
		if (keyset_add(ks, (struct slice){e->key, e->len}) != 0)
			return;
}

bool
keyset_has(const struct keyset *ks, struct slice key)
{
	return ks->entries != NULL && key.data != NULL && find(ks, key) != NULL;
}

size_t
keyset_count(const struct keyset *ks)
{
	return HASH_COUNT(ks->entries);
}

bool
keyset_within(const struct keyset *a, const struct keyset *b)
{
	for (const struct keyset_entry *e = a->entries; e != NULL; e = e->hh.next)
		if (!keyset_has(b, (struct slice){e->key, e->len}))
			return false;
	return true;
}

const char *
keyset_literal(struct keyset *ks)
{
	if (ks->entries == NULL)
		return NULL;
	if (!ks->stale)
		return buf_str(&ks->literal);
	buf_reset(&ks->literal);
	for (const struct keyset_entry *e = ks->entries; e != NULL; e = e->hh.next)
		statements_array_add(&ks->literal, e->key);
	buf_add_char(&ks->literal, '}');
	ks->stale = buf_failed(&ks->literal);
	return buf_str(&ks->literal);
}
