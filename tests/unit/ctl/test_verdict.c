/* test_verdict.c - what people are told of a relay, for each way it can be. */
#include "ctl/verdict.h"

#include <string.h>
#include <sysexits.h>

#include "support/tap.h"

static struct survey
survey_with(const char *const hosts[4])
{
	struct survey s = {.lanes = 4};

	for (int i = 0; i < 4; i++)
		if (hosts[i] != NULL) {
			s.owners[i].pid = 100 + i;
			strcpy(s.owners[i].host, hosts[i]);
			s.relays = 1;
		}
	return s;
}

static struct endpoint
endpoint_with(enum endpoint_state state)
{
	struct endpoint e = ENDPOINT_INIT;

	e.state = state;
	strcpy(e.address, state == ENDPOINT_OFF ? "" : "http://localhost:9921");
	strcpy(e.problem, state == ENDPOINT_SILENT ? "connection refused" : "");
	return e;
}

static const char *const nobody[4] = {NULL, NULL, NULL, NULL};
static const char *const one[4] = {"10.0.0.5", "10.0.0.5", "10.0.0.5", "10.0.0.5"};

static void
expect(const struct survey *s, struct endpoint *e, const char *name, int status, const char *message)
{
	struct verdict v = verdict_of(s, e);

	TAP_STR(verdict_name(v.kind), name);
	TAP_INT(verdict_exit_status(v.kind), status);
	TAP_STR(v.message, message);
	CU_ASSERT_EQUAL(v.hint[0] == '\0', v.kind == VERDICT_READY);
	endpoint_done(e);
}

static void
test_ready(void)
{
	struct survey s = survey_with(one);
	struct endpoint e = endpoint_with(ENDPOINT_READY);

	expect(&s, &e, "ready", EX_OK, "ready: http://localhost:9921");
	e = endpoint_with(ENDPOINT_READY);
	buf_add_str(&e.notes, "kafka: no broker answers, for 3 s\nx: y\n");
	expect(&s, &e, "ready", EX_OK, "ready: http://localhost:9921, but kafka: no broker answers, for 3 s; x: y");
}

static void
test_not_ready(void)
{
	struct survey s = survey_with(one), none = survey_with(nobody);
	struct endpoint e = endpoint_with(ENDPOINT_NOT_READY);

	buf_add_str(&e.reasons, "kafka: no broker answers, for 40 s\n");
	expect(&s, &e, "not-ready", EX_TEMPFAIL, "running but not ready, because kafka: no broker answers, for 40 s");
	e = endpoint_with(ENDPOINT_NOT_READY);
	buf_add_str(&e.reasons, "lanes: starting\n");
	expect(&none, &e, "not-ready", EX_TEMPFAIL, "running but not ready, because lanes: starting");
}

static void
test_not_running(void)
{
	struct survey s = survey_with(nobody);
	struct endpoint e = endpoint_with(ENDPOINT_SILENT);

	expect(&s, &e, "not-running", EX_UNAVAILABLE,
	       "daemon not running: nobody owns a lane, and http://localhost:9921: connection refused");
	e = endpoint_with(ENDPOINT_OFF);
	expect(&s, &e, "not-running", EX_UNAVAILABLE, "daemon not running: nobody owns a lane, and http.listen names no endpoint to ask");
}

static void
test_elsewhere(void)
{
	struct survey s = survey_with(one);
	struct endpoint e = endpoint_with(ENDPOINT_SILENT);

	expect(&s, &e, "elsewhere", EX_OK, "runs elsewhere: lanes 0-3 owned by 10.0.0.5");
	s = survey_with((const char *const[4]){"10.0.0.5", "local", "10.0.0.5", ""});
	e = endpoint_with(ENDPOINT_OFF);
	expect(&s, &e, "elsewhere", EX_OK,
	       "runs elsewhere: lanes 0, 2 owned by 10.0.0.5; lane 1 owned by the database's own host;"
	       " lane 3 owned by a host that this role may not see");
}

static void
test_paused(void)
{
	struct survey s = survey_with(one);
	struct endpoint e = endpoint_with(ENDPOINT_READY);

	s.now_us = 70000000;
	s.pauses = 1;
	s.pause[0] = (struct survey_pause){"all", "", "anna", "broker upgrade", 10000000};
	expect(&s, &e, "paused", EX_TEMPFAIL, "paused by anna for 60 s: broker upgrade");
	s.pause[0] = (struct survey_pause){"lane", "1", "anna", "broker upgrade", 10000000};
	e = endpoint_with(ENDPOINT_READY);
	expect(&s, &e, "ready", EX_OK, "ready: http://localhost:9921");
	s = survey_with(nobody);
	s.pauses = 1;
	strcpy(s.pause[0].scope, "all");
	e = endpoint_with(ENDPOINT_OFF);
	expect(&s, &e, "not-running", EX_UNAVAILABLE, "daemon not running: nobody owns a lane, and http.listen names no endpoint to ask");
}

static void
test_unowned(void)
{
	struct survey s = survey_with((const char *const[4]){"10.0.0.5", NULL, "10.0.0.5", NULL});
	struct endpoint e = endpoint_with(ENDPOINT_READY);

	expect(&s, &e, "unowned", EX_TEMPFAIL, "lanes 1, 3 without an owner, though 1 relay runs");
	s = survey_with(nobody);
	s.relays = 2;
	e = endpoint_with(ENDPOINT_SILENT);
	expect(&s, &e, "unowned", EX_TEMPFAIL, "lanes 0-3 without an owner, though 2 relays run");
}

int
main(void)
{
	tap_suite("verdict");
	tap_test("ready", test_ready);
	tap_test("running but not ready", test_not_ready);
	tap_test("not running", test_not_running);
	tap_test("running elsewhere", test_elsewhere);
	tap_test("paused", test_paused);
	tap_test("lanes that nobody owns", test_unowned);
	return tap_run();
}
