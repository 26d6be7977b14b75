/* test_holds.c - topics and partitions that do not take events: who waits, who tries, and who looks again from where. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool calloc_fails;

static void *
failing_calloc(size_t count, size_t size)
{
	return calloc_fails ? NULL : calloc(count, size);
}

#define calloc(count, size) failing_calloc(count, size)
#include "relay/holds.c"
#undef calloc

#include "support/tap.h"

static struct holds hs;
static bool gently;
static int64_t now_us, gauges[METRICS_COUNT];
static int logged, told;

int64_t
clock_mono_us(void)
{
	return now_us;
}

void
log_write(const struct log *log, int priority, const char *id, const char *fmt, ...)
{
	(void)log, (void)priority, (void)id, (void)fmt;
	logged++;
}

void
log_fields(const struct log *log, int priority, const char *id, const struct log_field *fields, const char *fmt, ...)
{
	(void)fields, (void)fmt;
	log_write(log, priority, id, "%s", "");
}

void
metrics_set(struct metrics_scope *s, enum metric id, int64_t value)
{
	(void)s;
	gauges[id] = value;
}

static void
on_lifted(void *ctx)
{
	(void)ctx;
	told++;
}

static void
setup(void)
{
	hs = (struct holds){.lifted = on_lifted};
	now_us = 1000000;
	logged = told = 0;
	calloc_fails = false;
	memset(gauges, 0, sizeof(gauges));
}

static void
teardown(void)
{
	holds_done(&hs);
	CU_ASSERT_FALSE(holds_any(&hs));
}

static void
refuse(int lane, const char *topic, int64_t id)
{
	TAP_INT(holds_refuse(&hs, lane, topic, id, "not authorised", now_us), 0);
}

static void
test_nothing_held(void)
{
	CU_ASSERT_FALSE(holds_block(&hs, 0, "t", 3, 1));
	holds_accept(&hs, "t", true);
	holds_unstick(&hs, "t", 3);
	holds_forget(&hs, 0);
	CU_ASSERT(holds_look_from(&hs, 0, &gently) == INT64_MAX);
	CU_ASSERT(holds_due(&hs, 0) == CLOCK_NEVER);
	TAP_INT(told + logged, 0);
}

/* From the refusal to the accepted probe; the lanes that passed by events look from there, and only then publish again. */
static void
test_refused(void)
{
	struct probe probe;

	refuse(0, "t", 50);
	refuse(0, "t", 40);
	TAP_INT(gauges[METRIC_TOPICS_HELD], 1);
	CU_ASSERT_TRUE(holds_block(&hs, 1, "t", 3, 70));
	CU_ASSERT_TRUE(holds_block(&hs, 1, "t", -1, 60));
	CU_ASSERT_FALSE(holds_block(&hs, 1, "u", 3, 70));
	CU_ASSERT_FALSE(holds_probe(&hs, 0, now_us, &probe));
	CU_ASSERT(holds_due(&hs, 0) > now_us && holds_due(&hs, 0) <= now_us + PROBE_MIN_MS * 1000);
	CU_ASSERT(holds_due(&hs, 2) == CLOCK_NEVER);
	now_us = holds_due(&hs, 1);
	CU_ASSERT_FALSE(holds_probe(&hs, 2, now_us, &probe)); /* it has no such event */
	CU_ASSERT_TRUE_FATAL(holds_probe(&hs, 1, now_us, &probe));
	TAP_STR(probe.topic, "t");
	TAP_INT(probe.from_id, 60);
	CU_ASSERT_FALSE(holds_probe(&hs, 0, now_us, &probe)); /* one at a time */
	CU_ASSERT(holds_due(&hs, 0) == CLOCK_NEVER);
	holds_accept(&hs, "t", false); /* an event from before proves nothing */
	CU_ASSERT_TRUE(holds_block(&hs, 1, "t", 3, 71));
	holds_accept(&hs, "t", true);
	TAP_INT(told, 1);
	TAP_INT(gauges[METRIC_TOPICS_HELD], 0);
	CU_ASSERT_FALSE(holds_block(&hs, 2, "t", 3, 80));
	CU_ASSERT_TRUE(holds_block(&hs, 1, "t", 3, 72));
	TAP_INT(holds_due(&hs, 1), 0);
	TAP_INT(holds_look_from(&hs, 1, &gently), 60);
	CU_ASSERT_TRUE(gently);
	CU_ASSERT_FALSE(holds_block(&hs, 1, "t", 3, 60));
	CU_ASSERT_TRUE(holds_block(&hs, 0, "t", 3, 90));
	TAP_INT(holds_look_from(&hs, 0, &gently), 40);
	CU_ASSERT_FALSE(holds_any(&hs));
	TAP_INT(logged, 2);
}

/* Each refused probe makes the pause longer, up to a limit; the rest of a refused batch does not. */
static void
test_pauses(void)
{
	struct probe probe;
	int64_t pause_us = 0;

	refuse(0, "t", 1);
	for (int i = 0; i < 20; i++) {
		pause_us = holds_due(&hs, 0) - now_us;
		now_us = holds_due(&hs, 0);
		CU_ASSERT_TRUE_FATAL(holds_probe(&hs, 0, now_us, &probe));
		for (int k = 0; k < 100; k++)
			refuse(0, "t", 1 + k);
	}
	CU_ASSERT(pause_us > PROBE_MAX_MS * 500 && pause_us <= PROBE_MAX_MS * 1000);
	TAP_INT(logged, 1);
	holds_probe_failed(&hs, "t", now_us); /* no probe is out */
	CU_ASSERT(holds_due(&hs, 0) > now_us);
	now_us = holds_due(&hs, 0);
	CU_ASSERT_TRUE(holds_probe(&hs, 0, now_us, &probe));
	holds_probe_failed(&hs, "t", now_us);
	CU_ASSERT(holds_due(&hs, 0) > now_us);
}

/* A probe that finds no event of the topic looks further on; where there is none, the hold ends. */
static void
test_missed(void)
{
	struct probe probe;

	refuse(0, "t", 5);
	now_us = holds_due(&hs, 0);
	CU_ASSERT_TRUE(holds_probe(&hs, 0, now_us, &probe));
	holds_probe_missed(&hs, 0, "t", 105, now_us);
	CU_ASSERT_TRUE(holds_probe(&hs, 0, now_us, &probe));
	TAP_INT(probe.from_id, 105);
	holds_probe_missed(&hs, 0, "t", INT64_MAX, now_us);
	CU_ASSERT_FALSE(holds_any(&hs));
	TAP_INT(gauges[METRIC_TOPICS_HELD], 0);
}

/* A lane that was lost looks from the bottom when it is back, whoever owns it: it awaits nothing, and its probe is nobody's. */
static void
test_forgotten(void)
{
	struct probe probe;

	refuse(0, "t", 5);
	CU_ASSERT_TRUE(holds_block(&hs, 1, "t", 0, 9));
	now_us = holds_due(&hs, 0);
	CU_ASSERT_TRUE(holds_probe(&hs, 0, now_us, &probe));
	holds_forget(&hs, 0);
	CU_ASSERT_TRUE(holds_probe(&hs, 1, now_us, &probe));
	holds_forget(&hs, 1);
	/* still held: the next event that comes is the one to try with */
	CU_ASSERT_TRUE(holds_block(&hs, 0, "t", 0, 12));
	CU_ASSERT_TRUE(holds_probe(&hs, 0, now_us, &probe));
	holds_accept(&hs, "t", true);
	holds_forget(&hs, 0);
	CU_ASSERT_FALSE(holds_any(&hs));
}

/* A partition that keeps what it gets is held as long as it does. */
static void
test_stuck(void)
{
	holds_stick(&hs, "t", 3, now_us);
	holds_stick(&hs, "t", 3, now_us);
	TAP_INT(gauges[METRIC_PARTITIONS_HELD], 1);
	CU_ASSERT_TRUE(holds_block(&hs, 0, "t", 3, 9));
	CU_ASSERT_FALSE(holds_block(&hs, 0, "t", 4, 8));
	CU_ASSERT_FALSE(holds_block(&hs, 0, "t", -1, 8));
	CU_ASSERT(holds_due(&hs, 0) == CLOCK_NEVER);
	holds_unstick(&hs, "t", 3);
	CU_ASSERT_TRUE(holds_block(&hs, 0, "t", 3, 10));
	holds_unstick(&hs, "t", 3);
	TAP_INT(told, 1);
	TAP_INT(gauges[METRIC_PARTITIONS_HELD], 0);
	holds_unstick(&hs, "t", 3);
	TAP_INT(holds_look_from(&hs, 0, &gently), 9);
	CU_ASSERT_FALSE(gently); /* it refused nothing */
	CU_ASSERT_FALSE(holds_any(&hs));
}

/* Where it is not known which partition, it may be any. */
static void
test_stuck_nowhere(void)
{
	holds_stick(&hs, "t", -1, now_us);
	TAP_INT(gauges[METRIC_TOPICS_HELD], 1);
	CU_ASSERT_TRUE(holds_block(&hs, 0, "t", 7, 9));
	holds_accept(&hs, "t", true); /* of another lane; this one's event is still on its way */
	CU_ASSERT_TRUE(holds_block(&hs, 0, "t", 7, 10));
	holds_unstick(&hs, "t", -1);
	TAP_INT(holds_look_from(&hs, 0, &gently), 9);
}

/* Several partitions without an answer, and the topic is held as a whole, until any of it answers. */
static void
test_mute(void)
{
	for (int i = 0; i < STUCK_PARTITIONS - 1; i++)
		holds_stick(&hs, "t", i, now_us);
	CU_ASSERT_FALSE(holds_block(&hs, 0, "t", 20, 9));
	holds_stick(&hs, "t", 10, now_us);
	CU_ASSERT_TRUE(holds_block(&hs, 0, "t", 20, 9));
	CU_ASSERT(holds_due(&hs, 0) == CLOCK_NEVER);
	CU_ASSERT_FALSE(holds_block(&hs, 0, "u", 1, 9));
	holds_accept(&hs, "t", false);
	TAP_INT(holds_look_from(&hs, 0, &gently), 9);
	CU_ASSERT_FALSE(holds_block(&hs, 0, "t", 20, 9));
	CU_ASSERT_TRUE(holds_block(&hs, 0, "t", 1, 9));
}

/* A mute topic that refuses in the end is tried like any other that refuses. */
static void
test_mute_then_refused(void)
{
	struct probe probe;

	for (int i = 0; i < STUCK_PARTITIONS; i++)
		holds_stick(&hs, "t", i, now_us);
	refuse(0, "t", 4);
	for (int i = 0; i < STUCK_PARTITIONS; i++)
		holds_unstick(&hs, "t", i);
	now_us = holds_due(&hs, 0);
	CU_ASSERT_TRUE(holds_probe(&hs, 0, now_us, &probe));
	holds_accept(&hs, "t", true);
	TAP_INT(holds_look_from(&hs, 0, &gently), 4);
	CU_ASSERT_FALSE(holds_any(&hs));
}

static void
test_no_memory(void)
{
	calloc_fails = true;
	TAP_INT(holds_refuse(&hs, 0, "t", 1, "no", now_us), -1);
	holds_stick(&hs, "t", 3, now_us);
	holds_unstick(&hs, "t", 3);
	CU_ASSERT_FALSE(holds_any(&hs));
	calloc_fails = false;
	for (int i = 0; i < STUCK_PARTITIONS - 1; i++)
		holds_stick(&hs, "t", i, now_us);
	holds_stick(&hs, "t", 9, now_us);
	CU_ASSERT_TRUE(holds_block(&hs, 0, "t", 9, 1));
}

static void
test_described(void)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;

	refuse(0, "t", 1);
	holds_stick(&hs, "u", 3, now_us);
	now_us += 5000;
	holds_describe(&hs, &text);
	TAP_STR(buf_str(&text), "topic \"t\" held for 5 ms: not authorised; topic \"u\" partition 3 held for 5 ms: it does not answer, 1 events with Kafka");
}

/* Nothing of what its partitions kept was accepted: taken back from a producer that was made anew, for example. */
static void
test_a_mute_topic_is_tried_again_when_nothing_is_kept_any_more(void)
{
	for (int i = 0; i < STUCK_PARTITIONS; i++)
		holds_stick(&hs, "t", i, now_us);
	CU_ASSERT_TRUE(holds_block(&hs, 2, "t", STUCK_PARTITIONS, 70));
	for (int i = 0; i < STUCK_PARTITIONS; i++) {
		CU_ASSERT_TRUE(holds_block(&hs, 2, "t", STUCK_PARTITIONS, 71));
		holds_unstick(&hs, "t", i);
	}
	TAP_INT(holds_look_from(&hs, 2, &gently), 70);
	CU_ASSERT_FALSE(holds_block(&hs, 2, "t", STUCK_PARTITIONS, 70));
	TAP_INT(gauges[METRIC_TOPICS_HELD], 0);
}

/* An operator's hold: nobody tries, and each lane looks again from what it passed by. */
static void
test_paused(void)
{
	struct probe probe;

	holds_pause(&hs, "t", now_us);
	holds_pause(&hs, "t", now_us);
	CU_ASSERT_TRUE(holds_any(&hs));
	CU_ASSERT_FALSE(holds_trouble(&hs));
	TAP_INT(gauges[METRIC_TOPICS_HELD], 0);
	CU_ASSERT_TRUE(holds_block(&hs, 1, "t", 3, 70));
	CU_ASSERT_TRUE(holds_block(&hs, 1, "t", -1, 60));
	CU_ASSERT_FALSE(holds_block(&hs, 1, "u", 3, 70));
	holds_accept(&hs, "t", false); /* what was on its way */
	CU_ASSERT_TRUE(holds_block(&hs, 1, "t", 3, 80));
	CU_ASSERT(holds_due(&hs, 1) == CLOCK_NEVER);
	CU_ASSERT_FALSE(holds_probe(&hs, 1, now_us + 1000000000, &probe));
	CU_ASSERT(holds_look_from(&hs, 1, &gently) == INT64_MAX);
	holds_resume(&hs, "u");
	TAP_INT(told, 0);
	holds_resume(&hs, "t");
	TAP_INT(told, 1);
	CU_ASSERT_TRUE(holds_block(&hs, 1, "t", 3, 90)); /* not before it has looked again */
	CU_ASSERT_FALSE(holds_block(&hs, 2, "t", 3, 90));
	CU_ASSERT(holds_due(&hs, 1) == 0);
	CU_ASSERT(holds_look_from(&hs, 1, &gently) == 60);
	CU_ASSERT_FALSE(gently);
	CU_ASSERT_FALSE(holds_any(&hs));
	holds_resume(&hs, "t");
	holds_pause(&hs, "t", now_us);
	holds_resume(&hs, "t"); /* nobody passed by anything */
	CU_ASSERT_FALSE(holds_any(&hs));
	TAP_INT(told, 1);
	TAP_INT(logged, 0);
}

/* It refuses besides: not tried while it is paused, and held still when it is not any more. */
static void
test_paused_and_refused(void)
{
	struct probe probe;

	holds_pause(&hs, "t", now_us);
	refuse(0, "t", 40);
	CU_ASSERT_TRUE(holds_trouble(&hs));
	TAP_INT(gauges[METRIC_TOPICS_HELD], 1);
	now_us += PROBE_MAX_MS * 1000;
	CU_ASSERT(holds_due(&hs, 0) == CLOCK_NEVER);
	CU_ASSERT_FALSE(holds_probe(&hs, 0, now_us, &probe));
	holds_resume(&hs, "t");
	TAP_INT(told, 0);
	CU_ASSERT_TRUE(holds_block(&hs, 1, "t", 3, 90));
	CU_ASSERT_TRUE_FATAL(holds_probe(&hs, 0, now_us, &probe));
	TAP_INT(probe.from_id, 40);
	holds_pause(&hs, "t", now_us);
	holds_accept(&hs, "t", true); /* the topic would, the operator would not */
	CU_ASSERT_FALSE(holds_trouble(&hs));
	CU_ASSERT_TRUE(holds_block(&hs, 2, "t", 3, 91));
	holds_resume(&hs, "t");
	TAP_INT(told, 1);
	CU_ASSERT(holds_look_from(&hs, 0, &gently) == 40);
	CU_ASSERT(holds_look_from(&hs, 2, &gently) == 91);
}

/* Asked for again with each look at the database. */
static void
test_paused_without_memory(void)
{
	calloc_fails = true;
	holds_pause(&hs, "t", now_us);
	CU_ASSERT_FALSE(holds_block(&hs, 0, "t", 3, 1));
	calloc_fails = false;
	holds_pause(&hs, "t", now_us);
	CU_ASSERT_TRUE(holds_block(&hs, 0, "t", 3, 1));
}

int
main(void)
{
	tap_suite_fixture("holds", setup, teardown);
	tap_test("nothing is held", test_nothing_held);
	tap_test("a topic refuses, until a probe is accepted", test_refused);
	tap_test("pauses between probes grow", test_pauses);
	tap_test("a probe that finds nothing", test_missed);
	tap_test("a lane that is lost awaits nothing", test_forgotten);
	tap_test("a partition keeps events", test_stuck);
	tap_test("some partition keeps events", test_stuck_nowhere);
	tap_test("a whole topic keeps events", test_mute);
	tap_test("a mute topic refuses", test_mute_then_refused);
	tap_test("without memory there is no hold", test_no_memory);
	tap_test("a topic is paused", test_paused);
	tap_test("a paused topic refuses", test_paused_and_refused);
	tap_test("a topic is paused once there is memory", test_paused_without_memory);
	tap_test("described", test_described);
	tap_test("a mute topic is tried again when nothing is kept any more",
	         test_a_mute_topic_is_tried_again_when_nothing_is_kept_any_more);
	return tap_run();
}
