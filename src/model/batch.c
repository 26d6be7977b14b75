/* batch.c - in: claimed rows and reports about them; out: counts by state. Knows neither PostgreSQL nor Kafka. */
#include "model/batch.h"

#include <assert.h>
#include <stdlib.h>

/* legal_moves[from] is a bit set of states. */
static const unsigned legal_moves[EV_STATES] = {
	[EV_CLAIMED] = 1U << EV_SENT | 1U << EV_REFUSED | 1U << EV_HELD | 1U << EV_POISONED,
	[EV_SENT] = 1U << EV_ACKED | 1U << EV_REFUSED | 1U << EV_HELD | 1U << EV_POISONED,
	[EV_ACKED] = 1U << EV_SETTLED | 1U << EV_REFUSED,
	[EV_REFUSED] = 1U << EV_HELD,
	[EV_HELD] = 0,
	[EV_POISONED] = 1U << EV_SETTLED | 1U << EV_REFUSED,
	[EV_SETTLED] = 0,
};

struct batch *
batch_new(size_t max_count)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->slots = arena_alloc(&b->arena, max_count * sizeof(*b->slots));
	if (b->slots == NULL) {
		free(b);
		return NULL;
	}
	return b;
}

void
batch_free(struct batch *b)
{
	if (b == NULL)
		return;
	assert(b->counts[EV_SENT] == 0);
	if (b->backing_free != NULL)
		b->backing_free(b->backing);
	arena_done(&b->arena);
	free(b);
}

struct slot *
batch_add(struct batch *b)
{
	struct slot *slot = &b->slots[b->count++];

	*slot = (struct slot){.batch = b, .state = EV_CLAIMED, .partition = -1, .sent_partition = -1, .sent_offset = -1};
	b->counts[EV_CLAIMED]++;
	return slot;
}

void
batch_move(struct slot *slot, enum event_state to)
{
	struct batch *b = slot->batch;

	assert((legal_moves[slot->state] & 1U << to) != 0);
	b->counts[slot->state]--;
	b->counts[to]++;
	slot->state = to;
	slot->offered |= to == EV_SENT;
}

bool
batch_reported(const struct batch *b)
{
	return b->counts[EV_SENT] == 0;
}

size_t
batch_unsettled(const struct batch *b)
{
	return b->counts[EV_ACKED] + b->counts[EV_POISONED];
}

size_t
batch_settle_begin(struct batch *b)
{
	size_t taken = 0;

	for (size_t i = 0; i < b->count; i++) {
		struct slot *slot = &b->slots[i];

		slot->settling = slot->state == EV_ACKED || slot->state == EV_POISONED;
		taken += slot->settling;
	}
	return taken;
}

size_t
batch_settle_end(struct batch *b, bool committed)
{
	size_t taken = 0;

	for (size_t i = 0; i < b->count; i++) {
		struct slot *slot = &b->slots[i];

		if (!slot->settling)
			continue;
		slot->settling = false;
		taken++;
		if (committed)
			batch_move(slot, EV_SETTLED);
	}
	return taken;
}

void
batch_abandon(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->slots[i].state == EV_ACKED || b->slots[i].state == EV_POISONED)
			batch_move(&b->slots[i], EV_REFUSED);
}

int64_t
batch_take_refused(struct batch *b)
{
	int64_t lowest = INT64_MAX;

	for (size_t i = b->count; i-- > 0 && b->counts[EV_REFUSED] > 0;)
		if (b->slots[i].state == EV_REFUSED) {
			lowest = b->slots[i].ev.id;
			batch_move(&b->slots[i], EV_HELD);
		}
	return lowest;
}
