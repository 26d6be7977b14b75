/* stranded.c - in: batches that stay with Kafka; out: which events must wait for them, and what is to be settled. */
#include "relay/stranded.h"

#include <string.h>

#include "base/clock.h"

#define SETTLE_DELAY_US 50000 /* reports come in crowds: so long for others of the same batch */

void
stranded_init(struct stranded *st)
{
	*st = (struct stranded){.keys = KEYSET_INIT, .passed_id = INT64_MAX, .settle_due_us = CLOCK_NEVER};
}

void
stranded_done(struct stranded *st)
{
	for (int i = 0; i < st->count; i++)
		batch_free(st->batches[i]);
	keyset_done(&st->keys);
	stranded_init(st);
}

static bool
unknown(const struct slot *slot)
{
	return slot->state == EV_SENT || slot->state == EV_ACKED || slot->state == EV_POISONED;
}

static int
add_keys(struct stranded *st, const struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (unknown(&b->slots[i]) && keyset_add(&st->keys, b->slots[i].ev.key) != 0)
			return -1;
	return 0;
}

bool
stranded_add(struct stranded *st, struct batch *b, int64_t bytes_max)
{
	int64_t bytes = (int64_t)b->bytes;

	for (int i = 0; i < st->count; i++)
		bytes += (int64_t)st->batches[i]->bytes;
	/* The first may be as large as any batch. */
	if (st->count == STRANDED_MAX || (st->count > 0 && bytes > bytes_max))
		return false;
	if (add_keys(st, b) != 0)
		return false; /* a key too many is one that waits in vain until the next settle */
	st->batches[st->count++] = b;
	return true;
}

static const struct slot *
find_slot(const struct batch *b, int64_t id)
{
	size_t low = 0, high = b->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (b->slots[middle].ev.id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < b->count && b->slots[low].ev.id == id ? &b->slots[low] : NULL;
}

static bool
has(const struct stranded *st, int64_t id)
{
	for (int i = 0; i < st->count; i++) {
		const struct slot *slot = find_slot(st->batches[i], id);

		if (slot != NULL && unknown(slot))
			return true;
	}
	return false;
}

bool
stranded_block(struct stranded *st, const struct event *ev)
{
	if (st->count == 0 || !(keyset_has(&st->keys, ev->key) || has(st, ev->id)))
		return false;
	if (ev->id < st->passed_id)
		st->passed_id = ev->id;
	return true;
}

size_t
stranded_in_flight(const struct stranded *st)
{
	size_t count = 0;

	for (int i = 0; i < st->count; i++)
		count += st->batches[i]->counts[EV_SENT];
	return count;
}

size_t
stranded_unsettled(const struct stranded *st)
{
	size_t count = 0;

	for (int i = 0; i < st->count; i++)
		count += batch_unsettled(st->batches[i]);
	return count;
}

void
stranded_reported(struct stranded *st, int64_t now_us)
{
	if (st->settle_due_us == CLOCK_NEVER)
		st->settle_due_us = stranded_in_flight(st) == 0 ? now_us : now_us + SETTLE_DELAY_US;
	else if (stranded_in_flight(st) == 0)
		st->settle_due_us = now_us;
}

void
stranded_retry(struct stranded *st, int64_t now_us)
{
	st->settle_due_us = stranded_unsettled(st) > 0 ? now_us : CLOCK_NEVER;
}

struct batch *
stranded_due(struct stranded *st, int64_t now_us)
{
	if (now_us < st->settle_due_us)
		return NULL;
	for (int i = 0; i < st->count; i++)
		if (batch_unsettled(st->batches[i]) > 0)
			return st->batches[i];
	st->settle_due_us = CLOCK_NEVER;
	return NULL;
}

struct batch *
stranded_take_finished(struct stranded *st)
{
	for (int i = 0; i < st->count; i++) {
		struct batch *b = st->batches[i];

		if (!batch_reported(b) || batch_unsettled(b) > 0)
			continue;
		memmove(&st->batches[i], &st->batches[i + 1], (size_t)(--st->count - i) * sizeof(st->batches[0]));
		if (st->count == 0)
			st->settle_due_us = CLOCK_NEVER;
		return b;
	}
	return NULL;
}

int64_t
stranded_look_from(struct stranded *st)
{
	struct keyset old = st->keys;
	int64_t from = st->passed_id;

	st->keys = KEYSET_INIT;
	for (int i = 0; i < st->count; i++)
		if (add_keys(st, st->batches[i]) != 0) {
			/* Keys too many are safe; another settle will come. */
			keyset_done(&st->keys);
			st->keys = old;
			return INT64_MAX;
		}
	keyset_done(&old);
	st->passed_id = INT64_MAX;
	return from;
}
