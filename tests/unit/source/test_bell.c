/* test_bell.c - the doorbell over a scripted session: what it asks, and whom it rings. */
#include "source/bell.c"

#include <string.h>

#include "support/tap.h"

struct session {
	struct session_events events;
	bool open, busy;
};

static struct session session;
static struct buf sent;
static struct session_options session_options;
static struct statements st;
static const struct lane_shared shared = {.session = &session_options, .statements = &st};
static struct bell *b;
static int ready, answered, notified, lost;
static int rang[LANES_MAX], rang_count;
static struct error lost_error;

int64_t
clock_mono_us(void)
{
	return 1;
}

struct session *
session_new(const struct session_options *opt, const char *name, const struct session_events *events)
{
	(void)opt;
	TAP_STR(name, "pgoutboxd bell");
	session = (struct session){.events = *events};
	return &session;
}

void
session_free(struct session *s)
{
	(void)s;
}

struct watch *
session_watch(struct session *s)
{
	(void)s;
	return NULL;
}

void
session_open(struct session *s)
{
	s->open = true;
}

void
session_close(struct session *s)
{
	s->open = s->busy = false;
}

bool
session_is_busy(const struct session *s)
{
	return s->busy;
}

void
session_prepare(struct session *s, const char *name, const char *sql)
{
	(void)s;
	TAP_STR(sql, "the bell");
	buf_printf(&sent, "P:%s ", name);
}

void
session_query(struct session *s, const char *sql)
{
	(void)s;
	buf_printf(&sent, "%s ", sql);
}

void
session_execute(struct session *s, const char *name, int n, const char *const *values, const int *lengths, const int *formats)
{
	(void)s, (void)lengths, (void)formats;
	TAP_INT(n, 3);
	buf_printf(&sent, "%s %s %s %s ", name, values[0], values[1], values[2]);
}

void
session_round_send(struct session *s, int64_t now_us)
{
	(void)now_us;
	s->busy = true;
	buf_add_str(&sent, "sync");
}

int
session_result_error(const PGresult *res, const char *doing, struct error *err)
{
	(void)res;
	return error_set(err, ERR_RETRY, "%s", doing);
}

static void
on_test_ready(void *ctx)
{
	(void)ctx;
	ready++;
}

static void
on_test_answered(void *ctx, const int *lanes, int count, int64_t elapsed_us)
{
	(void)ctx;
	TAP_INT(elapsed_us, 42);
	memcpy(rang, lanes, (size_t)count * sizeof(rang[0]));
	rang_count = count;
	answered++;
}

static void
on_test_notified(void *ctx)
{
	(void)ctx;
	notified++;
}

static void
on_test_lost(void *ctx, const struct error *err)
{
	(void)ctx;
	CU_ASSERT_FALSE(bell_can_ask(b));
	lost_error = *err;
	lost++;
}

static void
begin(bool listen)
{
	struct bell_events events = {
		.ready = on_test_ready, .answered = on_test_answered, .notified = on_test_notified, .lost = on_test_lost};

	ready = answered = notified = lost = rang_count = 0;
	st.bell = (char *)(uintptr_t) "the bell";
	b = bell_new(&shared, listen, &events);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	bell_open(b);
	CU_ASSERT_FALSE(bell_can_ask(b));
	session.events.ready(session.events.ctx);
	CU_ASSERT_FALSE(bell_can_ask(b));
}

static void
end(void)
{
	bell_free(b);
	buf_done(&sent);
}

static void
answer(PGresult *res, int failed)
{
	struct round r = {.results = {res}, .count = 1, .failed = failed, .elapsed_us = 42};

	session.busy = false;
	session.events.round(session.events.ctx, &r);
	PQclear(res);
}

static PGresult *
lanes_result(int from, int count)
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc attr = {.name = (char *)(uintptr_t) "lane", .typlen = 4, .atttypmod = -1};
	char text[12];

	PQsetResultAttrs(res, 1, &attr);
	for (int i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "%d", from + i);
		PQsetvalue(res, i, 0, text, (int)strlen(text));
	}
	return res;
}

static void
test_asks(void)
{
	struct bell_question q = {.lanes = {0, 63}, .from_ids = {INT64_MIN + 1, 17}, .count = 2};

	begin(false);
	TAP_STR(buf_str(&sent), "P:bell sync");
	answer(lanes_result(0, 0), -1);
	TAP_INT(ready, 1);
	TAP_INT(answered, 0);
	CU_ASSERT_TRUE(bell_can_ask(b));
	buf_reset(&sent);
	bell_ask(b, &q, 1);
	CU_ASSERT_FALSE(bell_can_ask(b));
	TAP_STR(buf_str(&sent), "bell {0,63} {-9223372036854775807,17} {} sync");
	answer(lanes_result(62, 2), -1);
	TAP_INT(answered, 1);
	TAP_INT(rang_count, 2);
	TAP_INT(rang[1], 63);
	CU_ASSERT_TRUE(bell_can_ask(b));
	/* a word for the server alone */
	buf_reset(&sent);
	bell_ask(b, &(struct bell_question){.held_keys = "{\"k\"}"}, 1);
	TAP_STR(buf_str(&sent), "bell {} {} {\"k\"} sync");
	answer(lanes_result(0, LANES_MAX + 5), -1);
	TAP_INT(rang_count, LANES_MAX);
	end();
}

static void
test_listens(void)
{
	begin(true);
	TAP_STR(buf_str(&sent), "P:bell LISTEN pgoutbox sync");
	session.events.notified(session.events.ctx);
	TAP_INT(notified, 1);
	end();
}

static void
test_fails_and_is_lost(void)
{
	struct error err;

	begin(false);
	answer(lanes_result(0, 0), 0);
	TAP_INT(lost, 1);
	TAP_INT(ready, 0);
	TAP_STR(lost_error.message, "could not ask for pending events");
	CU_ASSERT_FALSE(session.open);
	bell_open(b);
	session.events.ready(session.events.ctx);
	answer(lanes_result(0, 0), -1);
	error_set(&err, ERR_RETRY, "gone");
	session.events.lost(session.events.ctx, &err);
	TAP_INT(lost, 2);
	bell_open(b);
	session.events.ready(session.events.ctx);
	answer(lanes_result(0, 0), -1);
	TAP_INT(ready, 2);
	bell_close(b);
	CU_ASSERT_FALSE(bell_can_ask(b));
	end();
}

int
main(void)
{
	tap_suite("bell");
	tap_test("asks", test_asks);
	tap_test("listens", test_listens);
	tap_test("fails, and is lost", test_fails_and_is_lost);
	return tap_run();
}
