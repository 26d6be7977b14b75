/* test_session.c - the session over a scripted libpq: which calls it makes, in which order, and what it makes of the answers. */
#include <stdlib.h>

static int calloc_fails;

#include <sys/ioctl.h>

static int pieces_waiting, asked_for_pieces; /* in the socket's buffers */

#define ioctl(fd, request, ret) ((void)(fd), (void)(request), asked_for_pieces++, *(ret) = pieces_waiting > 0 ? pieces_waiting-- : 0, 0)
#define calloc(count, size) (calloc_fails ? NULL : calloc(count, size))
#include "source/session.c"
#undef calloc
#undef ioctl

#include "base/buf.h"
#include "support/tap.h"

#define FD 7
#define RESULTS 24

/* What libpq is to answer. A NULL result ends a statement's results; running out of results means busy. */
static struct {
	PGresult *results[RESULTS];
	const char *states[RESULTS]; /* SQLSTATE of results[i], NULL = none */
	size_t count, next;
	bool bad;        /* the connection */
	bool input_ends; /* PQconsumeInput fails, and the connection is bad from then on */
	int flush;
	PostgresPollingStatusType poll;
	int version;
	bool connect_fails, pipeline_fails, send_fails, sync_fails;
	int notifications;
	PQnoticeReceiver receiver;
	void *receiver_arg;
	const char *text; /* PQerrorMessage's; NULL = as if the server went away */
	bool needs_password;
	PGVerbosity verbosity;
	int finished;
} pq;

static struct buf calls;
static struct session *s;
static int ready_count, round_count, lost_count, notified_count;
static struct error lost_error;
static int round_statements, round_failed;
static bool round_warned;
static void (*in_round)(void);
static char conn_memory[1];

#define CONN ((PGconn *)(void *)conn_memory)

/* --- libpq --- */

PGconn *
PQconnectStartParams(const char *const *keywords, const char *const *values, int expand_dbname)
{
	TAP_INT(expand_dbname, 1);
	for (size_t i = 0; keywords[i] != NULL; i++)
		if (values[i] != NULL && (strcmp(keywords[i], "dbname") == 0 || strstr(keywords[i], "password") != NULL))
			buf_printf(&calls, "%s=%s ", keywords[i], values[i]);
	return CONN;
}

ConnStatusType
PQstatus(const PGconn *conn)
{
	return conn == NULL || pq.connect_fails || pq.bad ? CONNECTION_BAD : CONNECTION_OK;
}

int
PQsocket(const PGconn *conn)
{
	(void)conn;
	return FD;
}

PostgresPollingStatusType
PQconnectPoll(PGconn *conn)
{
	(void)conn;
	return pq.poll;
}

int
PQserverVersion(const PGconn *conn)
{
	(void)conn;
	return pq.version;
}

int
PQsetnonblocking(PGconn *conn, int arg)
{
	(void)conn;
	return arg == 1 ? 0 : -1;
}

int
PQenterPipelineMode(PGconn *conn)
{
	(void)conn;
	return !pq.pipeline_fails;
}

int
PQsendQueryParams(PGconn *conn, const char *command, int n, const Oid *types, const char *const *values, const int *lengths,
                  const int *formats, int result_format)
{
	(void)conn, (void)types, (void)lengths, (void)formats, (void)values;
	TAP_INT(result_format, 0);
	buf_printf(&calls, "query:%.12s/%d ", command, n);
	return !pq.send_fails;
}

int
PQsendPrepare(PGconn *conn, const char *name, const char *query, int n, const Oid *types)
{
	(void)conn, (void)query, (void)n, (void)types;
	buf_printf(&calls, "prepare:%s ", name);
	return !pq.send_fails;
}

int
PQsendQueryPrepared(PGconn *conn, const char *name, int n, const char *const *values, const int *lengths, const int *formats,
                    int result_format)
{
	(void)conn, (void)n, (void)values, (void)lengths, (void)formats;
	buf_printf(&calls, "execute%s:%s ", result_format == 1 ? "-binary" : "", name);
	return !pq.send_fails;
}

int
PQpipelineSync(PGconn *conn)
{
	(void)conn;
	buf_add_str(&calls, "sync ");
	return !pq.sync_fails;
}

int
PQflush(PGconn *conn)
{
	(void)conn;
	return pq.flush;
}

int
PQconsumeInput(PGconn *conn)
{
	(void)conn;
	if (pq.input_ends)
		pq.bad = true;
	return !pq.input_ends;
}

int
PQisBusy(PGconn *conn)
{
	(void)conn;
	return pq.next == pq.count && !pq.bad;
}

PGresult *
PQgetResult(PGconn *conn)
{
	(void)conn;
	return pq.next < pq.count ? pq.results[pq.next++] : NULL;
}

PGnotify *
PQnotifies(PGconn *conn)
{
	if (conn == NULL || pq.notifications == 0)
		return NULL;
	pq.notifications--;
	return malloc(sizeof(PGnotify));
}

void
PQfreemem(void *p)
{
	free(p);
}

char *
PQerrorMessage(const PGconn *conn)
{
	(void)conn;
	return (char *)(uintptr_t)(pq.text != NULL ? pq.text : "server closed\n\tthe connection\n");
}

int
PQconnectionNeedsPassword(const PGconn *conn)
{
	(void)conn;
	return pq.needs_password;
}

PGVerbosity
PQsetErrorVerbosity(PGconn *conn, PGVerbosity verbosity)
{
	(void)conn;
	pq.verbosity = verbosity;
	return PQERRORS_DEFAULT;
}

void
PQfinish(PGconn *conn)
{
	pq.finished += conn != NULL;
}

PQnoticeReceiver
PQsetNoticeReceiver(PGconn *conn, PQnoticeReceiver receiver, void *arg)
{
	(void)conn;
	pq.receiver = receiver;
	pq.receiver_arg = arg;
	return NULL;
}

static const char *forged_state, *forged_severity;

char *
PQresultErrorField(const PGresult *res, int field)
{
	const char *state = forged_state;

	for (size_t i = 0; i < pq.count; i++)
		if (pq.results[i] == res)
			state = pq.states[i];
	if (field == PG_DIAG_SQLSTATE)
		return (char *)(uintptr_t)state;
	if (state == NULL)
		return NULL;
	return (char *)(uintptr_t)(field == PG_DIAG_MESSAGE_PRIMARY             ? "said so"
	                           : field == PG_DIAG_SEVERITY_NONLOCALIZED ? (forged_severity != NULL ? forged_severity : "FATAL")
	                                                                    : NULL);
}

char *
PQresultErrorMessage(const PGresult *res)
{
	(void)res;
	return (char *)(uintptr_t)(pq.text != NULL ? pq.text : "");
}

static void
answer(PGresult *res, const char *state)
{
	pq.results[pq.count] = res;
	pq.states[pq.count++] = state;
}

static void
answer_status(ExecStatusType status, const char *state)
{
	answer(PQmakeEmptyPGresult(NULL, status), state);
	if (status != PGRES_PIPELINE_SYNC)
		answer(NULL, NULL);
}

/* --- the owner --- */

static void
on_ready(void *ctx)
{
	(void)ctx;
	ready_count++;
}

static void
on_round(void *ctx, struct round *r)
{
	(void)ctx;
	round_count++;
	round_statements = r->count;
	round_failed = r->failed;
	round_warned = r->warned;
	if (in_round != NULL)
		in_round();
}

static void
on_lost(void *ctx, const struct error *err)
{
	(void)ctx;
	TAP_INT(s->state, SESSION_CLOSED);
	lost_count++;
	lost_error = *err;
}

static void
on_notified(void *ctx)
{
	(void)ctx;
	notified_count++;
}

static const struct session_options options = {
	.conninfo = "host=x", .connect_timeout_ms = 1000, .statement_timeout_ms = 2000, .session_timeout_ms = 3000};

static void
setup(void)
{
	struct session_events events = {.ready = on_ready, .round = on_round, .lost = on_lost, .notified = on_notified};

	memset(&pq, 0, sizeof(pq));
	pq.version = 150000;
	pq.poll = PGRES_POLLING_OK;
	ready_count = round_count = lost_count = notified_count = 0;
	in_round = NULL;
	forged_state = forged_severity = NULL;
	s = session_new(&options, "me", &events);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
}

static void
teardown(void)
{
	session_free(s);
	buf_done(&calls);
	for (; pq.next < pq.count; pq.next++)
		PQclear(pq.results[pq.next]);
}

static void
fire_now(short revents)
{
	s->watch.fire(&s->watch, revents, clock_mono_us());
}

static void
answer_settings(const char *earlier)
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc attrs[2] = {{.name = (char *)(uintptr_t) "a", .typlen = -1}, {.name = (char *)(uintptr_t) "b", .typlen = -1}};

	PQsetResultAttrs(res, 2, attrs);
	PQsetvalue(res, 0, 0, (char *)(uintptr_t)earlier, earlier == NULL ? -1 : (int)strlen(earlier));
	PQsetvalue(res, 0, 1, (char *)(uintptr_t) "4711", 4);
	answer(res, NULL);
	answer(NULL, NULL);
	answer_status(PGRES_PIPELINE_SYNC, NULL);
}

static void
open_session(void)
{
	session_open(s);
	TAP_INT(s->watch.events, POLLOUT);
	fire_now(POLLOUT);
	answer_settings(NULL);
	fire_now(POLLIN);
	TAP_INT(ready_count, 1);
	CU_ASSERT_TRUE_FATAL(session_is_open(s));
	buf_reset(&calls);
}

static void
send_two(void)
{
	session_prepare(s, "p", "SELECT 1");
	session_execute_binary(s, "p", 0, NULL, NULL, NULL);
	session_round_send(s, clock_mono_us());
	CU_ASSERT_TRUE(session_is_busy(s));
}

/* --- opening --- */

static void
test_open(void)
{
	session_open(s);
	TAP_STR(buf_str(&calls), "dbname=host=x ");
	TAP_INT(s->watch.fd, FD);
	CU_ASSERT(s->watch.deadline_us > clock_mono_us() && s->watch.deadline_us <= clock_mono_us() + 1000000);
	pq.poll = PGRES_POLLING_READING;
	fire_now(POLLOUT);
	TAP_INT(s->watch.events, POLLIN);
	pq.poll = PGRES_POLLING_WRITING;
	fire_now(POLLIN);
	TAP_INT(s->watch.events, POLLOUT);
	pq.poll = PGRES_POLLING_OK;
	fire_now(POLLOUT);
	CU_ASSERT_FALSE(session_is_open(s));
	TAP_HAS(buf_str(&calls), "query:SELECT nulli/4 sync ");
	answer_settings(NULL);
	fire_now(POLLIN);
	TAP_INT(ready_count, 1);
	TAP_INT(session_server_pid(s), 4711);
	/* ready and idle: nothing to wait for but input */
	CU_ASSERT(s->watch.deadline_us == CLOCK_NEVER);
	TAP_INT(s->watch.events, POLLIN);
	TAP_INT(lost_count, 0);
}

/* Failures are told from the loop, never from within session_open(). */
static void
test_open_fails(void)
{
	pq.connect_fails = true;
	session_open(s);
	TAP_INT(lost_count, 0);
	TAP_INT(s->watch.fd, -1);
	CU_ASSERT(s->watch.deadline_us <= clock_mono_us());
	fire_now(0);
	TAP_INT(lost_count, 1);
	TAP_INT(lost_error.kind, ERR_RETRY);
	TAP_STR(lost_error.message, "could not connect to PostgreSQL: server closed  the connection");
	TAP_STR(lost_error.hint, "");
	TAP_INT(pq.finished, 1);
	pq.connect_fails = false;
	open_session();
}

static void
refuse(const char *text)
{
	pq.text = text;
	pq.poll = PGRES_POLLING_FAILED;
	session_open(s);
	fire_now(POLLOUT);
}

/* The server's code decides, whatever its language. */
static void
test_refused(void)
{
	refuse("connection to server at \"h\" failed: FATAL:  28P01: Passwort-Authentifizierung fehlgeschlagen\n"
	       "ORT:  auth_failed, auth.c:335\n");
	TAP_INT(pq.verbosity, PQERRORS_VERBOSE);
	TAP_INT(lost_error.kind, ERR_CONFIG);
	TAP_STR(lost_error.message, "could not connect to PostgreSQL: connection to server at \"h\" failed: FATAL:  28P01:"
	                            " Passwort-Authentifizierung fehlgeschlagen");
	TAP_HAS(lost_error.hint, "database.password_file");
	refuse("FATAL:  3D000: database \"d\" does not exist \t\nLOCATION:  InitPostgres, postinit.c:885\n");
	TAP_INT(lost_error.kind, ERR_CONFIG);
	TAP_STR(lost_error.message, "could not connect to PostgreSQL: FATAL:  3D000: database \"d\" does not exist");
	refuse("FATAL:  57P03: the database system is starting up\nLOCATION:  ProcessStartupPacket, postmaster.c:2281\n");
	TAP_INT(lost_error.kind, ERR_RETRY);
	pq.needs_password = true;
	refuse("fe_sendauth: no password supplied\n");
	TAP_INT(lost_error.kind, ERR_CONFIG);
	TAP_HAS(lost_error.hint, "database.password_file");
	TAP_INT(lost_count, 4);
}

/* It worked: whatever is refused now may be a change under way. */
static void
test_refused_later(void)
{
	open_session();
	pq.input_ends = true;
	fire_now(POLLIN);
	pq.input_ends = pq.bad = false;
	refuse("FATAL:  28P01: password authentication failed for user \"u\"\n");
	TAP_INT(lost_count, 2);
	TAP_INT(lost_error.kind, ERR_RETRY);
	TAP_HAS(lost_error.hint, "correct the password");
	pq.needs_password = true;
	refuse("fe_sendauth: no password supplied\n");
	TAP_INT(lost_error.kind, ERR_RETRY);
}

/* More hosts than the line has room for. */
static void
test_long_refusal(void)
{
	char text[2000];

	memset(text, 'x', sizeof(text) - 1);
	for (size_t i = 99; i < sizeof(text); i += 100)
		text[i] = '\n';
	text[sizeof(text) - 1] = '\0';
	refuse(text);
	TAP_INT(strlen(lost_error.message), strlen("could not connect to PostgreSQL: ") + 399);
	refuse("\n\n");
	TAP_STR(lost_error.message, "could not connect to PostgreSQL: ");
}

static void
test_connect_fails_later(void)
{
	session_open(s);
	pq.poll = PGRES_POLLING_FAILED;
	fire_now(POLLIN);
	TAP_INT(lost_count, 1);
}

static void
test_connect_takes_too_long(void)
{
	session_open(s);
	s->watch.fire(&s->watch, 0, s->watch.deadline_us - 1);
	TAP_INT(lost_count, 0);
	s->watch.fire(&s->watch, 0, s->watch.deadline_us);
	TAP_INT(lost_count, 1);
	TAP_HAS(lost_error.message, "could not connect to PostgreSQL within 1000 ms");
}

static void
test_old_server(void)
{
	pq.version = 130011;
	session_open(s);
	fire_now(POLLOUT);
	TAP_INT(lost_error.kind, ERR_CONFIG);
	TAP_HAS(lost_error.message, "PostgreSQL 13 is too old");
}

static void
test_no_pipeline(void)
{
	pq.pipeline_fails = true;
	session_open(s);
	fire_now(POLLOUT);
	TAP_INT(lost_count, 1);
}

static void
test_pooler(void)
{
	session_open(s);
	fire_now(POLLOUT);
	answer_settings("pgoutboxd lane 3");
	fire_now(POLLIN);
	TAP_INT(ready_count, 0);
	TAP_INT(lost_count, 1);
	TAP_INT(lost_error.kind, ERR_CONFIG);
	TAP_HAS(lost_error.message, "pooler");
}

static void
test_settings_refused(void)
{
	session_open(s);
	fire_now(POLLOUT);
	answer_status(PGRES_FATAL_ERROR, "42501");
	answer_status(PGRES_PIPELINE_SYNC, NULL);
	fire_now(POLLIN);
	TAP_INT(lost_count, 1);
	TAP_INT(lost_error.kind, ERR_CONFIG);
	TAP_HAS(lost_error.message, "could not set up the session: said so (SQLSTATE 42501)");
}

/* --- rounds --- */

static void
test_round(void)
{
	open_session();
	pq.flush = 1;
	send_two();
	TAP_STR(buf_str(&calls), "prepare:p execute-binary:p sync ");
	TAP_INT(s->watch.events, POLLIN | POLLOUT);
	CU_ASSERT(s->watch.deadline_us > clock_mono_us() + 2000000);
	pq.flush = 0;
	fire_now(POLLOUT);
	TAP_INT(s->watch.events, POLLIN);
	/* in pieces */
	answer_status(PGRES_COMMAND_OK, NULL);
	fire_now(POLLIN);
	TAP_INT(round_count, 0);
	answer_status(PGRES_TUPLES_OK, NULL);
	fire_now(POLLIN);
	TAP_INT(round_count, 0);
	answer_status(PGRES_PIPELINE_SYNC, NULL);
	fire_now(POLLIN);
	TAP_INT(round_count, 1);
	TAP_INT(round_statements, 2);
	TAP_INT(round_failed, -1);
	CU_ASSERT_FALSE(session_is_busy(s));
	CU_ASSERT(s->watch.deadline_us == CLOCK_NEVER);
}

/* A long result is left to gather once some of its pieces have come. */
static void
begin_gathering(void)
{
	ready_count = 0;
	open_session();
	send_two();
	asked_for_pieces = pieces_waiting = 0;
	for (int i = 0; i < PIECES_AT_ONCE - 1; i++) {
		fire_now(POLLIN);
		TAP_INT(s->watch.events, POLLIN);
	}
	TAP_INT(asked_for_pieces, 0);
	fire_now(POLLIN);
	TAP_INT(s->watch.events, 0);
	CU_ASSERT(s->watch.deadline_us <= clock_mono_us() + GATHER_US);
}

static void
test_gathers(void)
{
	begin_gathering();
	/* as many as there are, one after the other, then it gathers again */
	asked_for_pieces = 0;
	pieces_waiting = 3;
	fire_now(0);
	TAP_INT(asked_for_pieces, 4);
	TAP_INT(s->watch.events, 0);
	/* but not for ever: more is left to the next round of the loop */
	asked_for_pieces = 0;
	pieces_waiting = 1000;
	fire_now(0);
	TAP_INT(asked_for_pieces, READS_MAX);
	TAP_INT(s->watch.events, POLLIN);
	CU_ASSERT(s->watch.deadline_us > clock_mono_us() + 2000000);
	/* the last of them */
	answer_status(PGRES_COMMAND_OK, NULL);
	answer_status(PGRES_TUPLES_OK, NULL);
	answer_status(PGRES_PIPELINE_SYNC, NULL);
	fire_now(POLLIN);
	TAP_INT(round_count, 1);
	TAP_INT(s->watch.events, POLLIN);
	CU_ASSERT(s->watch.deadline_us == CLOCK_NEVER);
	/* the next round begins anew */
	send_two();
	asked_for_pieces = 0;
	fire_now(POLLIN);
	TAP_INT(asked_for_pieces, 0);
}

/* Neither the answer's deadline nor the connection's end waits for it. */
static void
test_gathers_in_trouble(void)
{
	begin_gathering();
	s->sent_us -= 3600000000;
	fire_now(0);
	TAP_INT(s->watch.events, POLLIN);
	TAP_INT(lost_count, 0);
	fire_now(0);
	TAP_INT(lost_count, 1);
	TAP_HAS(lost_error.message, "did not answer");

	begin_gathering();
	pq.input_ends = true;
	fire_now(POLLHUP);
	TAP_INT(lost_count, 2);
	pq.input_ends = pq.bad = false;

	begin_gathering();
	session_close(s);
	session_open(s);
	TAP_INT(s->watch.events, POLLOUT);
	pq.poll = PGRES_POLLING_READING;
	fire_now(POLLOUT);
	TAP_INT(s->watch.events, POLLIN);
}

/* A warning is of the round that it came with. */
static void
test_warned(void)
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_NONFATAL_ERROR);

	open_session();
	for (int i = 0; i < 2; i++) {
		send_two();
		forged_state = "01000";
		forged_severity = i == 0 ? "WARNING" : "NOTICE";
		pq.receiver(pq.receiver_arg, res);
		forged_state = forged_severity = NULL;
		answer_status(PGRES_COMMAND_OK, NULL);
		answer_status(PGRES_COMMAND_OK, NULL);
		answer_status(PGRES_PIPELINE_SYNC, NULL);
		fire_now(POLLIN);
		TAP_INT(round_warned, i == 0);
	}
	PQclear(res);
}

static void
test_failed_statement(void)
{
	open_session();
	send_two();
	answer_status(PGRES_FATAL_ERROR, "57014");
	answer_status(PGRES_PIPELINE_ABORTED, NULL);
	answer_status(PGRES_PIPELINE_SYNC, NULL);
	fire_now(POLLIN);
	TAP_INT(round_count, 1);
	TAP_INT(round_failed, 0);
	TAP_INT(round_statements, 2);
	TAP_INT(lost_count, 0);
}

/* The connection was lost amid the rows: no server says anything. */
static void
test_libpqs_own_words(void)
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR);
	struct error err;

	pq.text = "server closed the connection unexpectedly\n\tThis probably means more.\n";
	TAP_INT(session_result_error(res, "could not read", &err), -1);
	TAP_INT(err.kind, ERR_RETRY);
	TAP_HAS(err.message, "could not read: server closed the connection unexpectedly");
	CU_ASSERT_PTR_NULL(strstr(err.message, "SQLSTATE"));
	pq.text = "";
	TAP_INT(session_result_error(res, "could not read", &err), -1);
	TAP_STR(err.message, "could not read: no message (SQLSTATE none)");
	PQclear(res);
}

static void
send_again(void)
{
	in_round = NULL;
	send_two();
}

static void
test_next_round_from_within(void)
{
	open_session();
	send_two();
	in_round = send_again;
	answer_status(PGRES_COMMAND_OK, NULL);
	answer_status(PGRES_COMMAND_OK, NULL);
	answer_status(PGRES_PIPELINE_SYNC, NULL);
	fire_now(POLLIN);
	TAP_INT(round_count, 1);
	CU_ASSERT_TRUE(session_is_busy(s));
	CU_ASSERT(s->watch.deadline_us != CLOCK_NEVER);
	TAP_STR(buf_str(&calls), "prepare:p execute-binary:p sync prepare:p execute-binary:p sync ");
}

static void
close_it(void)
{
	session_close(s);
}

static void
test_close_from_within(void)
{
	open_session();
	send_two();
	in_round = close_it;
	pq.notifications = 1;
	answer_status(PGRES_COMMAND_OK, NULL);
	answer_status(PGRES_COMMAND_OK, NULL);
	answer_status(PGRES_PIPELINE_SYNC, NULL);
	fire_now(POLLIN);
	TAP_INT(round_count, 1);
	TAP_INT(notified_count, 0);
	TAP_INT(lost_count, 0);
	TAP_INT(s->watch.fd, -1);
	session_open(s);
}

/* --- the connection breaks --- */

static void
test_broken_while_idle(void)
{
	open_session();
	pq.input_ends = true;
	fire_now(POLLIN);
	TAP_INT(lost_count, 1);
	TAP_INT(lost_error.kind, ERR_RETRY);
	TAP_HAS(lost_error.message, "lost the connection to PostgreSQL: server closed");
	TAP_INT(s->watch.fd, -1);
	CU_ASSERT(s->watch.deadline_us == CLOCK_NEVER);
}

/* The server's error reaches an idle session as a notice; it is the reason, and not printed. */
static void
test_last_words(void)
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_NONFATAL_ERROR);

	open_session();
	forged_state = "00000";
	forged_severity = "WARNING";
	pq.receiver(pq.receiver_arg, res);
	CU_ASSERT_FALSE(s->has_last_words);
	forged_state = "57P05";
	forged_severity = "FATAL";
	pq.receiver(pq.receiver_arg, res);
	PQclear(res);
	pq.input_ends = true;
	fire_now(POLLIN);
	TAP_HAS(lost_error.message, "said so (SQLSTATE 57P05)");
	TAP_INT(lost_error.kind, ERR_RETRY);
	/* forgotten by the next session */
	pq.input_ends = pq.bad = false;
	ready_count = 0;
	open_session();
	pq.input_ends = true;
	fire_now(POLLIN);
	TAP_HAS(lost_error.message, "server closed");
}

/* One error for the statement, aborted ones for the rest, and then one more for the connection. */
static void
test_terminated_in_round(void)
{
	open_session();
	send_two();
	answer_status(PGRES_FATAL_ERROR, "57P01");
	answer_status(PGRES_PIPELINE_ABORTED, NULL);
	fire_now(POLLIN);
	TAP_INT(lost_count, 0);
	pq.input_ends = true;
	answer(PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR), NULL);
	fire_now(POLLIN);
	TAP_INT(round_count, 0);
	TAP_INT(lost_count, 1);
	TAP_HAS(lost_error.message, "SQLSTATE 57P01");
	TAP_INT(lost_error.kind, ERR_RETRY);
}

/* All statements have answered, but for the sync. */
static void
test_terminated_before_sync(void)
{
	open_session();
	send_two();
	answer_status(PGRES_COMMAND_OK, NULL);
	answer_status(PGRES_COMMAND_OK, NULL);
	answer(PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR), "57P01");
	fire_now(POLLIN);
	pq.input_ends = true;
	answer(PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR), NULL);
	fire_now(POLLIN);
	TAP_INT(round_count, 0);
	TAP_INT(lost_count, 1);
	TAP_HAS(lost_error.message, "SQLSTATE 57P01");
}

/* Without memory libpq gives an error in the sync's place, and then nothing whenever it is asked. */
static void
test_no_sync(void)
{
	open_session();
	send_two();
	answer_status(PGRES_COMMAND_OK, NULL);
	answer_status(PGRES_COMMAND_OK, NULL);
	answer(PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR), NULL);
	for (int i = 0; i < 5; i++)
		answer(NULL, NULL);
	fire_now(POLLIN);
	TAP_INT(pq.count - pq.next, 3);
	TAP_INT(round_count, 0);
	TAP_INT(lost_count, 1);
	TAP_HAS(lost_error.message, "without its sync");
	TAP_INT(lost_error.kind, ERR_RETRY);
}

/* An answer that ends with the connection is no answer: whoever settled does it again. */
static void
test_answer_then_end(void)
{
	open_session();
	send_two();
	pq.input_ends = true;
	answer_status(PGRES_COMMAND_OK, NULL);
	answer_status(PGRES_COMMAND_OK, NULL);
	answer_status(PGRES_PIPELINE_SYNC, NULL);
	fire_now(POLLIN);
	TAP_INT(round_count, 0);
	TAP_INT(lost_count, 1);
}

static void
test_send_fails(void)
{
	open_session();
	pq.send_fails = true;
	send_two();
	TAP_STR(buf_str(&calls), "prepare:p ");
	TAP_INT(lost_count, 0);
	CU_ASSERT_FALSE(session_is_open(s));
	fire_now(0);
	TAP_INT(lost_count, 1);
	TAP_HAS(lost_error.message, "could not send to PostgreSQL");
	pq.send_fails = false;
	ready_count = 0;
	open_session();
	pq.sync_fails = true;
	send_two();
	fire_now(0);
	TAP_INT(lost_count, 2);
	pq.sync_fails = false;
	ready_count = 0;
	open_session();
	pq.flush = -1;
	send_two();
	fire_now(0);
	TAP_INT(lost_count, 3);
}

static void
test_spoiled(void)
{
	open_session();
	session_query(s, "SELECT 1");
	session_spoil(s);
	session_query(s, "SELECT 2");
	session_round_send(s, clock_mono_us());
	TAP_STR(buf_str(&calls), "query:SELECT 1/0 ");
	TAP_INT(lost_count, 0);
	fire_now(0);
	TAP_INT(lost_count, 1);
	TAP_STR(lost_error.message, "out of memory");
	TAP_INT(lost_error.kind, ERR_RETRY);
}

static void
test_no_answer(void)
{
	int64_t sent_us;

	open_session();
	send_two();
	sent_us = s->sent_us;
	s->watch.fire(&s->watch, 0, sent_us + 2000000);
	TAP_INT(lost_count, 0);
	s->watch.fire(&s->watch, 0, sent_us + (2000 + SESSION_GRACE_MS) * 1000);
	TAP_INT(lost_count, 1);
	TAP_HAS(lost_error.message, "PostgreSQL did not answer within 7000 ms");
}

static void
test_close_forgets_failure(void)
{
	open_session();
	pq.send_fails = true;
	send_two();
	session_close(s);
	fire_now(0);
	TAP_INT(lost_count, 0);
}

/* --- notifications --- */

static void
test_notified(void)
{
	open_session();
	pq.notifications = 3;
	fire_now(POLLIN);
	TAP_INT(notified_count, 1);
	fire_now(POLLIN);
	TAP_INT(notified_count, 1);
}

static void
notify_on_way(void)
{
	pq.notifications = 1;
}

/* libpq finds a notification while it reads a result: it must not wait for the next input. */
static void
test_notified_among_results(void)
{
	open_session();
	send_two();
	in_round = notify_on_way;
	answer_status(PGRES_COMMAND_OK, NULL);
	answer_status(PGRES_COMMAND_OK, NULL);
	answer_status(PGRES_PIPELINE_SYNC, NULL);
	fire_now(POLLIN);
	TAP_INT(notified_count, 1);
}

static void
test_no_memory(void)
{
	struct session_events events = {.ready = on_ready, .round = on_round, .lost = on_lost};

	calloc_fails = 1;
	CU_ASSERT_PTR_NULL(session_new(&options, "me", &events));
	calloc_fails = 0;
}

int
main(void)
{
	tap_suite_fixture("session", setup, teardown);
	tap_test("opens", test_open);
	tap_test("cannot even start to connect", test_open_fails);
	tap_test("refused by the server", test_refused);
	tap_test("refused once it has worked", test_refused_later);
	tap_test("refused with many words", test_long_refusal);
	tap_test("connecting fails", test_connect_fails_later);
	tap_test("connecting takes too long", test_connect_takes_too_long);
	tap_test("an old server", test_old_server);
	tap_test("no pipeline mode", test_no_pipeline);
	tap_test("a pooler that shares server processes", test_pooler);
	tap_test("settings are refused", test_settings_refused);
	tap_test("a round, in pieces", test_round);
	tap_test("a long result", test_gathers);
	tap_test("trouble during a long result", test_gathers_in_trouble);
	tap_test("warned", test_warned);
	tap_test("a failed statement", test_failed_statement);
	tap_test("a failure that libpq itself tells", test_libpqs_own_words);
	tap_test("the next round from within the callback", test_next_round_from_within);
	tap_test("closed from within the callback", test_close_from_within);
	tap_test("broken while idle", test_broken_while_idle);
	tap_test("the server's last words", test_last_words);
	tap_test("terminated in a round", test_terminated_in_round);
	tap_test("terminated before the sync", test_terminated_before_sync);
	tap_test("a round without its sync", test_no_sync);
	tap_test("an answer, then the end", test_answer_then_end);
	tap_test("sending fails", test_send_fails);
	tap_test("memory was out for a statement", test_spoiled);
	tap_test("no answer", test_no_answer);
	tap_test("closed before a failure is told", test_close_forgets_failure);
	tap_test("notifications", test_notified);
	tap_test("notifications among results", test_notified_among_results);
	tap_test("no memory", test_no_memory);
	return tap_run();
}
