/* test_gate.c - who may go first, who waits for it, and what becomes of those. A key begins with its partition. */
#include <stdlib.h>

static int allocation_fails;

#define malloc(size) (allocation_fails ? NULL : malloc(size))
#define calloc(count, size) (allocation_fails ? NULL : calloc(count, size))
#include "sink/gate.c"
#undef malloc
#undef calloc

#include <stdio.h>

#include "support/tap.h"

static struct topic *topic;
static bool ripe;

int32_t
topics_partition(const struct topic *t, struct slice key)
{
	int32_t partitions = t->partitions;

	return key.data == NULL || partitions == 0 ? -1 : (key.data[0] - '0') % partitions;
}

static int32_t
placed(const rd_kafka_topic_t *handle, const void *key, size_t bytes, int32_t partitions, void *t, void *opaque)
{
	(void)handle, (void)key, (void)bytes, (void)partitions, (void)t, (void)opaque;
	return 0;
}

static void
setup(void)
{
	allocation_fails = 0;
	ripe = false;
	topic = calloc(1, sizeof *topic + 8);
	CU_ASSERT_PTR_NOT_NULL_FATAL(topic);
	memcpy(topic->name, "orders", 7);
	topic->place = placed;
	topic->ripe = &ripe;
	topic->partitions = 4;
	gate_init(&topic->gate, 0);
}

static void
teardown(void)
{
	gate_done(&topic->gate);
	free(topic);
}

static bool
admit(const char *key)
{
	if (!gate_admit(topic, slice_from(key), 1000))
		return false;
	topic->in_flight++;
	return true;
}

static void
keep(const char *key)
{
	struct message m = {.topic = "orders", .key = slice_from(key)};

	TAP_INT_FATAL(gate_keep(topic, &m, NULL), 0);
}

static void
report(const char *key, enum send_class class)
{
	topic->in_flight--;
	gate_reported(topic, topics_partition(topic, slice_from(key)), slice_from(key), class, 1000);
}

/* The keys that gate_take() gives, each with the letter of its fate. */
static const char *
taken(void)
{
	static const char letter[] = {'-', 'o', 't', 'p', 'f'};
	static char text[256];
	struct waiting *w;
	size_t used = 0;

	text[0] = '\0';
	while ((w = gate_take(topic, 1000)) != NULL) {
		used += (size_t)snprintf(text + used, sizeof text - used, "%.*s%c ", (int)w->m.key.len, w->m.key.data,
		                         letter[w->fate]);
		if (w->fate == SEND_OK)
			topic->in_flight++;
		waiting_free(w);
	}
	CU_ASSERT_FALSE(topic->gate.ripe);
	return text;
}

static void
test_one_a_partition(void)
{
	CU_ASSERT_TRUE(admit("1a"));
	CU_ASSERT_FALSE(admit("1b"));
	CU_ASSERT_TRUE(admit("2a"));
	CU_ASSERT_TRUE(gate_was_first(topic, 1, slice_from("1a")));
	CU_ASSERT_FALSE(gate_was_first(topic, 3, slice_from("3a")));
	keep("1b");
	keep("2b");
	keep("1c");
	report("1a", SEND_OK);
	CU_ASSERT_TRUE(ripe);
	TAP_STR(taken(), "1b- 1c- ");
	CU_ASSERT_FALSE(gate_was_first(topic, 1, slice_from("1b")));
	CU_ASSERT_TRUE(admit("1d"));
	CU_ASSERT_FALSE(admit("2c"));
	report("2a", SEND_OK);
	TAP_STR(taken(), "2b- ");
	/* An empty list takes new ones at its end. */
	CU_ASSERT_TRUE(admit("3a"));
	keep("3b");
	report("3a", SEND_OK);
	TAP_STR(taken(), "3b- ");
}

static void
test_an_hour_later(void)
{
	CU_ASSERT_TRUE(admit("1a"));
	report("1a", SEND_OK);
	CU_ASSERT_TRUE(gate_admit(topic, slice_from("1b"), 999 + OPEN_US));
	CU_ASSERT_TRUE(gate_admit(topic, slice_from("1b"), 1000 + OPEN_US));
	CU_ASSERT_FALSE(gate_admit(topic, slice_from("1c"), 1000 + OPEN_US));
}

static void
test_no_key(void)
{
	CU_ASSERT_TRUE(gate_admit(topic, SLICE_NULL, 1));
	CU_ASSERT_TRUE(gate_admit(topic, SLICE_NULL, 1));
	/* From now on a first message may have had company. */
	CU_ASSERT_TRUE(admit("1a"));
	CU_ASSERT_FALSE(gate_was_first(topic, 1, slice_from("1a")));
	gate_reported(topic, 1, SLICE_NULL, SEND_OK, 1000);
	CU_ASSERT_FALSE(admit("1b"));
	topic->place = NULL;
	CU_ASSERT_TRUE(admit("1b"));
}

static void
test_topic_trouble(void)
{
	CU_ASSERT_TRUE(admit("1a"));
	CU_ASSERT_TRUE(admit("2a"));
	keep("1b");
	keep("2b");
	keep("1a");
	report("1a", SEND_TOPIC);
	TAP_STR(taken(), "1bt 1at ");
	CU_ASSERT_TRUE(admit("1a"));
	report("2a", SEND_OK);
	TAP_STR(taken(), "2b- ");
	/* An open partition shuts: the topic may be another one when it comes back. */
	report("2b", SEND_TOPIC);
	CU_ASSERT_TRUE(admit("2c"));
	CU_ASSERT_FALSE(admit("2d"));
}

static void
test_poison(void)
{
	CU_ASSERT_TRUE(admit("1a"));
	keep("1a");
	keep("1b");
	keep("1c");
	keep("1a");
	report("1a", SEND_POISON);
	TAP_STR(taken(), "1ao 1b- 1ao ");
	report("1b", SEND_OK);
	TAP_STR(taken(), "1c- ");
}

/* Without partitions one message looks for them. */
static void
test_scout(void)
{
	topic->partitions = 0;
	CU_ASSERT_TRUE(admit("1a"));
	CU_ASSERT_TRUE(gate_was_first(topic, -1, slice_from("1a")));
	CU_ASSERT_FALSE(admit("2a"));
	TAP_INT(gate_tick(topic, 1000), CLOCK_NEVER);
	keep("2a");
	keep("1b");
	TAP_INT(gate_tick(topic, 1000), 1000 + LOOK_FIRST_US);
	TAP_INT(gate_tick(topic, 1000 + LOOK_FIRST_US), 1000 + 3 * LOOK_FIRST_US);
	topic->partitions = 4;
	CU_ASSERT_FALSE(admit("3a"));
	CU_ASSERT_FALSE(ripe);
	TAP_INT(gate_tick(topic, 2000), CLOCK_NEVER);
	CU_ASSERT_TRUE(ripe);
	TAP_STR(taken(), "2a- ");
	report("1a", SEND_OK);
	TAP_STR(taken(), "1b- ");
}

static void
test_scout_fails(void)
{
	topic->partitions = 0;
	CU_ASSERT_TRUE(admit("1a"));
	keep("2a");
	keep("1b");
	report("1a", SEND_TOPIC);
	TAP_STR(taken(), "2at 1bt ");
	CU_ASSERT_TRUE(admit("2a"));
	CU_ASSERT_FALSE(admit("1a"));
}

static void
test_limit(void)
{
	topic->gate.shut_until_us = 5000;
	CU_ASSERT_FALSE(admit("1a"));
	keep("1a");
	keep("1b");
	keep("2a");
	TAP_INT(gate_tick(topic, 4999), 5000);
	CU_ASSERT_FALSE(ripe);
	gate_limit_known(topic);
	gate_spoil(topic, topic->gate.first, SEND_POISON, "too large");
	TAP_STR(topic->gate.first->reason, "too large");
	TAP_STR(taken(), "1ap 1b- 2a- ");
	topic->gate.shut_until_us = 5000;
	keep("3a");
	TAP_INT(gate_tick(topic, 5000), CLOCK_NEVER);
	TAP_STR(taken(), "3a- ");
}

static void
test_all_fail(void)
{
	gate_fail(topic, SEND_FATAL);
	CU_ASSERT_FALSE(ripe);
	CU_ASSERT_TRUE(admit("1a"));
	keep("1b");
	gate_fail(topic, SEND_FATAL);
	CU_ASSERT_TRUE(ripe);
	TAP_STR(taken(), "1bf ");
}

/* Keys move when partitions are added, so all begin anew; and nothing waits for what will not come. */
static void
test_partitions_change(void)
{
	CU_ASSERT_TRUE(admit("1a"));
	keep("1b");
	topic->partitions = 8;
	report("1a", SEND_OK);
	CU_ASSERT_TRUE(ripe);
	TAP_STR(taken(), "1b- ");
	CU_ASSERT_TRUE(admit("5a"));
	keep("5b");
	topic->in_flight = 1;
	report("2x", SEND_OK);
	TAP_STR(taken(), "5b- ");
}

static void
test_bytes_are_copied(void)
{
	char key[] = "1b", name[] = "id", value[] = "abc";
	struct header headers[] = {{name, {value, 3}}, {name, SLICE_NULL}, {name, {value, 0}}};
	struct message m = {"orders", {key, 2}, {value, 3}, 77, headers, 3};
	struct waiting *w;

	TAP_INT_FATAL(gate_keep(topic, &m, key), 0);
	memset(key, '?', 2);
	memset(name, '?', 2);
	memset(headers, 0, sizeof headers);
	w = topic->gate.first;
	CU_ASSERT_TRUE(slice_equal(w->m.key, slice_from("1b")));
	CU_ASSERT_PTR_EQUAL(w->m.value.data, value);
	CU_ASSERT_PTR_EQUAL(w->opaque, key);
	TAP_INT(w->m.timestamp_ms, 77);
	TAP_STR(w->m.headers[2].name, "id");
	CU_ASSERT_TRUE(slice_equal(w->m.headers[0].value, slice_from("abc")));
	CU_ASSERT_TRUE(slice_is_null(w->m.headers[1].value));
	CU_ASSERT_FALSE(slice_is_null(w->m.headers[2].value));
}

/* Then there is no gate, and nobody waits. */
static void
test_no_memory(void)
{
	struct message m = {.topic = "orders", .key = slice_from("1a")};

	allocation_fails = 1;
	TAP_INT(gate_keep(topic, &m, NULL), -1);
	CU_ASSERT_TRUE(admit("1a"));
	CU_ASSERT_TRUE(admit("1b"));
	report("1a", SEND_OK);
	topic->partitions = 0;
	CU_ASSERT_TRUE(admit("1c"));
	CU_ASSERT_TRUE(admit("1d"));
}

int
main(void)
{
	tap_suite_fixture("gate", setup, teardown);
	tap_test("one message a partition, then all", test_one_a_partition);
	tap_test("one again after an hour's rest", test_an_hour_later);
	tap_test("messages without a key pass", test_no_key);
	tap_test("topic trouble takes those of the partition along", test_topic_trouble);
	tap_test("poison takes those of its key along", test_poison);
	tap_test("the first of all finds the partitions", test_scout);
	tap_test("the first of all fails with all", test_scout_fails);
	tap_test("the limit is waited for, not long", test_limit);
	tap_test("all fail together", test_all_fail);
	tap_test("partitions that change begin anew", test_partitions_change);
	tap_test("what waits is a copy", test_bytes_are_copied);
	tap_test("without memory nobody waits", test_no_memory);
	return tap_run();
}
