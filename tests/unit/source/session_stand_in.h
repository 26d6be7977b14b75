/* session_stand_in.h - in place of source/session.c and the clock: a round is kept as a text, and the test answers it.
 *
 * For the tests of those who use one session each. They include it after the C file that they test.
 */
#ifndef PGOUTBOX_TESTS_UNIT_SOURCE_SESSION_STAND_IN_H
#define PGOUTBOX_TESTS_UNIT_SOURCE_SESSION_STAND_IN_H

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "source/session.h"
#include "support/tap.h"

struct session {
	struct session_events events;
	const struct session_options *opt;
	char name[64];
	bool open;  /* connecting, or ready */
	bool ready;
	bool busy;
};

static struct session session;
static struct buf sent; /* the round: statements with their values, "P:" before what is prepared, "sync" at its end */
static int64_t now_us = 1000000;
static enum err_kind session_error_kind = ERR_RETRY; /* what a failed statement asks for */
__attribute__((unused)) static bool next_answer_warned;
static int64_t answer_us = 1000; /* what a round takes */

#define SERVER_PID 4711

int64_t
clock_mono_us(void)
{
	return now_us;
}

struct session *
session_new(const struct session_options *opt, const char *name, const struct session_events *events)
{
	session = (struct session){.events = *events, .opt = opt};
	snprintf(session.name, sizeof(session.name), "%s", name);
	session_error_kind = ERR_RETRY;
	return &session;
}

void
session_free(struct session *s)
{
	CU_ASSERT_PTR_EQUAL(s, &session);
	buf_done(&sent);
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
	CU_ASSERT_FALSE(s->open);
	buf_reset(&sent);
	s->open = true;
}

void
session_close(struct session *s)
{
	s->open = s->ready = s->busy = false;
}

bool
session_is_open(const struct session *s)
{
	return s->ready;
}

bool
session_is_busy(const struct session *s)
{
	return s->busy;
}

int
session_server_pid(const struct session *s)
{
	(void)s;
	return SERVER_PID;
}

static char prepared_last[1024];

void
session_prepare(struct session *s, const char *name, const char *sql)
{
	CU_ASSERT_FALSE(s->busy);
	CU_ASSERT_PTR_NOT_NULL(sql);
	(void)snprintf(prepared_last, sizeof(prepared_last), "%s", sql);
	buf_printf(&sent, "P:%s ", name);
}

void
session_spoil(struct session *s)
{
	(void)s;
	buf_add_str(&sent, "spoiled ");
}

void
session_query(struct session *s, const char *sql)
{
	CU_ASSERT_FALSE(s->busy);
	buf_printf(&sent, "%s ", sql);
}

/* Binary values as "#". */
void
session_execute(struct session *s, const char *name, int n, const char *const *values, const int *lengths,
                const int *formats)
{
	CU_ASSERT_FALSE(s->busy);
	buf_add_str(&sent, name);
	for (int i = 0; i < n; i++) {
		bool binary = formats != NULL && formats[i] == 1;

		CU_ASSERT(!binary || lengths != NULL);
		/* NULL for an array that found no memory would settle nothing and seem well. */
		CU_ASSERT_PTR_NOT_NULL(values[i]);
		buf_printf(&sent, "/%s", binary ? "#" : values[i]);
	}
	buf_add_char(&sent, ' ');
}

void
session_execute_binary(struct session *s, const char *name, int n, const char *const *values, const int *lengths,
                       const int *formats)
{
	session_execute(s, name, n, values, lengths, formats);
}

void
session_query_params(struct session *s, const char *sql, int n, const char *const *values)
{
	session_execute(s, sql, n, values, NULL, NULL);
}

void
session_round_send(struct session *s, int64_t at_us)
{
	(void)at_us;
	CU_ASSERT_TRUE(s->ready);
	CU_ASSERT_FALSE(s->busy);
	s->busy = true;
	buf_add_str(&sent, "sync");
}

__attribute__((unused)) int64_t
session_lock_timeout_ms(const struct session_options *opt)
{
	return opt->statement_timeout_ms / 2;
}

int
session_result_error(const PGresult *res, const char *doing, struct error *err)
{
	(void)res;
	return error_set(err, session_error_kind, "%s", doing);
}

/* --- what the test makes happen; sent begins anew each time --- */

__attribute__((unused)) static void
connect_it(void)
{
	buf_reset(&sent);
	session.ready = true;
	session.events.ready(session.events.ctx);
}

__attribute__((unused)) static void
break_it(enum err_kind kind)
{
	struct error err;

	error_set(&err, kind, "gone");
	session_close(&session);
	session.events.lost(session.events.ctx, &err);
}

/* Frees the results but for those that the round's owner kept. */
__attribute__((unused)) static void
answer_round(PGresult *const results[], int count, int failed)
{
	struct round r = {.count = count, .failed = failed, .warned = next_answer_warned, .elapsed_us = answer_us};

	next_answer_warned = false;
	CU_ASSERT_TRUE(session.busy);
	memcpy(r.results, results, (size_t)count * sizeof(r.results[0]));
	session.busy = false;
	buf_reset(&sent);
	session.events.round(session.events.ctx, &r);
	for (int i = 0; i < count; i++)
		PQclear(r.results[i]);
}

#define ANSWER(...) answer_failed(-1, __VA_ARGS__)
#define answer_failed(failed, ...) \
	answer_round((PGresult *const[]){__VA_ARGS__}, (int)(sizeof((PGresult *[]){__VA_ARGS__}) / sizeof(PGresult *)), failed)

/* Rows of text columns; "~" is SQL's NULL. */
__attribute__((unused)) static PGresult *
rows_of(int columns, const char *const cells[])
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc attrs[12];

	for (int i = 0; i < columns; i++)
		attrs[i] = (PGresAttDesc){.name = (char *)(uintptr_t) "c", .typlen = -1, .atttypmod = -1};
	PQsetResultAttrs(res, columns, attrs);
	for (int i = 0; cells[i] != NULL; i++)
		PQsetvalue(res, i / columns, i % columns, (char *)(uintptr_t)cells[i], cells[i][0] == '~' ? -1 : (int)strlen(cells[i]));
	return res;
}

#define ROWS(columns, ...) rows_of(columns, (const char *const[]){__VA_ARGS__, NULL})
#define NO_ROWS() rows_of(1, (const char *const[]){NULL})

#endif
