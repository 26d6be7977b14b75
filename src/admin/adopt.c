/* adopt.c - in: a connection, a table, perhaps a layout's name; out: what the table lacks, and that added. Knows no
 * tool by name. */
#include "admin/adopt.h"

#include <stdlib.h>
#include <string.h>

#include "admin/conn.h"
#include "admin/script.h"

#define BEGIN_SQL "BEGIN;\nSET LOCAL lock_timeout = '5s';\n"

/* Columns of the answer, one row for each column of the table. */
enum { A_RELATION, A_KIND, A_NAME, A_TYPE };

static const char question[] =
	"SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), c.relkind, a.attname,"
	" pg_catalog.format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END, NULL)"
	" FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	" JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
	" JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
	" WHERE c.oid = pg_catalog.to_regclass($1) ORDER BY a.attnum";

/* --- looking --- */

static int
check_kind(const PGresult *res, const char *table, struct error *err)
{
	char kind = PQntuples(res) > 0 ? PQgetvalue(res, 0, A_KIND)[0] : '\0';

	if (kind == 'r')
		return 0;
	if (kind == '\0') {
		error_set(err, ERR_CONFIG, "there is no table \"%s\"", table);
		return error_hint(err, "correct outbox.table, or have \"pgoutboxctl init\" create a new one");
	}
	error_set(err, ERR_CONFIG, "\"%s\" is %s", table, kind == 'p' ? "a partitioned table" : "not a table");
	return error_hint(err, "what it lacks cannot be added by itself: docs/migrate.md tells how to map such a table "
	                       "by hand");
}

static int
choose(const struct known_table *table, const char *name, const struct known_layout **ret_layout, struct error *err)
{
	if (name == NULL)
		return known_recognise(table, ret_layout, err);
	*ret_layout = known_find(name);
	if (*ret_layout != NULL)
		return known_judge(*ret_layout, table, err);
	error_set(err, ERR_CONFIG, "there is no layout \"%s\"", name);
	return error_hint(err, "there are debezium, open-outbox, goharvest and eventuate-tram");
}

static void
find_lacks(const struct known_table *table, struct adopt_plan *plan)
{
	for (size_t i = 0; i < KNOWN_ADDED_MAX && plan->layout->added[i].name != NULL; i++) {
		plan->lacks[i] = !known_has_column(table, plan->layout->added[i].name);
		plan->lacks_count += plan->lacks[i];
	}
}

static void
free_columns(struct known_column **columns)
{
	free(*columns);
}

static int
recognise(const PGresult *res, const char *name, struct adopt_plan *plan, struct error *err)
{
	size_t count = (size_t)PQntuples(res);
	struct known_column *columns __attribute__((cleanup(free_columns))) = calloc(count, sizeof(*columns));
	struct known_table table = {plan->relation, columns, count};

	if (columns == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	for (size_t i = 0; i < count; i++)
		columns[i] = (struct known_column){PQgetvalue(res, (int)i, A_NAME), PQgetvalue(res, (int)i, A_TYPE)};
	if (choose(&table, name, &plan->layout, err) != 0)
		return -1;
	find_lacks(&table, plan);
	return 0;
}

static int
look_for_leftover(PGconn *conn, const struct adopt_plan *plan, bool *ret_leftover, struct error *err)
{
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;

	*ret_leftover = false;
	if (plan->lacks_count == 0 || plan->layout->leftover == NULL)
		return 0;
	buf_printf(&sql, "SELECT EXISTS (SELECT FROM %s WHERE %s)", plan->relation, plan->layout->leftover);
	if (conn_ask(conn, &sql, 0, NULL, "could not look for rows in the table", &res, err) != 0)
		return -1;
	*ret_leftover = PQgetvalue(res, 0, 0)[0] == 't';
	return 0;
}

static int
look(PGconn *conn, const char *table, const char *layout, struct adopt_plan *plan, struct error *err)
{
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	if (conn_query(conn, question, 1, &table, "could not look at the table", &res, err) != 0 ||
	    check_kind(res, table, err) != 0)
		return -1;
	plan->relation = strdup(PQgetvalue(res, 0, A_RELATION));
	if (plan->relation == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	if (recognise(res, layout, plan, err) != 0)
		return -1;
	return look_for_leftover(conn, plan, &plan->leftover, err);
}

int
adopt_make_plan(PGconn *conn, const char *table, const char *layout, struct adopt_plan *ret_plan, struct error *err)
{
	struct adopt_plan plan = ADOPT_PLAN_INIT;

	if (look(conn, table, layout, &plan, err) != 0) {
		adopt_plan_done(&plan);
		return -1;
	}
	*ret_plan = plan;
	return 0;
}

void
adopt_plan_done(struct adopt_plan *plan)
{
	free(plan->relation);
	*plan = ADOPT_PLAN_INIT;
}

/* --- doing --- */

/* Who has written to the table and not committed is waited for: behind the lock the table is what it looks like. */
static void
add_lock(const struct adopt_plan *plan, struct buf *sql)
{
	buf_printf(sql, BEGIN_SQL "LOCK TABLE %s IN ACCESS EXCLUSIVE MODE;\n", plan->relation);
}

static void
add_columns(const struct adopt_plan *plan, struct buf *sql)
{
	const char *before = "";

	buf_printf(sql, "ALTER TABLE %s", plan->relation);
	for (size_t i = 0; i < KNOWN_ADDED_MAX; i++) {
		if (!plan->lacks[i])
			continue;
		buf_printf(sql, "%s\n\tADD COLUMN %s %s", before, plan->layout->added[i].name,
		           plan->layout->added[i].definition);
		before = ",";
	}
	buf_add_str(sql, ";\n");
}

static int
exec_text(PGconn *conn, const struct buf *sql, const char *doing, struct error *err)
{
	if (buf_failed(sql))
		return error_set(err, ERR_RETRY, "out of memory");
	return conn_exec(conn, buf_str(sql), doing, err);
}

static int
must_own(struct error *err)
{
	if (strstr(err->message, "(SQLSTATE 42501)") != NULL)
		error_hint(err, "connect by --database as the table's owner or a superuser");
	return -1;
}

static int
add_in_transaction(PGconn *conn, const struct adopt_plan *plan, struct error *err)
{
	struct buf lock __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf alter __attribute__((cleanup(buf_done))) = BUF_INIT;
	bool leftover;

	add_lock(plan, &lock);
	add_columns(plan, &alter);
	if (exec_text(conn, &lock, "could not lock the table", err) != 0)
		return must_own(err);
	if (look_for_leftover(conn, plan, &leftover, err) != 0)
		return -1;
	if (leftover) {
		error_set(err, ERR_CONFIG, "table \"%s\" holds %s", plan->relation, plan->layout->leftover_what);
		return error_hint(err, "%s", plan->layout->leftover_hint);
	}
	if (exec_text(conn, &alter, "could not add what the table lacks", err) != 0)
		return must_own(err);
	return conn_exec(conn, "COMMIT", "could not commit", err);
}

int
adopt_run(PGconn *conn, const struct adopt_plan *plan, struct error *err)
{
	if (plan->lacks_count == 0)
		return 0;
	if (add_in_transaction(conn, plan, err) == 0)
		return 0;
	PQclear(PQexec(conn, "ROLLBACK"));
	return -1;
}

/* A script cannot look and decide, so PostgreSQL is asked to. */
static void
add_guard(const struct adopt_plan *plan, struct buf *sql)
{
	buf_printf(sql,
	           "DO $guard$ BEGIN\n\tIF EXISTS (SELECT FROM %s WHERE %s) THEN\n\t\tRAISE EXCEPTION USING MESSAGE = ",
	           plan->relation, plan->layout->leftover);
	script_add_literal(sql, "the table holds rows that must be gone first");
	buf_add_str(sql, ",\n\t\t\tHINT = ");
	script_add_literal(sql, plan->layout->leftover_hint);
	buf_add_str(sql, ";\n\tEND IF;\nEND $guard$;\n");
}

void
adopt_script(const struct adopt_plan *plan, struct buf *out)
{
	if (plan->lacks_count == 0)
		return;
	add_lock(plan, out);
	if (plan->layout->leftover != NULL)
		add_guard(plan, out);
	add_columns(plan, out);
	buf_add_str(out, "COMMIT;\n");
}
