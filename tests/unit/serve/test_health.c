/* Verdicts and their lines. The loop is replaced: only the time of its last turn counts here. */
#include "serve/health.c"

#include "support/tap.h"

#define SECONDS(n) ((n) * INT64_C(1000000))

static int64_t last_turn_us;

int64_t
loop_last_turn_us(const struct loop *l)
{
	(void)l;
	return last_turn_us;
}

static struct health *h;
static struct buf out;

static struct health *
make(const char *const *outboxes, size_t count)
{
	struct error err;
	struct health *made = NULL;
	struct health_options opt = {.outboxes = outboxes,
	                             .outboxes_count = count,
	                             .loop_stall_us = SECONDS(10),
	                             .outage_threshold_us = SECONDS(10)};
	TAP_INT_FATAL(health_new(&opt, &made, &err), 0);
	return made;
}

static void
all_ok(struct health *health, size_t outbox)
{
	for (enum health_check c = 0; c < HEALTH_CHECKS; c++)
		health_set(health, outbox, c, HEALTH_OK, NULL, SECONDS(1000));
}

static void
setup(void)
{
	static const char *const outboxes[] = {"outbox_events"};
	last_turn_us = SECONDS(1000);
	h = make(outboxes, 1);
	all_ok(h, 0);
	out = BUF_INIT;
}

static void
teardown(void)
{
	health_free(h);
	buf_done(&out);
}

static const char *
ready_text(bool verbose, int64_t now_us)
{
	buf_reset(&out);
	health_ready(h, verbose, now_us, &out);
	return buf_str(&out);
}

static void
ready_when_all_is_well(void)
{
	CU_ASSERT_TRUE(health_ready(h, false, SECONDS(1000), NULL));
	CU_ASSERT_TRUE(health_live(h, false, SECONDS(1000), NULL));
	TAP_STR(ready_text(false, SECONDS(1000)), "ready: yes\n");
	TAP_STR(ready_text(true, SECONDS(1000)),
	        "[+]loop ok\n[+]postgresql ok\n[+]kafka ok\n[+]schema ok\n[+]lanes ok\n[+]progress ok\nready: yes\n");
}

static void
not_ready_at_the_start(void)
{
	static const char *const outboxes[] = {"t"};
	struct health *fresh = make(outboxes, 1);
	int64_t now_us = clock_mono_us();
	last_turn_us = now_us;
	CU_ASSERT_FALSE(health_ready(fresh, false, now_us, &out));
	TAP_STR(buf_str(&out), "[-]postgresql: starting, for 0 s\n[-]kafka: starting, for 0 s\n"
	                       "[-]schema: starting, for 0 s\n[-]lanes: starting, for 0 s\n[-]progress: starting, for 0 s\nready: no\n");
	CU_ASSERT_TRUE(health_live(fresh, false, now_us, NULL));
	health_free(fresh);
}

static void
outage_counts_after_the_threshold(void)
{
	last_turn_us = SECONDS(1020);
	health_set(h, 0, HEALTH_KAFKA, HEALTH_OUTAGE, "no broker answers", SECONDS(1001));
	CU_ASSERT_TRUE(health_ready(h, false, SECONDS(1011) - 1, NULL));
	TAP_STR(ready_text(true, SECONDS(1004)),
	        "[+]loop ok\n[+]postgresql ok\n[+]kafka ok, but no broker answers, for 3 s\n[+]schema ok\n[+]lanes ok\n[+]progress ok\n"
	        "ready: yes\n");
	CU_ASSERT_FALSE(health_ready(h, false, SECONDS(1011), NULL));
	TAP_STR(ready_text(false, SECONDS(1013)), "[-]kafka: no broker answers, for 12 s\nready: no\n");
	CU_ASSERT_TRUE(health_live(h, false, SECONDS(1013), NULL));
}

/* A new reason does not make the outage younger; a recovery does. */
static void
outage_keeps_its_beginning(void)
{
	last_turn_us = SECONDS(1012);
	health_set(h, 0, HEALTH_KAFKA, HEALTH_OUTAGE, "one", SECONDS(1001));
	health_set(h, 0, HEALTH_KAFKA, HEALTH_OUTAGE, "two", SECONDS(1009));
	CU_ASSERT_FALSE(health_ready(h, false, SECONDS(1011), NULL));
	health_set(h, 0, HEALTH_KAFKA, HEALTH_OK, NULL, SECONDS(1012));
	CU_ASSERT_TRUE(health_ready(h, false, SECONDS(1012), NULL));
	health_set(h, 0, HEALTH_KAFKA, HEALTH_OUTAGE, "three", SECONDS(1013));
	CU_ASSERT_TRUE(health_ready(h, false, SECONDS(1014), NULL));
}

static void
failure_counts_at_once(void)
{
	health_set(h, 0, HEALTH_SCHEMA, HEALTH_FAILED, "no table \"outbox_events\"", SECONDS(1000));
	TAP_STR(ready_text(false, SECONDS(1000)), "[-]schema: no table \"outbox_events\", for 0 s\nready: no\n");
	health_set(h, 0, HEALTH_SCHEMA, HEALTH_OK, NULL, SECONDS(1001));
	TAP_STR(ready_text(false, SECONDS(1001)), "ready: yes\n");
}

static void
hanging_loop(void)
{
	CU_ASSERT_TRUE(health_live(h, false, SECONDS(1010), NULL));
	CU_ASSERT_FALSE(health_live(h, false, SECONDS(1010) + 1, NULL));
	CU_ASSERT_FALSE(health_ready(h, false, SECONDS(1010) + 1, NULL));
	CU_ASSERT_FALSE(health_live(h, true, SECONDS(1025), &out));
	TAP_STR(buf_str(&out), "[-]loop: has not turned for 25 s\nlive: no\n");
	last_turn_us = SECONDS(1025);
	CU_ASSERT_TRUE(health_live(h, true, SECONDS(1025), NULL));
}

static void
several_outboxes(void)
{
	static const char *const outboxes[] = {"a", "b"};
	struct health *two = make(outboxes, 2);
	all_ok(two, 0);
	all_ok(two, 1);
	CU_ASSERT_TRUE(health_ready(two, false, SECONDS(1000), NULL));
	health_set(two, 1, HEALTH_LANES, HEALTH_FAILED, "none owned", SECONDS(1000));
	CU_ASSERT_FALSE(health_ready(two, true, SECONDS(1000), &out));
	TAP_STR(buf_str(&out), "[+]loop ok\n[+]a/postgresql ok\n[+]a/kafka ok\n[+]a/schema ok\n[+]a/lanes ok\n[+]a/progress ok\n"
	                       "[+]b/postgresql ok\n[+]b/kafka ok\n[+]b/schema ok\n[-]b/lanes: none owned, for 0 s\n[+]b/progress ok\n"
	                       "ready: no\n");
	health_free(two);
}

static void
reasons_are_cut_and_cleaned(void)
{
	char reason[400], expected[400] = "[-]kafka: ";
	memset(reason, 'x', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	health_set(h, 0, HEALTH_KAFKA, HEALTH_FAILED, reason, SECONDS(1000));
	memset(expected + strlen(expected), 'x', 200);
	strcat(expected, ", for 0 s\nready: no\n");
	TAP_STR(ready_text(false, SECONDS(1000)), expected);
	health_set(h, 0, HEALTH_KAFKA, HEALTH_FAILED, "a\n[+]kafka ok\r\x7f\x1b[1m", SECONDS(1000));
	TAP_STR(ready_text(false, SECONDS(1000)), "[-]kafka: a [+]kafka ok   [1m, for 0 s\nready: no\n");
}

int
main(void)
{
	tap_suite_fixture("health", setup, teardown);
	tap_test("ready when all is well", ready_when_all_is_well);
	tap_test("not ready at the start", not_ready_at_the_start);
	tap_test("an outage counts after the threshold", outage_counts_after_the_threshold);
	tap_test("an outage keeps its beginning", outage_keeps_its_beginning);
	tap_test("a failure counts at once", failure_counts_at_once);
	tap_test("a hanging loop", hanging_loop);
	tap_test("several outboxes", several_outboxes);
	tap_test("reasons are cut and cleaned", reasons_are_cut_and_cleaned);
	return tap_run();
}
