/* test_outlet.c - producers that fail and are made anew, and when Kafka counts as away. */
#include <stdarg.h>
#include <stdio.h>

#include "relay/outlet.c"

#include "support/tap.h"

struct producer {
	struct watch watch;
	struct producer_events events;
	size_t in_flight;
};

#define STALL_MS 4000

static struct producer producer;
static int made, freed, make_fails, sends, purges;
static int64_t now_us;
static struct watch *timer;
static int watches, add_fails_at; /* the n-th of loop_add(); 0 = none */
static char logged[64];
static const char *warmed;
static struct outlet *o;
static int reports, rebuilt, serves, drained;
static bool up;
static uint64_t counters[METRICS_COUNT];
static int64_t gauges[METRICS_COUNT];
static size_t asked_batch_bytes;
static struct error err;

int64_t
clock_mono_us(void)
{
	return now_us;
}

int64_t
clock_coarse_us(void)
{
	return now_us;
}

int64_t
clock_wall_us(void)
{
	return now_us;
}

void
log_write(const struct log *log, int priority, const char *id, const char *fmt, ...)
{
	va_list args;
	int len = snprintf(logged, sizeof(logged), "%d %s ", priority, id);

	(void)log;
	va_start(args, fmt);
	vsnprintf(logged + len, sizeof(logged) - (size_t)len, fmt, args);
	va_end(args);
}

void
log_error(const struct log *log, int priority, const char *id, const struct error *e)
{
	(void)log, (void)priority, (void)id, (void)e;
}

void
metrics_add(struct metrics_scope *s, enum metric id, uint64_t n)
{
	(void)s;
	counters[id] += n;
}

void
metrics_set(struct metrics_scope *s, enum metric id, int64_t value)
{
	(void)s;
	gauges[id] = value;
}

void
metrics_add_at(struct metrics_scope *s, enum metric id, unsigned label, uint64_t n)
{
	(void)s, (void)id, (void)n, (void)label;
}

void
metrics_set_at(struct metrics_scope *s, enum metric id, unsigned label, int64_t value)
{
	(void)s, (void)id, (void)label, (void)value;
}

int
loop_add(struct loop *l, struct watch *w, struct error *e)
{
	(void)l;
	if (add_fails_at > 0 && --add_fails_at == 0)
		return error_set(e, ERR_RETRY, "no memory");
	if (timer == NULL)
		timer = w;
	watches++;
	return 0;
}

void
loop_remove(struct loop *l, struct watch *w)
{
	(void)l, (void)w;
	watches--;
}

int
producer_new(const struct producer_options *opt, const struct producer_events *events, struct producer **ret_producer, struct error *e)
{
	asked_batch_bytes = opt->batch_bytes;
	if (make_fails)
		return error_set(e, ERR_RETRY, "no threads");
	made++;
	producer = (struct producer){.events = *events};
	*ret_producer = &producer;
	return 0;
}

void
producer_free(struct producer *p)
{
	CU_ASSERT_PTR_EQUAL(p, &producer);
	freed++;
}

struct watch *
producer_watch(struct producer *p)
{
	return &p->watch;
}

int
producer_send(struct producer *p, const struct message *m, void *opaque, enum send_class *ret_class, struct error *e)
{
	(void)m, (void)opaque, (void)ret_class, (void)e;
	p->in_flight++;
	sends++;
	return 0;
}

void
producer_warm_topic(struct producer *p, const char *topic)
{
	(void)p;
	warmed = topic;
}

int32_t
producer_partition(const struct producer *p, const char *topic, struct slice key)
{
	(void)p, (void)topic;
	return (int32_t)key.len;
}

void
producer_purge(struct producer *p)
{
	(void)p;
	purges++;
}

size_t
producer_in_flight(const struct producer *p)
{
	return p->in_flight;
}

size_t
producer_batch_bytes(const struct producer *p)
{
	(void)p;
	return 777;
}

static void
on_test_report(void *ctx, struct slot *slot, const struct report *r)
{
	(void)ctx, (void)slot, (void)r;
	reports++;
}

static void
on_test_rebuilt(void *ctx)
{
	(void)ctx;
	TAP_INT(outlet_in_flight(o), 0);
	rebuilt++;
}

static void
on_test_drained(void *ctx)
{
	(void)ctx;
	TAP_INT(outlet_in_flight(o), 0);
	drained++;
}

static void
on_test_serves(void *ctx, bool now_up, const char *reason)
{
	(void)ctx;
	CU_ASSERT((reason == NULL) == now_up);
	serves++;
	up = now_up;
}

static void
setup(void)
{
	struct outlet_options opt = {.stall_ms = STALL_MS};
	struct outlet_events events = {.report = on_test_report, .rebuilt = on_test_rebuilt, .serves = on_test_serves, .drained = on_test_drained};

	memset(counters, 0, sizeof(counters));
	memset(gauges, 0, sizeof(gauges));
	add_fails_at = 0;
	warmed = NULL;
	made = freed = make_fails = sends = purges = reports = rebuilt = serves = drained = watches = 0;
	up = true;
	timer = NULL;
	now_us = 1000000;
	TAP_INT(outlet_new(&opt, &events, &o, &err), 0);
	TAP_INT(watches, 2);
}

static void
teardown(void)
{
	outlet_free(o);
	TAP_INT(watches, 0);
	TAP_INT(made, freed);
}

static int
send(enum send_class *ret_class)
{
	struct slot slot = {0};
	struct message m = {0};

	return outlet_send(o, &m, &slot, ret_class, &err);
}

static void
report(enum send_class class)
{
	struct report r = {.class = class, .reason = class == SEND_OK ? NULL : "x"};

	producer.in_flight--;
	producer.events.report(producer.events.ctx, &r);
}

/* To the timer's next deadline. */
static void
sleep_and_fire(void)
{
	CU_ASSERT_FATAL(timer->deadline_us != CLOCK_NEVER);
	if (timer->deadline_us > now_us)
		now_us = timer->deadline_us;
	timer->fire(timer, 0, now_us);
}

static void
test_stall(void)
{
	enum send_class class;

	CU_ASSERT(timer->deadline_us == CLOCK_NEVER);
	TAP_INT(send(&class), 0);
	now_us += 3000000;
	TAP_INT(send(&class), 0);
	report(SEND_OK);
	TAP_INT(reports, 1);
	/* one report came: the other has its time from then on */
	sleep_and_fire();
	CU_ASSERT_TRUE(outlet_serves(o));
	TAP_INT(timer->deadline_us, 4000000 + STALL_MS * 1000);
	sleep_and_fire();
	CU_ASSERT_FALSE(outlet_serves(o) || up);
	CU_ASSERT_TRUE(outlet_reachable(o)); /* brokers are there, they only do not answer */
	CU_ASSERT(timer->deadline_us > now_us);
	sleep_and_fire();
	TAP_INT(serves, 1);
	report(SEND_OK);
	CU_ASSERT_TRUE(outlet_serves(o) && up);
	sleep_and_fire();
	CU_ASSERT(timer->deadline_us == CLOCK_NEVER);
	/* quiet for long, then a send: no stall at once */
	now_us += 100000000;
	TAP_INT(send(&class), 0);
	TAP_INT(timer->deadline_us, now_us + STALL_MS * 1000);
}

static void
test_failures_are_no_sign_of_service(void)
{
	enum send_class class;

	TAP_INT(outlet_partition(o, "t", slice_from("four")), 4);
	producer.events.reachable(producer.events.ctx, false, "no broker");
	CU_ASSERT_FALSE(outlet_reachable(o));
	CU_ASSERT_FALSE(up);
	TAP_INT(send(&class), 0);
	report(SEND_OUTAGE);
	CU_ASSERT_FALSE(up);
	producer.events.reachable(producer.events.ctx, true, NULL);
	CU_ASSERT_TRUE(outlet_reachable(o));
	CU_ASSERT_TRUE(up);
	TAP_INT(serves, 2);
}

static void
test_fatal(void)
{
	enum send_class class;

	TAP_INT(send(&class), 0);
	producer.events.fatal(producer.events.ctx, "gone");
	/* until the loop comes by nothing goes to the dead one */
	TAP_INT(send(&class), -1);
	TAP_INT(class, SEND_OUTAGE);
	TAP_INT(rebuilt, 0);
	CU_ASSERT(timer->deadline_us <= now_us);
	sleep_and_fire();
	TAP_INT(rebuilt, 1);
	TAP_INT(freed, 1);
	TAP_INT(made, 1);
	TAP_INT(send(&class), -1);
	TAP_INT(class, SEND_OUTAGE);
	sleep_and_fire();
	TAP_INT(made, 2);
	TAP_INT(asked_batch_bytes, 777);
	TAP_INT(rebuilt, 1);
	TAP_INT(send(&class), 0);
	TAP_INT(sends, 2);
}

/* What is fatal again and again is made anew ever more slowly, until something is acknowledged. */
static void
test_fatal_again_and_again(void)
{
	enum send_class class;
	int64_t before_us = 0;

	for (int i = 0; i < 20; i++) {
		producer.events.fatal(producer.events.ctx, "gone");
		before_us = now_us;
		for (int tries = 0; made == i + 1 && tries < 4; tries++)
			sleep_and_fire();
		TAP_INT_FATAL(made, i + 2);
	}
	CU_ASSERT(now_us - before_us >= REBUILD_MAX_MS * 1000 / 2);
	TAP_INT(send(&class), 0);
	report(SEND_OK);
	producer.events.fatal(producer.events.ctx, "gone");
	before_us = now_us;
	sleep_and_fire();
	sleep_and_fire();
	CU_ASSERT(now_us - before_us <= REBUILD_MIN_MS * 1000);
}

static void
test_cannot_be_made(void)
{
	enum send_class class;

	make_fails = 1;
	producer.events.fatal(producer.events.ctx, "gone");
	for (int i = 0; i < 5; i++) {
		int64_t before_us = now_us;

		sleep_and_fire();
		CU_ASSERT(i == 0 || now_us > before_us);
		TAP_INT(outlet_in_flight(o), 0);
		TAP_INT(send(&class), -1);
		outlet_purge(o);
		outlet_warm_topic(o, "t");
	}
	make_fails = 0;
	sleep_and_fire();
	TAP_INT(made, 2);
	TAP_INT(rebuilt, 1);
}

/* Before a restart is through nothing goes out, and it is no outage. */
static void
test_restart(void)
{
	enum send_class class;

	TAP_INT(send(&class), 0);
	TAP_INT(send(&class), 0);
	now_us += 100 * STALL_MS * 1000;
	outlet_restart(o);
	TAP_INT(purges, 1);
	TAP_INT(send(&class), -1);
	TAP_INT(class, SEND_OUTAGE);
	report(SEND_OK);
	CU_ASSERT(timer->deadline_us > now_us);
	timer->fire(timer, 0, now_us);
	TAP_INT(freed, 0);
	TAP_INT(serves, 0);
	report(SEND_OUTAGE);
	TAP_INT(reports, 2);
	CU_ASSERT(timer->deadline_us <= now_us);
	TAP_INT(send(&class), -1);
	sleep_and_fire();
	TAP_INT(freed, 1);
	TAP_INT(made, 2);
	TAP_INT(rebuilt, 1);
	TAP_INT(send(&class), 0);
	TAP_INT(serves, 0);
	report(SEND_OK);
	CU_ASSERT(timer->deadline_us > now_us);
}

static void
test_restart_without_reports(void)
{
	enum send_class class;
	int64_t before_us = now_us;

	outlet_restart(o); /* with nothing in flight: at once */
	sleep_and_fire();
	TAP_INT(now_us, before_us);
	TAP_INT(made, 2);
	TAP_INT(send(&class), 0);
	outlet_restart(o);
	sleep_and_fire();
	TAP_INT(now_us, before_us + RESTART_US);
	TAP_INT(rebuilt, 2);
	TAP_INT(made, 3);
	/* one that has failed is gone soon, but may not send until then; its successor waits */
	producer.events.fatal(producer.events.ctx, "gone");
	outlet_restart(o);
	TAP_INT(purges, 3);
	sleep_and_fire();
	TAP_INT(freed, 3);
	TAP_INT(made, 3);
	outlet_restart(o); /* there is none */
	sleep_and_fire();
	TAP_INT(made, 4);
	CU_ASSERT(now_us > before_us + RESTART_US);
	TAP_INT(send(&class), 0);
}

/* At the end: nothing follows. */
static void
test_purge(void)
{
	enum send_class class;

	TAP_INT(send(&class), 0);
	outlet_purge(o);
	TAP_INT(send(&class), -1);
	report(SEND_OUTAGE);
	now_us += 100 * STALL_MS * 1000;
	timer->fire(timer, 0, now_us);
	CU_ASSERT(timer->deadline_us == CLOCK_NEVER);
	TAP_INT(made, 1);
	TAP_INT(freed, 0);
	TAP_INT(serves, 0);
}

/* Who comes while others keep Kafka busy waits for the last of them. */
static void
test_busy(void)
{
	enum send_class class;

	CU_ASSERT_FALSE(outlet_busy(o));
	for (int i = 0; i < BUSY_EVENTS; i++)
		TAP_INT_FATAL(send(&class), 0);
	CU_ASSERT_TRUE(outlet_busy(o));
	report(SEND_OK);
	CU_ASSERT_FALSE(outlet_busy(o));
	for (int i = 2; i < BUSY_EVENTS; i++)
		report(SEND_OK);
	TAP_INT(drained, 0);
	report(SEND_TOPIC);
	TAP_INT(drained, 1);
}

static void
test_abandon(void)
{
	outlet_abandon(o);
	TAP_INT(freed, 1);
	TAP_INT(outlet_in_flight(o), 0);
	outlet_abandon(NULL);
}

static void
test_new_fails(void)
{
	struct outlet_options opt = {.stall_ms = STALL_MS};
	struct outlet_events events = {.report = on_test_report, .drained = on_test_drained};
	struct outlet *other = NULL;
	int before = watches;

	make_fails = 1;
	TAP_INT(outlet_new(&opt, &events, &other, &err), -1);
	CU_ASSERT_PTR_NULL(other);
	TAP_INT(watches, before);
	make_fails = 0;
	for (int i = 1; i <= 2; i++) {
		int still_made = made - freed;

		add_fails_at = i;
		TAP_INT(outlet_new(&opt, &events, &other, &err), -1);
		CU_ASSERT_PTR_NULL(other);
		TAP_INT(watches, before);
		TAP_INT(made - freed, still_made);
	}
}

/* What librdkafka says goes to the log as it is; a percent sign in it is no format. */
static void
test_log(void)
{
	producer.events.log(producer.events.ctx, LOG_WARNING, "disk 100%s full");
	TAP_STR(logged, "4 librdkafka disk 100%s full");
}

static void
test_warm(void)
{
	outlet_warm_topic(o, "orders");
	TAP_STR(warmed, "orders");
	outlet_abandon(o);
	warmed = NULL;
	outlet_warm_topic(o, "orders");
	CU_ASSERT_PTR_NULL(warmed);
}

/* Counters of librdkafka begin again with each producer, and fall when a broker leaves; ours only grow. */
static void
test_statistics(void)
{
	struct statistics st = {.queue_messages = 3, .queue_bytes = 400, .requests_waiting = 2, .rtt_p99_us = 5000,
	                        .throttle_us = 7000, .timeouts = 4, .retries = 6};

	producer.events.statistics(o, &st);
	TAP_INT(gauges[METRIC_KAFKA_QUEUE_MESSAGES], 3);
	TAP_INT(gauges[METRIC_KAFKA_QUEUE_BYTES], 400);
	TAP_INT(gauges[METRIC_KAFKA_REQUESTS_WAITING], 2);
	TAP_INT(gauges[METRIC_KAFKA_RTT], 5000);
	TAP_INT(gauges[METRIC_KAFKA_THROTTLE], 7000);
	st.timeouts = 3;
	st.retries = 8;
	producer.events.statistics(o, &st);
	TAP_INT(counters[METRIC_KAFKA_TIMEOUTS], 4);
	TAP_INT(counters[METRIC_KAFKA_RETRIES], 8);
	outlet_restart(o);
	timer->fire(timer, 0, now_us);
	TAP_INT(made, 2);
	producer.events.statistics(o, &st);
	TAP_INT(counters[METRIC_KAFKA_TIMEOUTS], 7);
	TAP_INT(counters[METRIC_KAFKA_RETRIES], 16);
}

int
main(void)
{
	tap_suite_fixture("outlet", setup, teardown);
	tap_test("a stall is an outage", test_stall);
	tap_test("failed reports are no sign of service", test_failures_are_no_sign_of_service);
	tap_test("a fatal producer is made anew", test_fatal);
	tap_test("fatal again and again", test_fatal_again_and_again);
	tap_test("none can be made", test_cannot_be_made);
	tap_test("a restart: nothing goes out before it is through", test_restart);
	tap_test("a restart that hears no reports, or needs none", test_restart_without_reports);
	tap_test("purged for good", test_purge);
	tap_test("busy, and drained", test_busy);
	tap_test("abandoned", test_abandon);
	tap_test("making one fails", test_new_fails);
	tap_test("what librdkafka says", test_log);
	tap_test("warms a topic", test_warm);
	tap_test("statistics become metrics", test_statistics);
	return tap_run();
}
