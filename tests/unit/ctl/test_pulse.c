/* test_pulse.c - rates by two looks, from whoever knows them best. */
#include "ctl/pulse.h"

#include "support/tap.h"

static struct config cfg = {.outbox = {.table = (char []){"t"}, .settle = SETTLE_MARK}};

static struct look
look_of(int64_t at_s, int64_t pending, const char *metrics)
{
	struct look l = {.at_us = at_s * 1000000, .survey = {.lanes = 4, .stats = {.pending = pending, .pending_exact = true}}};

	l.endpoint = ENDPOINT_INIT;
	buf_add_str(&l.endpoint.metrics, metrics);
	return l;
}

static void
done(struct look *a, struct look *b)
{
	endpoint_done(&a->endpoint);
	endpoint_done(&b->endpoint);
}

#define OWNED(n) "pgoutbox_lanes_owned{outbox=\"t\"} " #n "\n"
#define SENT(n) "pgoutbox_events_sent_total{outbox=\"t\"} " #n "\n"

static void
test_one_relay(void)
{
	struct look a = look_of(10, 50, SENT(1000) OWNED(4)), b = look_of(12, 70, SENT(1100) OWNED(4));
	struct pulse p = pulse_of(&a, &b, &cfg);

	CU_ASSERT_DOUBLE_EQUAL(p.out, 50, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(p.in, 60, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(p.end_to_end_p50, -1, 0);
	a.survey.stats.pending = 1000;
	CU_ASSERT_DOUBLE_EQUAL(pulse_of(&a, &b, &cfg).in, 0, 0);
	a.survey.stats.pending_exact = false; /* then the statistics tell what came */
	b.survey.inserted = 30;
	CU_ASSERT_DOUBLE_EQUAL(pulse_of(&a, &b, &cfg).in, 15, 1e-9);
	done(&a, &b);
}

static void
test_restarted(void)
{
	struct look a = look_of(10, 0, SENT(1000) OWNED(4)), b = look_of(11, 0, SENT(30) OWNED(4));

	CU_ASSERT_DOUBLE_EQUAL(pulse_of(&a, &b, &cfg).out, 30, 1e-9);
	done(&a, &b);
}

/* Others send too, or nobody answers. */
static void
test_database(void)
{
	struct look a = look_of(10, 5, SENT(1000) OWNED(4)), b = look_of(12, 5, SENT(1100) OWNED(3));
	struct pulse p;

	a.survey.inserted = a.survey.updated = a.survey.deleted = 100;
	b.survey.inserted = 120;
	b.survey.updated = 140;
	b.survey.deleted = 160;
	p = pulse_of(&a, &b, &cfg);
	CU_ASSERT_DOUBLE_EQUAL(p.in, 10, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(p.out, 20, 1e-9);
	cfg.outbox.settle = SETTLE_DELETE;
	CU_ASSERT_DOUBLE_EQUAL(pulse_of(&a, &b, &cfg).out, 30, 1e-9);
	cfg.outbox.settle = SETTLE_MARK;
	b.survey.updated = b.survey.inserted = 0; /* the statistics were reset */
	p = pulse_of(&a, &b, &cfg);
	CU_ASSERT(p.in < 0 && p.out < 0);
	b.at_us = a.at_us;
	p = pulse_of(&a, &b, &cfg);
	CU_ASSERT(p.in < 0 && p.out < 0);
	done(&a, &b);
}

static void
test_latency(void)
{
#define BUCKETS(n) "pgoutbox_end_to_end_seconds_bucket{outbox=\"t\",le=\"0.01\"} " #n "\n" \
	"pgoutbox_end_to_end_seconds_bucket{outbox=\"t\",le=\"+Inf\"} " #n "\n"
	struct look a = look_of(10, 5, BUCKETS(10)), b = look_of(12, 5, BUCKETS(20));
	struct look none = look_of(9, 5, "");
	struct pulse p = pulse_of(&a, &b, &cfg);

	CU_ASSERT_DOUBLE_EQUAL(p.end_to_end_p50, 0.005, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(p.end_to_end_p99, 0.0099, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(p.acknowledgement_p99, -1, 0);
	CU_ASSERT_DOUBLE_EQUAL(pulse_of(&none, &b, &cfg).end_to_end_p50, -1, 0);
	endpoint_done(&none.endpoint);
	done(&a, &b);
}

int
main(void)
{
	tap_suite("pulse");
	tap_test("a relay that has all lanes", test_one_relay);
	tap_test("a relay that began anew", test_restarted);
	tap_test("the database's statistics", test_database);
	tap_test("latency", test_latency);
	return tap_run();
}
