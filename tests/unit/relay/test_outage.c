/* Tests of src/relay/outage.c: which outages are told, when, and with what. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "relay/outage.c"

#include "support/tap.h"

#define SECOND INT64_C(1000000)

static struct outage o;
static int64_t now_us;
static char logged[1024];

int64_t
clock_mono_us(void)
{
	return now_us;
}

uint64_t
metrics_get(const struct metrics_scope *s, enum metric id, unsigned label)
{
	(void)s;
	TAP_INT(id, METRIC_PENDING_EVENTS);
	TAP_INT(label, 0);
	return 77;
}

static int posts[WEBHOOK_KINDS];

void
webhook_tell(struct webhook *w, const struct webhook_news *news)
{
	CU_ASSERT_PTR_NULL(w);
	TAP_STR(news->side, o.side == METRIC_SIDE_KAFKA ? "kafka" : "postgresql");
	TAP_INT(news->backlog, 77);
	posts[news->kind]++;
}

static void
add_fields(const char *id, const struct log_field *fields, const char *text, const char *hint)
{
	size_t len = strlen(logged);

	len += (size_t)snprintf(logged + len, sizeof(logged) - len, "%s \"%s\" \"%s\"", id, text, hint);
	for (; fields->name != NULL; fields++)
		len += (size_t)snprintf(logged + len, sizeof(logged) - len, " %s=%" PRId64, fields->name, fields->number);
	snprintf(logged + len, sizeof(logged) - len, "\n");
}

void
log_fields(const struct log *log, int priority, const char *id, const struct log_field *fields, const char *fmt, ...)
{
	char text[256];
	va_list args;

	(void)log;
	TAP_INT(priority, LOG_NOTICE);
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	add_fields(id, fields, text, "");
}

void
log_error_fields(const struct log *log, int priority, const char *id, const struct log_field *fields, const struct error *err)
{
	(void)log;
	TAP_INT(priority, LOG_ERR);
	add_fields(id, fields, err->message, err->hint);
}

static void
setup(void)
{
	now_us = 5000 * SECOND;
	logged[0] = '\0';
	outage_init(&o, METRIC_SIDE_KAFKA, NULL, NULL);
	TAP_INT(o.timer.deadline_us, CLOCK_NEVER);
}

static void
begin(const char *reason)
{
	struct error err;

	error_set(&err, ERR_RETRY, "%s", reason);
	outage_begin(&o, &err);
}

static void
said(const char *wanted)
{
	TAP_STR(logged, wanted);
	logged[0] = '\0';
}

static void
wait_for_timer(void)
{
	CU_ASSERT_FATAL(o.timer.deadline_us != CLOCK_NEVER);
	CU_ASSERT(o.timer.deadline_us > now_us);
	now_us = o.timer.deadline_us;
	o.timer.fire(&o.timer, 0, now_us);
}

#define BEGIN(reason, outages) \
	"kafka-outage-begin \"Kafka does not serve: " reason "\" \"events wait in the table and are sent once it serves again\" " \
	"backlog=77 outages=" outages "\n"
#define END(ms, outages) \
	"kafka-outage-end \"Kafka serves again after " ms " ms; 77 events wait in the table\" \"\" duration_ms=" ms " backlog=77 outages=" \
	outages "\n"

static void
test_begin_and_end(void)
{
	outage_end(&o);
	said("");
	begin("no broker answers");
	said(BEGIN("no broker answers", "1"));
	begin("still none");
	said("");
	now_us += 1500000;
	outage_end(&o);
	outage_end(&o);
	said(END("1500", "1"));
	TAP_INT(o.timer.deadline_us, CLOCK_NEVER);
	now_us += OUTAGE_PAUSE_US;
	begin("gone");
	said(BEGIN("gone", "1"));
}

static void
test_postgresql_keeps_its_hint(void)
{
	struct error err;

	outage_init(&o, METRIC_SIDE_POSTGRESQL, NULL, NULL);
	error_set(&err, ERR_RETRY, "refused");
	error_hint(&err, "start it");
	outage_begin(&o, &err);
	said("postgresql-outage-begin \"PostgreSQL does not serve: refused\" \"start it\" backlog=77 outages=1\n");
}

/* An hour of a side that comes and goes ten times a second, and stays away in the end. */
static void
test_flapping(void)
{
	int lines = 0;

	for (int i = 0; i < 36000; i++, now_us += 100000) {
		if (now_us >= o.timer.deadline_us)
			o.timer.fire(&o.timer, 0, now_us);
		if (i % 2 == 0)
			begin("x");
		else
			outage_end(&o);
		lines += logged[0] != '\0';
		logged[0] = '\0';
	}
	CU_ASSERT(lines > 360 && lines <= 2 * 361);
	begin("for good");
	while (o.timer.deadline_us != CLOCK_NEVER)
		wait_for_timer();
	CU_ASSERT(o.told_down);
}

/* What is over before it may be told is told with the next one. */
static void
test_short_ones_are_counted(void)
{
	begin("a");
	now_us += SECOND;
	outage_end(&o);
	logged[0] = '\0';
	for (int i = 0; i < 3; i++) {
		now_us += SECOND;
		begin("b");
		outage_end(&o);
	}
	said("");
	TAP_INT(o.timer.deadline_us, CLOCK_NEVER);
	now_us += SECOND;
	begin("c");
	said("");
	TAP_INT(o.timer.deadline_us, 5010 * SECOND);
	wait_for_timer();
	said(BEGIN("c", "4"));
	now_us += SECOND;
	outage_end(&o);
	said(END("6000", "1"));
}

/* It was told to be away, and came back for a moment in which nothing could be told: it is the same outage. */
static void
test_the_end_may_wait(void)
{
	begin("a");
	now_us += SECOND;
	outage_end(&o);
	now_us += 9 * SECOND;
	begin("b");
	logged[0] = '\0';
	now_us += SECOND / 2;
	outage_end(&o);
	said("");
	now_us += SECOND / 4;
	begin("c");
	said("");
	TAP_INT(o.timer.deadline_us, CLOCK_NEVER);
	now_us += 5 * SECOND;
	outage_end(&o);
	said(END("5750", "2"));
}

int
main(void)
{
	tap_suite_fixture("outage", setup, NULL);
	tap_test("a line for the begin, a line for the end", test_begin_and_end);
	tap_test("PostgreSQL keeps its hint", test_postgresql_keeps_its_hint);
	tap_test("one that comes and goes fills no log", test_flapping);
	tap_test("short ones are counted", test_short_ones_are_counted);
	tap_test("the end may wait", test_the_end_may_wait);
	return tap_run();
}
