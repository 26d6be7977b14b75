/* checkup_queries.c - in: the configured queries; out: a finding each: whether it can be run by the daemon's role, and what it gives. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/checkup_impl.h"
#include "admin/conn.h"
#include "metrics/readings.h"
#include "relay/queries.h"
#include "source/asker.h"
#include "source/layout.h"

/* As the daemon runs it, but for its rows: columns and rights are known without. */
static int
begin(const struct config *cfg, PGconn *conn, const char *role, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	char *quoted = layout_quote(role);

	buf_printf(&sql, "BEGIN READ ONLY; SET LOCAL statement_timeout = %" PRId64 "; SET LOCAL ROLE %s", cfg->queries.timeout_ms,
	           quoted != NULL ? quoted : "");
	if (quoted == NULL || buf_failed(&sql)) {
		free(quoted);
		return error_set(err, ERR_RETRY, "out of memory");
	}
	free(quoted);
	return conn_exec(conn, buf_str(&sql), "could not take the role's place", err);
}

static int
ask(PGconn *conn, const struct asker_query *q, PGresult **ret_res, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res;

	asker_columns_text(q->sql, &sql);
	if (buf_failed(&sql))
		return error_set(err, ERR_RETRY, "out of memory");
	res = PQexecParams(conn, buf_str(&sql), 0, NULL, NULL, NULL, NULL, 0);
	if (PQresultStatus(res) == PGRES_TUPLES_OK) {
		*ret_res = res;
		return 0;
	}
	asker_error(res, q, err);
	PQclear(res);
	return -1;
}

static void
judge_columns(const struct asker_query *q, const PGresult *res, struct checkup *c)
{
	struct buf metrics __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf labels __attribute__((cleanup(buf_done))) = BUF_INIT;
	size_t columns = (size_t)PQnfields(res) < ASKER_COLUMNS_MAX ? (size_t)PQnfields(res) : ASKER_COLUMNS_MAX;
	const char *names[ASKER_COLUMNS_MAX];
	bool values[ASKER_COLUMNS_MAX];
	struct error err;

	for (size_t i = 0; i < columns; i++) {
		names[i] = PQfname(res, (int)i);
		values[i] = asker_is_value(PQftype(res, (int)i));
		if (values[i])
			buf_printf(&metrics, "%s%s_%s", metrics.len > 0 ? ", pgoutbox_query_" : " pgoutbox_query_", q->name, names[i]);
		else
			buf_printf(&labels, "%s%s", labels.len > 0 ? ", " : " by ", names[i]);
	}
	if (readings_check(q->name, columns, names, values, &err) != 0)
		checkup_add(c, FINDING_WARNING, "query", err.hint, "%s", err.message);
	else
		checkup_add(c, FINDING_OK, "query", NULL, "query \"%s\" gives%s%s", q->name, buf_str(&metrics), buf_str(&labels));
}

/* None of it stops the relay, and so none of it is more than a warning. */
void
checkup_queries(const struct config *cfg, PGconn *conn, const char *role, struct checkup *c)
{
	struct asker_query list[CONFIG_QUERIES_MAX + 1];
	size_t count = queries_list(cfg, list);

	for (size_t i = 0; i < count; i++) {
		PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
		struct error err;

		if (begin(cfg, conn, role, &err) != 0 || ask(conn, &list[i], &res, &err) != 0)
			checkup_add(c, FINDING_WARNING, "query", err.hint, "%s", err.message);
		else
			judge_columns(&list[i], res, c);
		PQclear(PQexec(conn, "ROLLBACK"));
	}
}
