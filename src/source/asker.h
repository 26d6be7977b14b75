/* asker.h - the session that runs the operator's own queries, one at a time, and never two of them at once.
 *
 * Each is asked for its columns first, which runs nothing, then for at most ASKER_ROWS_MAX + 1 rows with label texts that are cut: so
 * what comes is bounded, whatever the query would give. Its transactions are read-only; the session has statement_timeout and no settings of
 * the claim's. No lane waits for it; a query that fails is run again when its time comes, and keeps no other from running.
 */
#ifndef PGOUTBOX_SOURCE_ASKER_H
#define PGOUTBOX_SOURCE_ASKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/watch.h"
#include "source/session.h"

#define ASKER_ROWS_MAX 100
#define ASKER_TEXT_MAX 128 /* characters of a label that are fetched */
#define ASKER_COLUMNS_MAX 64 /* of an answer; one of more is refused */

struct asker_query {
	const char *name;
	const char *sql; /* one SELECT; semicolons at its end do no harm */
};

struct asker_options {
	const struct session_options *session; /* its statement_timeout_ms is the queries' own */
	const struct asker_query *queries;
	size_t count;
	int64_t interval_ms; /* from a query's end to its next run; ASKER_SHARE times what it took, where that is longer */
};

#define ASKER_SHARE 20

struct asker_answer {
	size_t columns, rows; /* one row more than ASKER_ROWS_MAX where the query has more than that */
	const char *const *names;
	const bool *values;       /* numbers; the other columns are text */
	const char *const *cells; /* NULL = SQL's NULL */
	int64_t elapsed_us;
};

struct asker_events {
	void (*answered)(void *ctx, size_t query, const struct asker_answer *a);
	/* ERR_CONFIG where a person must act. The session is still there. */
	void (*failed)(void *ctx, size_t query, const struct error *err);
	void (*opened)(void *ctx);
	void (*lost)(void *ctx, const struct error *err); /* closed */
	void *ctx;
};

struct asker;

/* opt's strings and arrays must outlive the asker. NULL when memory is out. */
struct asker *asker_new(const struct asker_options *opt, const struct asker_events *events) __attribute__((warn_unused_result));
void asker_free(struct asker *a); /* NULL is fine */
struct watch *asker_watch(struct asker *a); /* its session */
struct watch *asker_timer(struct asker *a);
void asker_open(struct asker *a);
void asker_close(struct asker *a);

/* The statement that tells a query's columns and runs nothing. */
void asker_columns_text(const char *sql, struct buf *out);

/* Whether a column of the type that PQftype() tells is a value. */
bool asker_is_value(Oid type);

/* What a query failed with, in words that say what to do. */
void asker_error(const PGresult *res, const struct asker_query *q, struct error *err);

#endif
