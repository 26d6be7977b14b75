/* sweep.c - makes the n-th call of libpq, of librdkafka or of the allocator fail, as its documentation says it may.
 *
 *   PGOUTBOX_SWEEP=FAMILY:N         family pg, kafka or alloc
 *   PGOUTBOX_SWEEP=FAMILY:N:COUNT   and the COUNT - 1 calls after it
 *
 * Says on stderr which call it was, and in the end how many there were. Where a function may fail in several ways, N
 * chooses. Only in tests/support/pgoutboxd-sweep, whose linker has each of these called in place of the function
 * (--wrap); what the libraries call themselves is not touched.
 */
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum family { PG, KAFKA, ALLOC, FAMILIES };

static const char *const family_names[FAMILIES] = {"pg", "kafka", "alloc"};
static atomic_ulong calls[FAMILIES];

/* Set before main(), by one thread. */
static enum family chosen = FAMILIES;
static unsigned long first, count = 1;

static _Noreturn void
misspelt(const char *text)
{
	fprintf(stderr, "PGOUTBOX_SWEEP=\"%s\" is not FAMILY:N or FAMILY:N:COUNT with a family pg, kafka or alloc\n", text);
	_exit(EX_USAGE);
}

static void __attribute__((constructor))
arm(void)
{
	const char *text = getenv("PGOUTBOX_SWEEP");
	size_t len = text != NULL ? strcspn(text, ":") : 0;
	char *end;

	if (text == NULL)
		return;
	for (enum family f = 0; f < FAMILIES; f++)
		if (strlen(family_names[f]) == len && strncmp(family_names[f], text, len) == 0)
			chosen = f;
	if (chosen == FAMILIES || text[len] != ':')
		misspelt(text);
	first = strtoul(text + len + 1, &end, 10);
	if (*end == ':')
		count = strtoul(end + 1, &end, 10);
	if (*end != '\0' || first == 0 || count == 0)
		misspelt(text);
}

/* What is called from now on is not the daemon's: gcov has no means against a call that fails. */
static void __attribute__((destructor))
tell(void)
{
	chosen = FAMILIES;
	for (enum family f = 0; f < FAMILIES; f++)
		dprintf(STDERR_FILENO, "sweep: %s calls: %lu\n", family_names[f], calls[f]);
}

static bool
fails(enum family family, const char *function)
{
	unsigned long n = atomic_fetch_add(&calls[family], 1) + 1;

	if (family != chosen || n < first || n - first >= count)
		return false;
	dprintf(STDERR_FILENO, "sweep: call %lu of %s, %s, fails\n", n, family_names[family], function);
	return true;
}

#define WRAP(type, name, ...)           \
	type __real_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

/* --- the allocator --- */

WRAP(void *, malloc, size_t size)
{
	if (!fails(ALLOC, "malloc"))
		return __real_malloc(size);
	errno = ENOMEM;
	return NULL;
}

WRAP(void *, calloc, size_t members, size_t size)
{
	if (!fails(ALLOC, "calloc"))
		return __real_calloc(members, size);
	errno = ENOMEM;
	return NULL;
}

WRAP(void *, realloc, void *old, size_t size)
{
	if (!fails(ALLOC, "realloc"))
		return __real_realloc(old, size);
	errno = ENOMEM;
	return NULL;
}

WRAP(char *, strdup, const char *text)
{
	if (!fails(ALLOC, "strdup"))
		return __real_strdup(text);
	errno = ENOMEM;
	return NULL;
}

WRAP(char *, strndup, const char *text, size_t size)
{
	if (!fails(ALLOC, "strndup"))
		return __real_strndup(text, size);
	errno = ENOMEM;
	return NULL;
}

/* --- libpq --- */

WRAP(PGconn *, PQconnectStartParams, const char *const *keywords, const char *const *values, int expand_dbname)
{
	static const char *const nowhere[] = {"host", NULL}, *const here[] = {"/nonexistent", NULL};

	if (!fails(PG, "PQconnectStartParams"))
		return __real_PQconnectStartParams(keywords, values, expand_dbname);
	return first % 2 == 0 ? NULL : __real_PQconnectStartParams(nowhere, here, 0);
}

WRAP(PostgresPollingStatusType, PQconnectPoll, PGconn *conn)
{
	return fails(PG, "PQconnectPoll") ? PGRES_POLLING_FAILED : __real_PQconnectPoll(conn);
}

WRAP(PQconninfoOption *, PQconninfoParse, const char *conninfo, char **ret_message)
{
	if (!fails(PG, "PQconninfoParse"))
		return __real_PQconninfoParse(conninfo, ret_message);
	if (ret_message != NULL)
		*ret_message = NULL; /* memory is out */
	return NULL;
}

WRAP(int, PQconsumeInput, PGconn *conn)
{
	return fails(PG, "PQconsumeInput") ? 0 : __real_PQconsumeInput(conn);
}

WRAP(int, PQenterPipelineMode, PGconn *conn)
{
	return fails(PG, "PQenterPipelineMode") ? 0 : __real_PQenterPipelineMode(conn);
}

WRAP(int, PQflush, PGconn *conn)
{
	return fails(PG, "PQflush") ? -1 : __real_PQflush(conn);
}

/* Without memory for a result libpq has read it all the same, and gives an error in its place. */
WRAP(PGresult *, PQgetResult, PGconn *conn)
{
	PGresult *res = __real_PQgetResult(conn);

	if (res == NULL || !fails(PG, "PQgetResult"))
		return res;
	PQclear(res);
	return PQmakeEmptyPGresult(conn, PGRES_FATAL_ERROR);
}

WRAP(int, PQpipelineSync, PGconn *conn)
{
	return fails(PG, "PQpipelineSync") ? 0 : __real_PQpipelineSync(conn);
}

WRAP(char *, PQresultErrorField, const PGresult *res, int field)
{
	return fails(PG, "PQresultErrorField") ? NULL : __real_PQresultErrorField(res, field);
}

WRAP(int, PQsendPrepare, PGconn *conn, const char *name, const char *sql, int params, const Oid *types)
{
	return fails(PG, "PQsendPrepare") ? 0 : __real_PQsendPrepare(conn, name, sql, params, types);
}

WRAP(int, PQsendQueryParams, PGconn *conn, const char *sql, int params, const Oid *types, const char *const *values,
     const int *lengths, const int *formats, int result_format)
{
	if (fails(PG, "PQsendQueryParams"))
		return 0;
	return __real_PQsendQueryParams(conn, sql, params, types, values, lengths, formats, result_format);
}

WRAP(int, PQsendQueryPrepared, PGconn *conn, const char *name, int params, const char *const *values,
     const int *lengths, const int *formats, int result_format)
{
	if (fails(PG, "PQsendQueryPrepared"))
		return 0;
	return __real_PQsendQueryPrepared(conn, name, params, values, lengths, formats, result_format);
}

WRAP(int, PQsetnonblocking, PGconn *conn, int nonblocking)
{
	return fails(PG, "PQsetnonblocking") ? -1 : __real_PQsetnonblocking(conn, nonblocking);
}

WRAP(int, PQsocket, const PGconn *conn)
{
	return fails(PG, "PQsocket") ? -1 : __real_PQsocket(conn);
}

/* A connection that is bad stays so. Two at a time never are: each failure is one call's. */
static const PGconn *bad;

WRAP(ConnStatusType, PQstatus, const PGconn *conn)
{
	if (fails(PG, "PQstatus"))
		bad = conn;
	return conn == bad ? CONNECTION_BAD : __real_PQstatus(conn);
}

WRAP(void, PQfinish, PGconn *conn)
{
	if (conn == bad)
		bad = NULL;
	__real_PQfinish(conn);
}

/* --- librdkafka --- */

static _Thread_local bool made_up; /* the last error */

WRAP(rd_kafka_resp_err_t, rd_kafka_last_error, void)
{
	bool mine = made_up;

	made_up = false;
	return mine ? RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE : __real_rd_kafka_last_error();
}

static void
say(char *ret_text, size_t size)
{
	if (ret_text != NULL && size > 0)
		snprintf(ret_text, size, "the sweep has it fail");
}

WRAP(rd_kafka_conf_res_t, rd_kafka_conf_set, rd_kafka_conf_t *conf, const char *name, const char *value, char *ret_text,
     size_t size)
{
	if (!fails(KAFKA, "rd_kafka_conf_set"))
		return __real_rd_kafka_conf_set(conf, name, value, ret_text, size);
	say(ret_text, size);
	return first % 2 == 0 ? RD_KAFKA_CONF_INVALID : RD_KAFKA_CONF_UNKNOWN;
}

WRAP(rd_kafka_conf_res_t, rd_kafka_conf_get, const rd_kafka_conf_t *conf, const char *name, char *ret_value,
     size_t *size)
{
	if (fails(KAFKA, "rd_kafka_conf_get"))
		return RD_KAFKA_CONF_UNKNOWN;
	return __real_rd_kafka_conf_get(conf, name, ret_value, size);
}

/* The configuration stays the caller's. */
WRAP(rd_kafka_t *, rd_kafka_new, rd_kafka_type_t type, rd_kafka_conf_t *conf, char *ret_text, size_t size)
{
	if (!fails(KAFKA, "rd_kafka_new"))
		return __real_rd_kafka_new(type, conf, ret_text, size);
	say(ret_text, size);
	made_up = true;
	return NULL;
}

/* The configuration is librdkafka's in any case. */
WRAP(rd_kafka_topic_t *, rd_kafka_topic_new, rd_kafka_t *rk, const char *topic, rd_kafka_topic_conf_t *conf)
{
	if (!fails(KAFKA, "rd_kafka_topic_new"))
		return __real_rd_kafka_topic_new(rk, topic, conf);
	rd_kafka_topic_conf_destroy(conf);
	made_up = true;
	return NULL;
}

WRAP(rd_kafka_resp_err_t, rd_kafka_set_log_queue, rd_kafka_t *rk, rd_kafka_queue_t *queue)
{
	return fails(KAFKA, "rd_kafka_set_log_queue") ? RD_KAFKA_RESP_ERR__NOT_CONFIGURED
	                                              : __real_rd_kafka_set_log_queue(rk, queue);
}

WRAP(rd_kafka_error_t *, rd_kafka_produceva, rd_kafka_t *rk, const rd_kafka_vu_t *parts, size_t parts_count)
{
	static const rd_kafka_resp_err_t codes[] = {RD_KAFKA_RESP_ERR__QUEUE_FULL, RD_KAFKA_RESP_ERR__FATAL,
	                                            RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
	                                            RD_KAFKA_RESP_ERR__INVALID_ARG};
	rd_kafka_resp_err_t code = codes[first % (sizeof codes / sizeof codes[0])];

	if (!fails(KAFKA, "rd_kafka_produceva"))
		return __real_rd_kafka_produceva(rk, parts, parts_count);
	if (code == RD_KAFKA_RESP_ERR__FATAL)
		rd_kafka_test_fatal_error(rk, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "the sweep has it fail");
	return rd_kafka_error_new(code, "the sweep has it fail");
}

WRAP(rd_kafka_event_t *, rd_kafka_queue_poll, rd_kafka_queue_t *queue, int timeout_ms)
{
	return fails(KAFKA, "rd_kafka_queue_poll") ? NULL : __real_rd_kafka_queue_poll(queue, timeout_ms);
}

/* A message that was stored may still be reported as failed: the answer was lost. */
WRAP(const rd_kafka_message_t *, rd_kafka_event_message_next, rd_kafka_event_t *event)
{
	static const rd_kafka_resp_err_t codes[] = {RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
	                                            RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR__FATAL};
	const rd_kafka_message_t *m = __real_rd_kafka_event_message_next(event);

	if (m != NULL && fails(KAFKA, "rd_kafka_event_message_next"))
		((rd_kafka_message_t *)(uintptr_t)m)->err = codes[first % (sizeof codes / sizeof codes[0])];
	return m;
}

WRAP(int, rd_kafka_event_log, rd_kafka_event_t *event, const char **ret_facility, const char **ret_text, int *ret_level)
{
	if (fails(KAFKA, "rd_kafka_event_log"))
		return -1;
	return __real_rd_kafka_event_log(event, ret_facility, ret_text, ret_level);
}

WRAP(rd_kafka_resp_err_t, rd_kafka_event_error, rd_kafka_event_t *event)
{
	return fails(KAFKA, "rd_kafka_event_error") ? RD_KAFKA_RESP_ERR__TIMED_OUT : __real_rd_kafka_event_error(event);
}

WRAP(rd_kafka_resp_err_t, rd_kafka_metadata, rd_kafka_t *rk, int all_topics, rd_kafka_topic_t *only,
     const struct rd_kafka_metadata **ret_metadata, int timeout_ms)
{
	if (fails(KAFKA, "rd_kafka_metadata"))
		return first % 2 == 0 ? RD_KAFKA_RESP_ERR__TRANSPORT : RD_KAFKA_RESP_ERR__TIMED_OUT;
	return __real_rd_kafka_metadata(rk, all_topics, only, ret_metadata, timeout_ms);
}

WRAP(rd_kafka_resp_err_t, rd_kafka_AdminOptions_set_request_timeout, rd_kafka_AdminOptions_t *options, int timeout_ms,
     char *ret_text, size_t size)
{
	if (!fails(KAFKA, "rd_kafka_AdminOptions_set_request_timeout"))
		return __real_rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, ret_text, size);
	say(ret_text, size);
	return RD_KAFKA_RESP_ERR__INVALID_ARG;
}

WRAP(rd_kafka_resp_err_t, rd_kafka_ConfigResource_error, const rd_kafka_ConfigResource_t *resource)
{
	return fails(KAFKA, "rd_kafka_ConfigResource_error") ? RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
	                                                     : __real_rd_kafka_ConfigResource_error(resource);
}

WRAP(const char *, rd_kafka_ConfigEntry_value, const rd_kafka_ConfigEntry_t *entry)
{
	return fails(KAFKA, "rd_kafka_ConfigEntry_value") ? NULL : __real_rd_kafka_ConfigEntry_value(entry);
}
