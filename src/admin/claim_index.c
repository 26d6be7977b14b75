/* claim_index.c - in: a table, a number of lanes; out: the name, the state, the statement of an index. Knows neither
 * registration nor lanes in use. */
#include "admin/claim_index.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/conn.h"
#include "admin/script.h"
#include "admin/texts.h"

#define ROOM (CLAIM_INDEX_NAME_SIZE - 1)
#define DROP_AT_ONCE_WAIT "5s"

void
claim_index_name(const char *table, int lanes, char ret_name[CLAIM_INDEX_NAME_SIZE])
{
	size_t room, len = strlen(table);
	char tail[24];

	snprintf(tail, sizeof(tail), "_lane%d", lanes);
	room = ROOM - strlen(tail);
	if (len > room)
		for (len = room; len > 0 && ((unsigned char)table[len] & 0xc0) == 0x80;)
			len--;
	snprintf(ret_name, CLAIM_INDEX_NAME_SIZE, "%.*s%s", (int)len, table, tail);
}

int
claim_index_table(PGconn *conn, uint32_t oid, struct claim_index_table *ret_table, struct error *err)
{
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	struct claim_index_table table = {.oid = oid};
	char sql[256];

	snprintf(sql, sizeof(sql),
	         "SELECT n.nspname, c.relname, c.relkind FROM pg_catalog.pg_class c"
	         " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %" PRIu32,
	         oid);
	if (conn_query(conn, sql, 0, NULL, "could not look at the table", &res, err) != 0)
		return -1;
	if (PQntuples(res) != 1)
		return error_set(err, ERR_RETRY, "the table was dropped meanwhile");
	snprintf(table.schema, sizeof(table.schema), "%s", PQgetvalue(res, 0, 0));
	snprintf(table.name, sizeof(table.name), "%s", PQgetvalue(res, 0, 1));
	table.partitioned = PQgetvalue(res, 0, 2)[0] == 'p';
	*ret_table = table;
	return 0;
}

int
claim_index_state(PGconn *conn, const struct claim_index_table *table, const char *name,
                  enum claim_index_state *ret_state, struct error *err)
{
	static const char sql[] =
		"SELECT i.indrelid = $3::oid, i.indisvalid AND i.indisready FROM pg_catalog.pg_class c"
		" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
		" LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid WHERE n.nspname = $1 AND c.relname = $2";
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	char oid[16];
	const char *values[] = {table->schema, name, oid};

	snprintf(oid, sizeof(oid), "%" PRIu32, table->oid);
	if (conn_query(conn, sql, 3, values, "could not look for the index", &res, err) != 0)
		return -1;
	if (PQntuples(res) == 0)
		*ret_state = CLAIM_INDEX_NONE;
	else if (PQgetvalue(res, 0, 0)[0] != 't')
		*ret_state = CLAIM_INDEX_OTHER;
	else
		*ret_state = PQgetvalue(res, 0, 1)[0] == 't' ? CLAIM_INDEX_VALID : CLAIM_INDEX_INVALID;
	return 0;
}

int
claim_index_build_text(const struct claim_index_table *table, const struct layout_request *rq, const char *name,
                       int lanes, struct buf *ret_sql, struct error *err)
{
	struct buf unsent __attribute__((cleanup(buf_done))) = BUF_INIT;
	const char *sent_at = rq->columns[COL_SENT_AT];
	char number[16];

	if (sent_at != NULL && *sent_at != '\0') {
		buf_add_str(&unsent, "WHERE ");
		script_add_identifier(&unsent, sent_at);
		buf_add_str(&unsent, " IS NULL");
	}
	if (buf_failed(&unsent))
		return error_set(err, ERR_RETRY, "out of memory");
	snprintf(number, sizeof(number), "%d", lanes);
	return script_fill(text_claim_index,
	                   (const struct script_variable[]){{"schema", table->schema},
	                                                    {"table", table->name},
	                                                    {"claim_index", name},
	                                                    {"key", rq->columns[COL_AGGREGATE_ID]},
	                                                    {"id", rq->columns[COL_ID]},
	                                                    {"lanes", number},
	                                                    {"unsent", buf_str(&unsent)},
	                                                    {"concurrently", "CONCURRENTLY"}},
	                   8, ret_sql, err);
}

/* Not in a transaction with anything else, which DROP INDEX CONCURRENTLY refuses. */
static int
drop_at_once(PGconn *conn, const struct claim_index_table *table, const char *name, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;

	buf_add_str(&sql, "BEGIN; SET LOCAL lock_timeout = '" DROP_AT_ONCE_WAIT "'; DROP INDEX ");
	script_add_identifier(&sql, table->schema);
	buf_add_char(&sql, '.');
	script_add_identifier(&sql, name);
	buf_add_str(&sql, "; COMMIT");
	if (buf_failed(&sql))
		return error_set(err, ERR_RETRY, "out of memory");
	if (conn_exec(conn, buf_str(&sql), "could not drop the spare index", err) == 0)
		return 0;
	PQclear(PQexec(conn, "ROLLBACK"));
	return -1;
}

int
claim_index_drop(PGconn *conn, const struct claim_index_table *table, const char *name, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	enum claim_index_state state;

	if (claim_index_state(conn, table, name, &state, err) != 0)
		return -1;
	if (state == CLAIM_INDEX_NONE || state == CLAIM_INDEX_OTHER)
		return 0;
	if (table->partitioned)
		return drop_at_once(conn, table, name, err);
	if (script_fill(text_drop_index,
	                (const struct script_variable[]){{"schema", table->schema}, {"claim_index", name}}, 2, &sql,
	                err) != 0)
		return -1;
	return conn_exec(conn, buf_str(&sql), "could not drop the spare index", err);
}
