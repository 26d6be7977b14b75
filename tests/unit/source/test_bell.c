/* test_bell.c - the doorbell over a scripted session: what it asks, and whom it rings. */
#include "source/bell.c"

#include "session_stand_in.h"

static struct session_options session_options;
static struct statements st;
static const struct lane_shared shared = {.session = &session_options, .statements = &st};
static struct bell *b;
static int ready, answered, notified, lost;
static int rang[LANES_MAX], rang_count;
static struct error lost_error;

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
	TAP_INT(elapsed_us, 1000);
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
	TAP_STR(session.name, "pgoutboxd bell");
	bell_open(b);
	CU_ASSERT_FALSE(bell_can_ask(b));
	connect_it();
	CU_ASSERT_FALSE(bell_can_ask(b));
}

static void
end(void)
{
	bell_free(b);
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
	struct bell_question q = {.lanes = {0, 63}, .rungs = {{INT64_MIN + 1, 1, 0}, {17, UINT64_MAX, 3}}, .count = 2};

	begin(false);
	TAP_STR(buf_str(&sent), "P:bell sync");
	ANSWER(lanes_result(0, 0));
	TAP_INT(ready, 1);
	TAP_INT(answered, 0);
	CU_ASSERT_TRUE(bell_can_ask(b));
	buf_reset(&sent);
	bell_ask(b, &q, 1);
	CU_ASSERT_FALSE(bell_can_ask(b));
	TAP_STR(buf_str(&sent), "bell/{0,63}/{-9223372036854775807,17}/{}/{1,18446744073709551615}/{0,3} sync");
	ANSWER(lanes_result(62, 2));
	TAP_INT(answered, 1);
	TAP_INT(rang_count, 2);
	TAP_INT(rang[1], 63);
	CU_ASSERT_TRUE(bell_can_ask(b));
	/* a word for the server alone */
	buf_reset(&sent);
	bell_ask(b, &(struct bell_question){.held_keys = "{\"k\"}"}, 1);
	TAP_STR(buf_str(&sent), "bell/{}/{}/{\"k\"}/{}/{} sync");
	ANSWER(lanes_result(0, LANES_MAX + 5));
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
	begin(false);
	answer_failed(0, lanes_result(0, 0));
	TAP_INT(lost, 1);
	TAP_INT(ready, 0);
	TAP_STR(lost_error.message, "could not ask for pending events");
	CU_ASSERT_FALSE(session.open);
	bell_open(b);
	connect_it();
	ANSWER(lanes_result(0, 0));
	break_it(ERR_RETRY);
	TAP_INT(lost, 2);
	bell_open(b);
	connect_it();
	ANSWER(lanes_result(0, 0));
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
