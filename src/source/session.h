/* session.h - one asynchronous PostgreSQL connection that runs rounds.
 *
 * A round is a pipeline (PostgreSQL documentation, "Pipeline Mode"): some statements, then one sync; its results come back together.
 * One round at a time. Nothing here blocks, except that libpq resolves a host name in connect: give hostaddr, a socket directory
 * or a name in /etc/hosts where that matters. The session opens itself again only when told to.
 */
#ifndef PGOUTBOX_SOURCE_SESSION_H
#define PGOUTBOX_SOURCE_SESSION_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/watch.h"

#define ROUND_MAX 16

struct session_options {
	const char *conninfo;
	const char *password;    /* NULL = what conninfo, PGPASSFILE and the like say */
	const char *sslpassword; /* of the client's key; NULL = what conninfo says */
	int64_t connect_timeout_ms;
	int64_t statement_timeout_ms; /* the server's; the session gives up SESSION_GRACE_MS later by itself */
	int64_t session_timeout_ms;   /* a session silent for so long is ended by the server */
};

/* What came back for one round: a result a statement, in order; after a failed one PGRES_PIPELINE_ABORTED. */
struct round {
	PGresult *results[ROUND_MAX]; /* freed after the callback; set one to NULL to keep it */
	int count;
	int failed; /* index of the first statement that failed, -1 = none */
	bool warned; /* the server gave a warning meanwhile: that a commit did not wait for its standbys, for one */
	int64_t elapsed_us;
};

struct session;

struct session_events {
	/* Connected, settings made; the first round may be sent. */
	void (*ready)(void *ctx);
	void (*round)(void *ctx, struct round *r);
	/* The connection is gone or never came; the session is closed and may be opened again. A round in flight gets no answer. */
	void (*lost)(void *ctx, const struct error *err);
	/* A notification came; may be NULL. */
	void (*notified)(void *ctx);
	void *ctx;
};

/* opt and its strings must outlive the session. application_name is copied. NULL when memory is out. */
struct session *session_new(const struct session_options *opt, const char *application_name,
                            const struct session_events *events) __attribute__((warn_unused_result));
void session_free(struct session *s); /* closes without a word; no callback. NULL is fine */

struct watch *session_watch(struct session *s);

/* Starts to connect. Failures come through lost(), never from within this call. */
void session_open(struct session *s);
void session_close(struct session *s); /* no callback */
bool session_is_open(const struct session *s); /* ready for rounds */
bool session_is_busy(const struct session *s); /* a round is in flight */
int session_server_pid(const struct session *s); /* the server process that answered first */

/* Build a round: statements in order, then session_round_send(). Errors are remembered and end in lost(). */
void session_prepare(struct session *s, const char *name, const char *sql);
void session_query(struct session *s, const char *sql);
void session_query_params(struct session *s, const char *sql, int n_params, const char *const *values);
void session_execute(struct session *s, const char *name, int n_params, const char *const *values, const int *lengths,
                     const int *formats);
/* Parameters as for PQsendQueryParams; results in binary when binary is true. */
void session_execute_binary(struct session *s, const char *name, int n_params, const char *const *values,
                            const int *lengths, const int *formats);
/* Memory was out for a statement of this round, which therefore is not sent: lost() follows. */
void session_spoil(struct session *s);
void session_round_send(struct session *s, int64_t now_us);

/* How long a statement waits for a lock: lock_timeout. */
int64_t session_lock_timeout_ms(const struct session_options *opt);

/* libpq's own, as it runs: 150004 for 15.4. */
int session_library_version(void);

/* Turns a failed result into an error: ERR_CONFIG where a person must act, ERR_RETRY where waiting may help. */
int session_result_error(const PGresult *res, const char *doing, struct error *err);

#endif
