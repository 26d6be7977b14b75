/* Tests of src/admin/compare.c: each kind of difference by itself, and what must not be taken for one. */
#include "admin/compare.h"

#include <stdio.h>
#include <stdlib.h>

#include "support/tap.h"

enum { OLDEST_MS = 5000, MINUTE_US = 60000000, PLACES = 4, FINDINGS = 16 };

/* Two topics: partitions 0 to 2 of one, 0 of the other. */
static struct compare_place places[PLACES];
static bool compacted[2];
static struct compare_options opt;
static struct compare *compare;
static struct compare_report report;
static struct compare_finding findings[FINDINGS];
static size_t found_count;
static int64_t progress;

static void
must(int rc, const struct error *err)
{
	if (rc != 0)
		tap_diag("%s", err->message);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
}

static void
on_found(void *ctx, const struct compare_finding *f)
{
	(void)ctx;
	if (found_count < FINDINGS)
		findings[found_count] = *f;
	found_count++;
}

static void
on_progress(void *ctx, int64_t done)
{
	(void)ctx;
	progress = done;
}

static void
begin(void)
{
	struct error err;

	for (int i = 0; i < PLACES; i++)
		places[i] = (struct compare_place){.topic = i == 3, .partition = i % 3};
	compacted[0] = compacted[1] = false;
	opt = (struct compare_options){
		.topics = 2, .compacted = compacted, .oldest_ms = OLDEST_MS, .memory_bytes = 4096, .found = on_found, .progress = on_progress};
	found_count = 0;
	progress = 0;
	must(compare_new(&opt, &compare, &err), &err);
}

static void
end(void)
{
	compare_free(&compare);
}

static void
again(void)
{
	struct error err;

	compare_free(&compare);
	must(compare_new(&opt, &compare, &err), &err);
	found_count = 0;
}

static struct fingerprint
print_of(int64_t event, uint64_t key)
{
	return (struct fingerprint){
		.id = {(uint64_t)event * UINT64_C(0x9e3779b97f4a7c15), (uint64_t)event},
		.key = key,
		.payload = 7,
		.headers = 8,
		.timestamp_ms = 10000 + event,
		.has_id = true,
		.has_key = true,
	};
}

/* A row that was sent long ago, and its message. */
static struct compare_row
row_of(int64_t event, uint64_t key)
{
	return (struct compare_row){.fp = print_of(event, key), .id = event, .sent_us = (event + 1) * MINUTE_US, .place = -1, .offset = -1, .due = true};
}

static struct compare_message
message_of(int64_t event, uint64_t key, size_t place, int64_t offset)
{
	return (struct compare_message){.fp = print_of(event, key), .place = place, .offset = offset};
}

static void
add_row(struct compare_row row)
{
	struct error err;

	must(compare_add_row(compare, &row, &err), &err);
}

static void
add_message(struct compare_message m)
{
	struct error err;

	must(compare_add_message(compare, &m, &err), &err);
}

static void
add_both(int64_t event, uint64_t key, size_t place, int64_t offset)
{
	add_row(row_of(event, key));
	add_message(message_of(event, key, place, offset));
}

static void
run(void)
{
	struct error err;

	must(compare_run(compare, places, PLACES, &report, &err), &err);
}

static void
counts_are(int missing, int duplicate, int out_of_order, int split_key, int altered, int unknown)
{
	TAP_INT(report.counts[COMPARE_MISSING], missing);
	TAP_INT(report.counts[COMPARE_DUPLICATE], duplicate);
	TAP_INT(report.counts[COMPARE_OUT_OF_ORDER], out_of_order);
	TAP_INT(report.counts[COMPARE_SPLIT_KEY], split_key);
	TAP_INT(report.counts[COMPARE_ALTERED], altered);
	TAP_INT(report.counts[COMPARE_UNKNOWN], unknown);
	TAP_INT(found_count, missing + duplicate + out_of_order + split_key + altered + unknown);
}

/* --- nothing, and nothing wrong --- */

static void
empty_sides(void)
{
	run();
	counts_are(0, 0, 0, 0, 0, 0);
	TAP_INT(report.rows + report.messages + report.events + report.keys, 0);
	again();
	add_row(row_of(1, 1));
	run();
	counts_are(1, 0, 0, 0, 0, 0);
	again();
	add_message(message_of(1, 1, 0, 0));
	run();
	counts_are(0, 0, 0, 0, 0, 1);
}

/* More than fit into memory, over all partitions, the rows backwards. */
static void
many(void)
{
	for (int64_t i = 3000; i > 0; i--)
		add_row(row_of(i, (uint64_t)i % 50));
	for (int64_t i = 1; i <= 3000; i++)
		add_message(message_of(i, (uint64_t)i % 50, (size_t)(i % 50 % 3), i));
	run();
	counts_are(0, 0, 0, 0, 0, 0);
	TAP_INT(report.rows, 3000);
	TAP_INT(report.messages, 3000);
	TAP_INT(report.events, 3000);
	TAP_INT(report.keys, 50);
	CU_ASSERT_TRUE(report.disk_bytes > 0);
}

static void
a_hot_key(void)
{
	for (int64_t i = 1; i <= 70000; i++)
		add_both(i, 1, 0, i);
	run();
	counts_are(0, 0, 0, 0, 0, 0);
	TAP_INT(report.keys, 1);
	TAP_INT(progress, 131072);
}

/* --- the kinds --- */

static void
missing(void)
{
	add_both(1, 1, 0, 0);
	add_row(row_of(3, 1));
	add_row(row_of(-2, 1));
	add_both(4, 1, 0, 1);
	run();
	counts_are(2, 0, 0, 0, 0, 0);
	TAP_INT(findings[0].row_id, -2); /* in the order of rows */
	TAP_INT(findings[1].row_id, 3);
	CU_ASSERT_TRUE(findings[0].has_row && !findings[0].has_message);
	TAP_INT(report.events, 2);
}

static void
duplicates(void)
{
	add_both(1, 1, 0, 0);
	add_message(message_of(1, 1, 0, 5));
	add_message(message_of(1, 1, 0, 9));
	add_both(2, 1, 0, 1);
	run();
	counts_are(0, 2, 0, 0, 0, 0);
	TAP_INT(findings[0].offset, 5);
	TAP_INT(findings[1].offset, 9);
	TAP_INT(findings[1].row_id, 1);
	TAP_INT(report.events, 2);
}

static void
out_of_order(void)
{
	add_both(1, 1, 0, 0);
	add_both(2, 1, 0, 3);
	add_both(3, 1, 0, 2);
	add_both(4, 1, 0, 4);
	add_both(5, 2, 0, 1); /* another key may come in between */
	run();
	counts_are(0, 0, 1, 0, 0, 0);
	TAP_INT(findings[0].row_id, 2);
	TAP_INT(findings[0].offset, 3);
	TAP_INT(report.keys, 2);
}

/* Only first occurrences have an order, and what somebody has decided about has none. */
static void
order_is_of_first_occurrences(void)
{
	struct compare_row late = row_of(2, 1);

	add_both(1, 1, 0, 0);
	late.late = true;
	add_row(late);
	add_both(3, 1, 0, 1);
	add_message(message_of(2, 1, 0, 2));
	add_message(message_of(1, 1, 0, 3));
	run();
	counts_are(0, 1, 0, 0, 0, 0);
}

static void
split_keys(void)
{
	add_both(1, 1, 0, 0);
	add_both(2, 1, 1, 0);
	add_both(3, 1, 3, 0); /* another topic */
	places[3].topic = 1;
	run();
	TAP_INT(report.counts[COMPARE_SPLIT_KEY], 1);
	TAP_INT(findings[found_count - 1].row_id, 2);
	TAP_INT(report.counts[COMPARE_ALTERED], 1); /* the row is routed to the first topic */
	TAP_INT(report.keys, 2);
}

static void
no_key_no_order(void)
{
	for (int64_t i = 1; i < 9; i++) {
		struct compare_row row = row_of(i, 0);
		struct compare_message m = message_of(i, 0, (size_t)i % 3, 9 - i);

		row.fp.has_key = m.fp.has_key = false;
		add_row(row);
		add_message(m);
	}
	run();
	counts_are(0, 0, 0, 0, 0, 0);
	TAP_INT(report.events, 8);
}

static void
altered(void)
{
	static const unsigned expected[] = {COMPARE_KEY, COMPARE_PAYLOAD, COMPARE_HEADERS, COMPARE_TIMESTAMP, COMPARE_TOPIC};

	for (size_t i = 0; i < 5; i++) {
		struct compare_message m = message_of(1, 1, 0, 0);

		again();
		m.fp.key += i == 0;
		m.fp.payload += i == 1;
		m.fp.headers += i == 2;
		m.fp.timestamp_ms += i == 3;
		m.place = i == 4 ? 3 : 0;
		add_row(row_of(1, 1));
		add_message(m);
		run();
		counts_are(0, 0, 0, 0, 1, 0);
		TAP_INT(findings[0].altered, expected[i]);
	}
}

/* A time that neither side has from the event says nothing. */
static void
times_of_others(void)
{
	struct compare_row row = row_of(1, 1);
	struct compare_message m = message_of(2, 1, 0, 1);

	row.fp.timestamp_ms = 0;
	add_row(row);
	add_message(message_of(1, 1, 0, 0));
	m.append_time = true;
	m.fp.timestamp_ms += 99;
	add_row(row_of(2, 1));
	add_message(m);
	run();
	counts_are(0, 0, 0, 0, 0, 0);
}

static void
unknown(void)
{
	struct compare_message m = message_of(9, 1, 0, 4);

	add_both(1, 1, 0, 0);
	m.fp.timestamp_ms = OLDEST_MS;
	add_message(m);
	m.offset = 5;
	m.fp.timestamp_ms = OLDEST_MS - 1;
	m.fp.id[0]++;
	add_message(m); /* pruned, perhaps */
	run();
	counts_are(0, 0, 0, 0, 0, 1);
	TAP_INT(findings[0].offset, 4);
	CU_ASSERT_FALSE(findings[0].has_row);
	TAP_INT(report.expired_messages, 1);
}

static void
unknown_twice(void)
{
	struct compare_message marked = message_of(9, 1, 0, 0);

	marked.fp.marked = true;
	add_message(marked);
	add_message(message_of(9, 1, 0, 1));
	add_message(message_of(9, 1, 0, 2));
	run();
	counts_are(0, 1, 0, 0, 0, 1);
	TAP_INT(report.replayed, 1);
}

/* Each is one of its own, whatever is next to it in the order. */
static void
messages_without_an_id(void)
{
	struct compare_message m = message_of(0, 1, 0, 0);
	struct compare_row row = row_of(0, 1);

	row.fp.id[0] = row.fp.id[1] = 0;
	add_row(row);
	m.fp.has_id = false;
	m.fp.id[0] = m.fp.id[1] = 0;
	add_message(m);
	m.offset = 1;
	add_message(m);
	m.place = 1;
	add_message(m);
	run();
	counts_are(1, 0, 0, 0, 0, 3);
}

/* --- what is in order --- */

static void
rows_that_need_not_be_there(void)
{
	struct compare_row unsent = row_of(1, 1), recent = row_of(2, 1), aside = row_of(3, 1), unsettled = row_of(4, 1);

	unsent.sent_us = unsettled.sent_us = 0;
	unsent.due = recent.due = unsettled.due = false;
	aside.aside = aside.late = true;
	add_row(unsent);
	add_row(recent);
	add_row(aside);
	add_row(unsettled);
	add_message(message_of(4, 1, 0, 0));
	run();
	counts_are(0, 0, 0, 0, 0, 0);
	TAP_INT(report.unsent, 1);
	TAP_INT(report.recent, 1);
	TAP_INT(report.aside, 1);
	TAP_INT(report.unsettled, 1);
	TAP_INT(report.events, 1);
}

static void
replayed(void)
{
	struct compare_message once = message_of(1, 1, 0, 9), lost = message_of(2, 1, 0, 10);

	add_both(1, 1, 0, 5);
	once.fp.marked = lost.fp.marked = true;
	add_message(once);
	add_row(row_of(2, 1)); /* only its repetition is there, behind later ones */
	add_message(lost);
	add_both(3, 1, 0, 6);
	run();
	counts_are(0, 0, 0, 0, 0, 0);
	TAP_INT(report.replayed, 2);
	TAP_INT(report.events, 3);
}

static void
headers_that_replay_has_reordered(void)
{
	struct compare_row row = row_of(1, 1);
	struct compare_message marked = message_of(1, 1, 0, 1);

	row.reordered = true;
	row.fp.headers = 99;
	add_row(row);
	add_message(message_of(1, 1, 0, 0));
	run();
	counts_are(0, 0, 0, 0, 0, 0);
	again();
	add_row(row);
	marked.fp.marked = true;
	add_message(marked);
	run();
	counts_are(0, 0, 0, 0, 1, 0);
}

static void
rows_with_one_id(void)
{
	struct compare_row twin = row_of(1, 1);

	add_both(1, 1, 0, 0);
	twin.id = 2;
	add_row(twin);
	run();
	counts_are(0, 0, 0, 0, 0, 0);
	TAP_INT(report.repeated_ids, 1);
}

/* --- what Kafka has dropped --- */

static struct compare_row
row_at(int64_t event, int64_t place, int64_t sent_us)
{
	struct compare_row row = row_of(event, (uint64_t)event);

	row.place = place;
	row.sent_us = sent_us;
	return row;
}

static void
add_found(int64_t event, size_t place, int64_t offset, int64_t sent_us)
{
	add_row(row_at(event, (int64_t)place, sent_us));
	add_message(message_of(event, (uint64_t)event, place, offset));
}

static void
rows_before_the_first_message(void)
{
	const int64_t edge_us = 1000 * (int64_t)MINUTE_US;

	places[0].cut = true;
	add_found(1, 0, 70, edge_us);
	add_found(2, 0, 71, 2 * edge_us);
	add_found(3, 1, 0, MINUTE_US); /* nothing of it has been dropped */
	add_row(row_at(4, 0, edge_us + COMPARE_MARGIN_US));
	add_row(row_at(5, 0, edge_us + COMPARE_MARGIN_US + 1));
	add_row(row_at(6, 1, 30 * (int64_t)MINUTE_US));
	add_row(row_at(7, 2, edge_us)); /* nothing is known of that partition */
	run();
	counts_are(2, 0, 0, 0, 0, 0);
	TAP_INT(findings[0].row_id, 5);
	TAP_INT(findings[1].row_id, 6);
	TAP_INT(report.expired_rows, 2);
}

/* Where partitions were added, no row tells which partition it was sent to: the latest of all counts. */
static void
rows_of_keys_that_moved(void)
{
	const int64_t edge_us = 1000 * (int64_t)MINUTE_US;

	places[0].cut = true;
	add_found(1, 0, 70, edge_us);
	add_row(row_at(2, 2, MINUTE_US));
	add_message(message_of(2, 2, 1, 0));
	add_row(row_at(3, 1, edge_us));
	add_row(row_at(4, -1, edge_us));
	add_row(row_at(5, 1, 2 * edge_us));
	run();
	counts_are(1, 0, 0, 0, 0, 0);
	TAP_INT(findings[0].row_id, 5);
	TAP_INT(report.expired_rows, 2);
}

/* A receipt says for certain. */
static void
rows_with_receipts(void)
{
	struct compare_row gone = row_at(2, 0, MINUTE_US), lost = row_at(3, 0, MINUTE_US), unmoved = row_at(4, 2, MINUTE_US);

	places[0].cut = true;
	places[0].low = 70;
	add_found(1, 0, 71, 1000 * (int64_t)MINUTE_US);
	gone.offset = 69;
	lost.offset = 70;
	unmoved.offset = 0;
	add_row(gone);
	add_row(lost);
	add_row(unmoved);
	add_message(message_of(4, 4, 1, 0)); /* sent twice, the second time to where it was counted */
	add_row(row_at(5, 1, MINUTE_US + COMPARE_MARGIN_US + 1)); /* keys have not moved for that */
	run();
	counts_are(2, 0, 0, 0, 0, 0);
	TAP_INT(findings[0].row_id, 3);
	TAP_INT(findings[1].row_id, 5);
	TAP_INT(report.expired_rows, 1);
}

static void
bare_rows(void)
{
	struct compare_row row = row_of(1, 1);

	row.bare = true;
	row.fp.headers = 0;
	row.fp.timestamp_ms = 1;
	add_row(row);
	add_message(message_of(1, 1, 0, 0));
	run();
	counts_are(0, 0, 0, 0, 0, 0);
	again();
	row.fp.payload++;
	add_row(row);
	add_message(message_of(1, 1, 0, 0));
	run();
	counts_are(0, 0, 0, 0, 1, 0);
	TAP_INT(findings[0].altered, COMPARE_PAYLOAD);
}

static void
compacted_topics(void)
{
	compacted[0] = true;
	add_row(row_of(1, 1));
	run();
	counts_are(0, 0, 0, 0, 0, 0);
	TAP_INT(report.expired_rows, 1);
}

static void
open_transactions(void)
{
	places[2].open = true;
	add_row(row_of(1, 1));
	add_both(2, 1, 0, 0);
	run();
	counts_are(0, 0, 0, 0, 0, 0);
	TAP_INT(report.undecided, 1);
}

/* By the broker's time nobody knows whether a message belongs to the range of rows. */
static void
a_range_and_the_brokers_time(void)
{
	struct compare_message m = message_of(1, 1, 0, 0);

	opt.ranged = true;
	again();
	m.append_time = true;
	add_message(m);
	add_message(message_of(2, 1, 0, 1));
	run();
	counts_are(0, 0, 0, 0, 0, 1);
	TAP_INT(report.expired_messages, 1);
}

static void
the_brokers_clock_is_ahead(void)
{
	for (int i = 0; i < 3; i++) {
		struct compare_message m = message_of(i + 1, 1, 0, i);

		m.append_time = i > 0;
		m.fp.timestamp_ms = OLDEST_MS + COMPARE_MARGIN_US / 1000 - (i < 2);
		add_message(m);
	}
	run();
	TAP_INT(report.counts[COMPARE_UNKNOWN], 2);
	TAP_INT(report.expired_messages, 1);
}

/* Nobody knows on which side of the range the message of such a row is. */
static void
a_range_and_rows_without_a_time(void)
{
	struct compare_row there = row_of(1, 1), elsewhere = row_of(2, 1);

	opt.ranged = true;
	again();
	there.undated = elsewhere.undated = true;
	there.fp.timestamp_ms = elsewhere.fp.timestamp_ms = 0;
	add_row(there);
	add_message(message_of(1, 1, 0, 0));
	add_row(elsewhere);
	run();
	counts_are(0, 0, 0, 0, 0, 0);
	TAP_INT(report.events, 1);
	TAP_INT(report.rows, 1);

	opt.ranged = false;
	again();
	add_row(elsewhere);
	run();
	counts_are(1, 0, 0, 0, 0, 0);
}

int
main(void)
{
	tap_suite_fixture("compare", begin, end);
	tap_test("empty sides", empty_sides);
	tap_test("many events, in runs", many);
	tap_test("a key that has all events", a_hot_key);
	tap_test("missing", missing);
	tap_test("duplicates", duplicates);
	tap_test("out of order", out_of_order);
	tap_test("order is of first occurrences", order_is_of_first_occurrences);
	tap_test("keys in two partitions", split_keys);
	tap_test("no key, no order", no_key_no_order);
	tap_test("altered parts", altered);
	tap_test("times that are not the event's", times_of_others);
	tap_test("unknown, or pruned", unknown);
	tap_test("unknown is told once", unknown_twice);
	tap_test("messages without an id", messages_without_an_id);
	tap_test("rows that need not be there", rows_that_need_not_be_there);
	tap_test("what was replayed", replayed);
	tap_test("headers that replay has written anew", headers_that_replay_has_reordered);
	tap_test("rows with one id", rows_with_one_id);
	tap_test("rows before the first message that is left", rows_before_the_first_message);
	tap_test("rows of keys that moved", rows_of_keys_that_moved);
	tap_test("rows with receipts", rows_with_receipts);
	tap_test("rows of which little is known", bare_rows);
	tap_test("compacted topics", compacted_topics);
	tap_test("open transactions", open_transactions);
	tap_test("a range, and the broker's time", a_range_and_the_brokers_time);
	tap_test("the broker's clock is ahead", the_brokers_clock_is_ahead);
	tap_test("a range, and rows without a time", a_range_and_rows_without_a_time);
	return tap_run();
}
