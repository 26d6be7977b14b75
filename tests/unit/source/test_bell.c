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

static char *
text_of(const char *text)
{
	return (char *)(uintptr_t)text;
}

static PGresult *
answer_of(int from, int count, const char *snapshot)
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc attrs[] = {{.name = text_of("lane"), .typlen = 4, .atttypmod = -1}, {.name = text_of("snapshot"), .typlen = -1, .atttypmod = -1}};
	char text[12];

	PQsetResultAttrs(res, 2, attrs);
	for (int i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "%d", from + i);
		PQsetvalue(res, i, 0, text, (int)strlen(text));
		PQsetvalue(res, i, 1, NULL, -1);
	}
	PQsetvalue(res, count, 0, NULL, -1);
	PQsetvalue(res, count, 1, text_of(snapshot), (int)strlen(snapshot));
	return res;
}

static PGresult *
lanes_result(int from, int count)
{
	return answer_of(from, count, "1:2:");
}

static PGresult *
snapshot_result(const char *snapshot)
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc attr = {.name = text_of("pg_current_snapshot"), .typlen = -1, .atttypmod = -1};

	PQsetResultAttrs(res, 1, &attr);
	PQsetvalue(res, 0, 0, text_of(snapshot), (int)strlen(snapshot));
	return res;
}

static void
test_asks(void)
{
	struct bell_question q = {.lanes = {0, 63}, .rungs = {{INT64_MIN + 1, 1, 0}, {17, UINT64_MAX, 3}}, .count = 2};

	begin(false);
	TAP_STR(buf_str(&sent), "P:bell P:snapshot sync");
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
expect_sent(const char *expected)
{
	TAP_STR(buf_str(&sent), expected);
	buf_reset(&sent);
}

/* Asks the same again and again until the bell is sure that nobody writes. */
static void
be_still(const struct bell_question *q)
{
	for (int i = 0; i <= STILL; i++) {
		bell_ask(b, q, 1);
		expect_sent("bell/{3}/{17}/{}/{9}/{0} sync");
		ANSWER(lanes_result(3, 1));
	}
	TAP_INT(answered, STILL + 1);
	answered = rang_count = 0;
}

static void
test_nobody_writes(void)
{
	struct bell_question q = {.lanes = {3}, .rungs = {{17, 9, 0}}, .count = 1};

	begin(false);
	ANSWER(lanes_result(0, 0));
	buf_reset(&sent);
	be_still(&q);
	/* the answer holds as long as the snapshot does */
	for (int i = 1; i <= 3; i++) {
		bell_ask(b, &q, 1);
		expect_sent("snapshot sync");
		CU_ASSERT_FALSE(bell_can_ask(b));
		ANSWER(snapshot_result("1:2:"));
		TAP_INT(answered, i);
		TAP_INT(rang_count, 1);
		TAP_INT(rang[0], 3);
	}
	/* somebody wrote: the lanes are asked for before there is an answer */
	bell_ask(b, &q, 1);
	expect_sent("snapshot sync");
	ANSWER(snapshot_result("1:3:"));
	TAP_INT(answered, 3);
	CU_ASSERT_FALSE(bell_can_ask(b));
	expect_sent("bell/{3}/{17}/{}/{9}/{0} sync");
	ANSWER(answer_of(0, 0, "1:3:"));
	TAP_INT(answered, 4);
	TAP_INT(rang_count, 0);
	/* who writes once may write again */
	bell_ask(b, &q, 1);
	expect_sent("bell/{3}/{17}/{}/{9}/{0} sync");
	ANSWER(answer_of(0, 0, "1:3:"));
	end();
}

/* A notification is somebody's who has written. */
static void
test_notified_while_still(void)
{
	struct bell_question q = {.lanes = {3}, .rungs = {{17, 9, 0}}, .count = 1};

	begin(true);
	ANSWER(lanes_result(0, 0));
	buf_reset(&sent);
	be_still(&q);
	session.events.notified(session.events.ctx);
	bell_ask(b, &q, 1);
	expect_sent("bell/{3}/{17}/{}/{9}/{0} sync");
	ANSWER(lanes_result(3, 1));
	end();
}

static void
test_another_question(void)
{
	static const struct bell_question same = {.lanes = {3}, .rungs = {{17, 9, 0}}, .count = 1};
	struct bell_question others[] = {same, same, same, same, same, same};
	size_t count = sizeof(others) / sizeof(others[0]);

	others[0].count = 0;
	others[1].lanes[0] = 2;
	others[2].rungs[0].from_id = 16;
	others[3].rungs[0].xmax = 10;
	others[4].rungs[0].open = 1;
	others[5].held_keys = "{k}";
	for (size_t i = 0; i < count; i++) {
		begin(false);
		ANSWER(lanes_result(0, 0));
		buf_reset(&sent);
		be_still(&same);
		bell_ask(b, &others[i], 1);
		TAP_HAS(buf_str(&sent), "bell/");
		ANSWER(lanes_result(0, 0));
		buf_reset(&sent);
		bell_ask(b, &same, 1);
		expect_sent("bell/{3}/{17}/{}/{9}/{0} sync");
		ANSWER(lanes_result(0, 0));
		bell_ask(b, &same, 1);
		expect_sent("snapshot sync");
		end();
	}
}

/* Of another server nothing is known. */
static void
test_another_session(void)
{
	struct bell_question q = {.lanes = {3}, .rungs = {{17, 9, 0}}, .count = 1};

	begin(false);
	ANSWER(lanes_result(0, 0));
	buf_reset(&sent);
	be_still(&q);
	bell_ask(b, &q, 1);
	expect_sent("snapshot sync");
	break_it(ERR_RETRY);
	bell_open(b);
	connect_it();
	ANSWER(lanes_result(0, 0));
	buf_reset(&sent);
	bell_ask(b, &q, 1);
	expect_sent("bell/{3}/{17}/{}/{9}/{0} sync");
	ANSWER(lanes_result(3, 1));
	TAP_INT(answered, 1);
	end();
}

static void
test_listens(void)
{
	begin(true);
	TAP_STR(buf_str(&sent), "P:bell P:snapshot LISTEN pgoutbox sync");
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
	tap_test("nobody writes", test_nobody_writes);
	tap_test("notified while nobody writes", test_notified_while_still);
	tap_test("another question", test_another_question);
	tap_test("another session", test_another_session);
	tap_test("listens", test_listens);
	tap_test("fails, and is lost", test_fails_and_is_lost);
	return tap_run();
}
