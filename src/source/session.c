/* session.c - in: statements; out: rounds of results, or the loss of the connection. Knows nothing of lanes or events. */
#include "source/session.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "source/refusal.h"
#include "source/sqlstate.h"

#define SESSION_GRACE_MS 5000 /* how much longer than the server we wait for a statement */
#define SESSION_SETTINGS_PARAMS 4

/* The server sends a long result in pieces of 8 kB, and each would wake us. So after some of them what comes is left to gather for a
 * while, in the socket's buffers, and read together. */
#define PIECES_AT_ONCE 4
#define GATHER_US 500
#define READS_MAX 16 /* in a row; the loop has others to serve */

enum session_state { SESSION_CLOSED, SESSION_FAILED, SESSION_CONNECTING, SESSION_SETTING_UP, SESSION_READY };

struct session {
	struct watch watch; /* first: the watch is the session */
	const struct session_options *opt;
	struct session_events events;
	char application_name[64];
	enum session_state state;
	PGconn *conn;
	struct round round;
	int expected;   /* statements of the round in flight */
	bool in_flight; /* a sync is outstanding */
	int pieces;     /* of its results so far */
	bool gathering; /* they are left where they are until the watch's deadline */
	bool broken;    /* a send failed: the connection is to be given up */
	int server_pid;
	int64_t sent_us;
	struct error failure; /* SESSION_FAILED: told from the loop, not from within session_open() */
	struct error last_words; /* with which the server ended the session */
	bool has_last_words;
	bool worked; /* once; what is refused since then may be a change under way */
};

static void fire(struct watch *w, short revents, int64_t now_us);

struct session *
session_new(const struct session_options *opt, const char *application_name, const struct session_events *events)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->watch = (struct watch){.fd = -1, .deadline_us = CLOCK_NEVER, .fire = fire};
	s->opt = opt;
	s->events = *events;
	snprintf(s->application_name, sizeof(s->application_name), "%s", application_name);
	return s;
}

static void
clear_round(struct session *s)
{
	for (int i = 0; i < s->round.count; i++)
		PQclear(s->round.results[i]);
	s->round = (struct round){.failed = -1};
	s->expected = 0;
	s->in_flight = s->gathering = false;
	s->broken = false;
}

void
session_close(struct session *s)
{
	clear_round(s);
	PQfinish(s->conn);
	s->conn = NULL;
	s->state = SESSION_CLOSED;
	s->watch.fd = -1;
	s->watch.events = 0;
	s->watch.deadline_us = CLOCK_NEVER;
}

void
session_free(struct session *s)
{
	if (s == NULL)
		return;
	session_close(s);
	free(s);
}

struct watch *
session_watch(struct session *s)
{
	return &s->watch;
}

bool
session_is_open(const struct session *s)
{
	return s->state == SESSION_READY;
}

bool
session_is_busy(const struct session *s)
{
	return s->in_flight;
}

int
session_server_pid(const struct session *s)
{
	return s->server_pid;
}

/* Remembers a failure and has the loop tell it, so that no callback runs inside a caller's call. */
static void
fail_later(struct session *s)
{
	s->state = SESSION_FAILED;
	s->watch.fd = -1;
	s->watch.events = 0;
	s->watch.deadline_us = 0;
}

static void
lose(struct session *s)
{
	struct error err = s->failure;

	session_close(s);
	s->events.lost(s->events.ctx, &err);
}

/* libpq's verbose text is asked for since it tells the SQLSTATE; the place in the server's source is of no use here. */
static bool
names_source(const char *line, size_t len)
{
	while (len > 0 && line[len - 1] >= '0' && line[len - 1] <= '9')
		len--;
	return len > 3 && strncmp(line + len - 3, ".c:", 3) == 0;
}

/* libpq ends its messages with a newline and spreads them over lines. */
static void
flatten(const char *text, char *ret_line, size_t size)
{
	size_t used = 0;

	ret_line[0] = '\0';
	for (size_t len; *text != '\0'; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		if (len == 0 || names_source(text, len) || used + 2 >= size)
			continue;
		if (used > 0)
			ret_line[used++] = ' ';
		for (size_t i = 0; i < len && used + 1 < size; i++)
			ret_line[used++] = text[i] == '\t' ? ' ' : text[i];
		while (used > 0 && ret_line[used - 1] == ' ')
			used--;
		ret_line[used] = '\0';
	}
}

static void
connection_failure(struct session *s, const char *doing)
{
	const char *hint, *state_hint;
	char text[400], code[6];
	enum err_kind kind;

	flatten(PQerrorMessage(s->conn), text, sizeof(text));
	sqlstate_in_text(PQerrorMessage(s->conn), code);
	kind = sqlstate_kind(code, &state_hint);
	if (PQconnectionNeedsPassword(s->conn))
		kind = ERR_CONFIG;
	error_set(&s->failure, s->worked ? ERR_RETRY : kind, "%s: %s", doing, text);
	if (PQconnectionNeedsPassword(s->conn)) {
		error_hint(&s->failure, "set database.password_file, or let pg_hba.conf accept this role without a password");
		return;
	}
	hint = refusal_hint(text);
	if (hint != NULL || state_hint != NULL)
		error_hint(&s->failure, "%s", hint != NULL ? hint : state_hint);
}

/* The server's own reason for ending a session comes as an error before it closes. Outside of a statement libpq takes it for a
 * notice, which it would print to stderr like all others. */
static void
take_notice(void *arg, const PGresult *res)
{
	struct session *s = arg;
	const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);

	if (severity != NULL && strcmp(severity, "WARNING") == 0)
		s->round.warned = true;
	if (severity == NULL || (strcmp(severity, "FATAL") != 0 && strcmp(severity, "PANIC") != 0))
		return;
	session_result_error(res, "lost the connection to PostgreSQL", &s->last_words);
	s->has_last_words = true;
}

void
session_open(struct session *s)
{
	/* Dead peers are noticed by the kernel well before the server would end our sessions. */
	const char *keywords[] = {"dbname", "fallback_application_name", "keepalives_idle", "keepalives_interval",
	                          "keepalives_count", "tcp_user_timeout", "client_encoding", "password", "sslpassword", NULL};
	/* libpq passes over what is NULL. */
	const char *values[] = {s->opt->conninfo, s->application_name, "5", "2", "3", "10000", "UTF8", s->opt->password,
	                        s->opt->sslpassword, NULL};

	assert(s->state == SESSION_CLOSED);
	s->sent_us = clock_mono_us();
	s->has_last_words = false;
	s->conn = PQconnectStartParams(keywords, values, 1);
	PQsetErrorVerbosity(s->conn, PQERRORS_VERBOSE);
	PQsetNoticeReceiver(s->conn, take_notice, s);
	if (s->conn == NULL || PQstatus(s->conn) == CONNECTION_BAD) {
		connection_failure(s, "could not connect to PostgreSQL");
		fail_later(s);
		return;
	}
	s->state = SESSION_CONNECTING;
	s->watch.fd = PQsocket(s->conn);
	s->watch.events = POLLOUT;
	s->watch.deadline_us = s->sent_us + s->opt->connect_timeout_ms * 1000;
}

static void
send_failed(struct session *s)
{
	connection_failure(s, "could not send to PostgreSQL");
	s->broken = true;
}

void
session_prepare(struct session *s, const char *name, const char *sql)
{
	assert(!s->in_flight && s->expected < ROUND_MAX);
	s->expected++;
	if (!s->broken && !PQsendPrepare(s->conn, name, sql, 0, NULL))
		send_failed(s);
}

void
session_query_params(struct session *s, const char *sql, int n_params, const char *const *values)
{
	assert(!s->in_flight && s->expected < ROUND_MAX);
	s->expected++;
	if (!s->broken && !PQsendQueryParams(s->conn, sql, n_params, NULL, values, NULL, NULL, 0))
		send_failed(s);
}

void
session_query(struct session *s, const char *sql)
{
	session_query_params(s, sql, 0, NULL);
}

static void
execute(struct session *s, const char *name, int n, const char *const *values, const int *lengths, const int *formats,
        int result_format)
{
	assert(!s->in_flight && s->expected < ROUND_MAX);
	s->expected++;
	if (!s->broken && !PQsendQueryPrepared(s->conn, name, n, values, lengths, formats, result_format))
		send_failed(s);
}

void
session_execute(struct session *s, const char *name, int n_params, const char *const *values, const int *lengths,
                const int *formats)
{
	execute(s, name, n_params, values, lengths, formats, 0);
}

void
session_execute_binary(struct session *s, const char *name, int n_params, const char *const *values,
                       const int *lengths, const int *formats)
{
	execute(s, name, n_params, values, lengths, formats, 1);
}

void
session_spoil(struct session *s)
{
	error_set(&s->failure, ERR_RETRY, "out of memory");
	s->broken = true;
}

static void
want_io(struct session *s)
{
	int rc = PQflush(s->conn);

	if (rc < 0) {
		connection_failure(s, "could not send to PostgreSQL");
		fail_later(s);
		return;
	}
	s->watch.events = rc == 1 ? POLLIN | POLLOUT : POLLIN;
}

static int64_t
answer_due_us(const struct session *s)
{
	return s->sent_us + (s->opt->statement_timeout_ms + SESSION_GRACE_MS) * 1000;
}

void
session_round_send(struct session *s, int64_t now_us)
{
	assert(!s->in_flight && s->expected > 0);
	s->in_flight = true;
	s->pieces = 0;
	s->sent_us = now_us;
	s->watch.deadline_us = answer_due_us(s);
	if (s->broken || !PQpipelineSync(s->conn)) {
		if (!s->broken)
			send_failed(s);
		fail_later(s);
		return;
	}
	want_io(s);
}

/* Shorter than a statement's, or nobody would learn that it was a lock. */
int64_t
session_lock_timeout_ms(const struct session_options *opt)
{
	return opt->statement_timeout_ms / 2;
}

/* Settings by set_config() rather than start-up options, which poolers refuse. They pin the claim's plan too:
 * stale statistics must not turn an index walk into a sort of the whole backlog. The first column shows whether another
 * session of ours used this server process before: then a pooler shares it, and session locks would protect nothing. */
static void
send_settings(struct session *s, int64_t now_us)
{
	static const char sql[] =
		"SELECT nullif(current_setting('pgoutbox.session', true), ''), pg_backend_pid(), set_config('pgoutbox.session', $4, false),"
		" set_config('statement_timeout', $1, false), set_config('idle_in_transaction_session_timeout', $2, false),"
		" set_config('idle_session_timeout', $2, false), set_config('lock_timeout', $3, false),"
		" set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '2', false),"
		" set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '10000', false),"
		" set_config('application_name', $4, false), set_config('synchronous_commit', 'on', false),"
		" set_config('TimeZone', 'UTC', false), set_config('bytea_output', 'hex', false), set_config('jit', 'off', false),"
		" set_config('enable_seqscan', 'off', false), set_config('enable_bitmapscan', 'off', false),"
		" set_config('enable_sort', 'off', false), set_config('max_parallel_workers_per_gather', '0', false),"
		" set_config('plan_cache_mode', 'force_generic_plan', false),"
		" set_config('default_transaction_isolation', 'read committed', false)";
	char statement_ms[24], session_ms[24];
	char lock_ms[24];
	const char *values[SESSION_SETTINGS_PARAMS] = {statement_ms, session_ms, lock_ms, s->application_name};

	snprintf(statement_ms, sizeof(statement_ms), "%lld", (long long)s->opt->statement_timeout_ms);
	snprintf(lock_ms, sizeof(lock_ms), "%lld", (long long)session_lock_timeout_ms(s->opt));
	snprintf(session_ms, sizeof(session_ms), "%lld", (long long)s->opt->session_timeout_ms);
	s->expected = 1;
	if (!PQsendQueryParams(s->conn, sql, SESSION_SETTINGS_PARAMS, NULL, values, NULL, NULL, 0))
		send_failed(s);
	session_round_send(s, now_us);
}

static void
connected(struct session *s, int64_t now_us)
{
	if (PQserverVersion(s->conn) < 140000) {
		error_set(&s->failure, ERR_CONFIG, "PostgreSQL %d is too old", PQserverVersion(s->conn) / 10000);
		error_hint(&s->failure, "pgoutboxd needs PostgreSQL 14 or newer");
		fail_later(s);
		return;
	}
	if (PQsetnonblocking(s->conn, 1) != 0 || !PQenterPipelineMode(s->conn)) {
		connection_failure(s, "could not enter pipeline mode");
		fail_later(s);
		return;
	}
	s->state = SESSION_SETTING_UP;
	clear_round(s);
	send_settings(s, now_us);
}

static void
drive_connect(struct session *s, int64_t now_us)
{
	PostgresPollingStatusType status = PQconnectPoll(s->conn);

	s->watch.fd = PQsocket(s->conn);
	switch (status) {
	case PGRES_POLLING_READING:
		s->watch.events = POLLIN;
		return;
	case PGRES_POLLING_WRITING:
	case PGRES_POLLING_ACTIVE:
		s->watch.events = POLLOUT;
		return;
	case PGRES_POLLING_OK:
		connected(s, now_us);
		return;
	case PGRES_POLLING_FAILED:
		break;
	}
	connection_failure(s, "could not connect to PostgreSQL");
	fail_later(s);
}

static int
check_settings(struct session *s, const struct round *done)
{
	if (done->failed >= 0)
		return session_result_error(done->results[0], "could not set up the session", &s->failure);
	s->server_pid = atoi(PQgetvalue(done->results[0], 0, 1));
	if (PQgetisnull(done->results[0], 0, 0))
		return 0;
	error_set(&s->failure, ERR_CONFIG, "the connection to PostgreSQL goes through a pooler that shares server processes");
	return error_hint(&s->failure, "session locks need a connection of their own: connect directly, or through a pooler in "
	                               "session mode that runs DISCARD ALL between clients");
}

/* The round's sync came back: hand the results over. */
static void
round_done(struct session *s, int64_t now_us)
{
	struct round done = s->round;

	done.elapsed_us = now_us - s->sent_us;
	s->round = (struct round){.failed = -1};
	s->expected = 0;
	s->in_flight = false;
	s->watch.deadline_us = CLOCK_NEVER;
	if (s->state == SESSION_SETTING_UP && check_settings(s, &done) != 0)
		fail_later(s);
	else if (s->state == SESSION_SETTING_UP) {
		s->state = SESSION_READY;
		s->worked = true;
		s->events.ready(s->events.ctx);
	} else
		s->events.round(s->events.ctx, &done);
	for (int i = 0; i < done.count; i++)
		PQclear(done.results[i]);
}

/* Takes one result in; true when it ended the round. */
static bool
take_result(struct session *s, PGresult *res)
{
	switch (PQresultStatus(res)) {
	case PGRES_PIPELINE_SYNC:
		PQclear(res);
		return true;
	case PGRES_FATAL_ERROR:
	case PGRES_BAD_RESPONSE:
		if (s->round.failed < 0 && s->round.count < s->expected)
			s->round.failed = s->round.count;
		break;
	default:
		break;
	}
	/* A connection that breaks gives one error more than there were statements. */
	if (s->round.count == s->expected) {
		take_notice(s, res);
		PQclear(res);
	} else
		s->round.results[s->round.count++] = res;
	return false;
}

static void
drain_notifications(struct session *s)
{
	PGnotify *n;
	bool any = false;

	while ((n = PQnotifies(s->conn)) != NULL) {
		PQfreemem(n);
		any = true;
	}
	if (any && s->events.notified != NULL && s->state == SESSION_READY)
		s->events.notified(s->events.ctx);
}

/* What the server itself said (57P01 and the like) is a better reason than what libpq makes of a closed socket. */
static void
lost_connection(struct session *s)
{
	connection_failure(s, "lost the connection to PostgreSQL");
	if (s->round.failed >= 0 && PQresultErrorField(s->round.results[s->round.failed], PG_DIAG_SQLSTATE) != NULL)
		session_result_error(s->round.results[s->round.failed], "lost the connection to PostgreSQL", &s->failure);
	else if (s->has_last_words)
		s->failure = s->last_words;
	if (s->worked)
		s->failure.kind = ERR_RETRY;
	fail_later(s);
}

/* Where memory is out for the round's sync, libpq gives an error for it, and then nothing for ever. */
static void
out_of_step(struct session *s)
{
	error_set(&s->failure, ERR_RETRY, "lost the connection to PostgreSQL: a round ended without its sync");
	fail_later(s);
}

static void
read_results(struct session *s, int64_t now_us)
{
	bool ended = false; /* one statement's results */

	while (s->in_flight && !PQisBusy(s->conn)) {
		PGresult *res = PQgetResult(s->conn);

		if (res == NULL) {
			if (PQstatus(s->conn) == CONNECTION_BAD)
				return;
			if (ended) {
				out_of_step(s);
				return;
			}
			ended = true;
			continue;
		}
		ended = false;
		if (take_result(s, res)) {
			round_done(s, now_us);
			return;
		}
		if (PQstatus(s->conn) == CONNECTION_BAD)
			return;
	}
}

static void
read_once(struct session *s, short revents, int64_t now_us)
{
	if ((revents & ~POLLOUT) != 0 && !PQconsumeInput(s->conn)) {
		read_results(s, now_us);
		if (s->state >= SESSION_SETTING_UP)
			lost_connection(s);
		return;
	}
	want_io(s);
	if (s->state < SESSION_SETTING_UP)
		return;
	read_results(s, now_us);
	drain_notifications(s); /* after the results, among which notifications may have come */
	if (s->state >= SESSION_SETTING_UP && PQstatus(s->conn) == CONNECTION_BAD)
		lost_connection(s);
}

/* The round's results are not all there, and nothing else is to be done. */
static bool
is_reading(const struct session *s)
{
	return s->state == SESSION_READY && s->in_flight && s->watch.events == POLLIN && PQisBusy(s->conn);
}

static void
drive_io(struct session *s, short revents, int64_t now_us)
{
	int more = 0;

	for (int i = 0; i < READS_MAX && (i == 0 || more > 0); i++) {
		read_once(s, i == 0 ? revents : POLLIN, now_us);
		if (!is_reading(s) || ++s->pieces < PIECES_AT_ONCE)
			return;
		if (ioctl(s->watch.fd, FIONREAD, &more) != 0)
			return;
	}
	if (more > 0 || now_us + GATHER_US >= s->watch.deadline_us)
		return;
	s->gathering = true;
	s->watch.events = 0;
	s->watch.deadline_us = now_us + GATHER_US;
}

static void
stop_gathering(struct session *s)
{
	s->gathering = false;
	s->watch.events = POLLIN;
	s->watch.deadline_us = answer_due_us(s);
}

static void
fire(struct watch *w, short revents, int64_t now_us)
{
	struct session *s = (struct session *)w;

	if (s->gathering) {
		stop_gathering(s);
		revents |= POLLIN;
	}
	if (revents != 0 && s->state == SESSION_CONNECTING)
		drive_connect(s, now_us);
	else if (revents != 0 && s->state >= SESSION_SETTING_UP)
		drive_io(s, revents, now_us);
	else if (s->state != SESSION_FAILED && now_us >= s->watch.deadline_us) {
		error_set(&s->failure, ERR_RETRY,
		          s->state == SESSION_CONNECTING ? "could not connect to PostgreSQL within %lld ms"
		                                         : "PostgreSQL did not answer within %lld ms",
		          (long long)(now_us - s->sent_us) / 1000);
		fail_later(s);
	}
	if (s->state == SESSION_FAILED)
		lose(s);
}

int
session_library_version(void)
{
	return PQlibVersion();
}

int
session_result_error(const PGresult *res, const char *doing, struct error *err)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *hint;
	char said[512];
	enum err_kind kind = sqlstate_kind(state, &hint);

	/* A result of libpq's own: the connection is lost, say. */
	flatten(primary == NULL && state == NULL ? PQresultErrorMessage(res) : "", said, sizeof(said));
	if (said[0] != '\0')
		error_set(err, kind, "%s: %s", doing, said);
	else
		error_set(err, kind, "%s: %s (SQLSTATE %s)", doing, primary != NULL ? primary : "no message", state != NULL ? state : "none");
	if (hint != NULL)
		error_hint(err, "%s", hint);
	return -1;
}
