/* test_receipts.c - what a settle takes along. What PostgreSQL makes of it is tested in tests/pg. */
#include <stdlib.h>
#include <string.h>

#include "source/receipts.h"
#include "support/tap.h"

static uint32_t
be32_at(const char *data, size_t offset)
{
	const unsigned char *p = (const unsigned char *)data + offset;

	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void
add(struct batch *b, enum event_state state, int32_t partition, int64_t offset)
{
	struct slot *slot = batch_add(b);

	slot->topic = "t";
	slot->sent_partition = partition;
	slot->sent_offset = offset;
	if (state != EV_POISONED)
		batch_move(slot, EV_SENT);
	if (state != EV_SENT)
		batch_move(slot, state);
}

/* One known, one without an offset, one parked; one still with Kafka is no part of it. */
static struct batch *
some(void)
{
	struct batch *b = batch_new(4);

	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	add(b, EV_ACKED, 3, 0x100000002);
	add(b, EV_SENT, 9, 9);
	add(b, EV_ACKED, 0, -1);
	add(b, EV_POISONED, 5, 5);
	TAP_INT(batch_settle_begin(b), 3);
	return b;
}

/* The head, then each element behind its length; -1 is NULL. */
#define HEAD 20
#define NONE UINT32_MAX

static void
test_bound(void)
{
	struct receipts r = RECEIPTS_INIT;
	const char *values[RECEIPTS_PARAMS] = {"ids"};
	int lengths[RECEIPTS_PARAMS] = {3};
	struct batch *b = some();

	for (int again = 0; again < 2; again++) {
		TAP_INT(receipts_bind(&r, b, 3, true, values, lengths), 4);
		TAP_STR(values[0], "ids");
		TAP_INT(lengths[1], HEAD + 8 + 8 + 4);
		TAP_INT(be32_at(values[1], 4), 1); /* there may be NULLs */
		TAP_INT(be32_at(values[1], 8), 23);
		TAP_INT(be32_at(values[1], 12), 3);
		TAP_INT(be32_at(values[1], HEAD + 4), 3);
		TAP_INT(be32_at(values[1], HEAD + 12), 0);
		TAP_INT(be32_at(values[1], HEAD + 16), NONE);
		TAP_INT(lengths[2], HEAD + 12 + 4 + 4);
		TAP_INT(be32_at(values[2], 8), 20);
		TAP_INT(be32_at(values[2], HEAD + 4), 1);
		TAP_INT(be32_at(values[2], HEAD + 8), 2);
		TAP_INT(be32_at(values[2], HEAD + 12), NONE);
		TAP_INT(be32_at(values[2], HEAD + 16), NONE);
		TAP_INT(lengths[3], HEAD + 5 + 5 + 4);
		TAP_INT(be32_at(values[3], 8), 25);
		TAP_INT(values[3][HEAD + 4], 't');
		TAP_INT(be32_at(values[3], HEAD + 10), NONE);
	}
	/* rows that stay have their topic themselves */
	TAP_INT(receipts_bind(&r, b, 3, false, values, lengths), 3);
	receipts_done(&r);
	b->slots[1].state = EV_ACKED; /* or the batch would not go */
	b->counts[EV_SENT]--;
	b->counts[EV_ACKED]++;
	batch_free(b);
}

static struct layout
layout(void)
{
	struct layout lo = {.relation = (char *)(uintptr_t) "public.it's"};

	lo.columns[COL_ID].quoted = (char *)(uintptr_t) "\"Id\"";
	lo.columns[COL_AGGREGATE_ID].quoted = (char *)(uintptr_t) "k";
	lo.columns[COL_PAYLOAD] = (struct layout_column){.quoted = (char *)(uintptr_t) "p", .type = TYPE_BYTEA};
	lo.columns[COL_SENT_AT].quoted = (char *)(uintptr_t) "s";
	lo.columns[COL_SENT_PARTITION].quoted = (char *)(uintptr_t) "\"Part\"";
	lo.columns[COL_SENT_OFFSET].quoted = (char *)(uintptr_t) "off";
	return lo;
}

static void
test_names(void)
{
	struct layout lo = layout();
	char *marks = receipts_settle_text(&lo, false, true);
	char *moves = receipts_settle_text(&lo, true, false);

	TAP_HAS(marks, "UPDATE public.it's t SET s = statement_timestamp(), \"Part\" = r.part, off = r.off FROM");
	TAP_HAS(marks, "t.ctid = r.it");
	TAP_HAS(moves, "t.\"Id\" = ANY (ARRAY[r.it])");
	TAP_HAS(moves, "NULL::text AS event_id, t.k::text AS key");
	TAP_HAS(moves, "sha256(t.p)");
	TAP_HAS(moves, "SELECT E'public.it''s', id");
	free(marks);
	free(moves);
}

int
main(void)
{
	tap_suite("receipts");
	tap_test("arrays in step, NULL where nothing is known", test_bound);
	tap_test("the table's own names", test_names);
	return tap_run();
}
