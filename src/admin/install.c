/* install.c - in: a connection, what is wanted; out: steps, planned or done. Knows what is needed, not how it is
 * reported. */
#include "admin/install.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/adopt.h"
#include "admin/claim_index.h"
#include "admin/conn.h"
#include "admin/inspect.h"
#include "admin/script.h"
#include "admin/texts.h"
#include "admin/turn.h"

#define BEGIN_SQL "BEGIN;\nSET LOCAL lock_timeout = '" INSTALL_LOCK_WAIT "';\n"
#define ALONE_SQL "SET lock_timeout = 0;\nSET statement_timeout = 0;\n"

enum {
	V_SCHEMA,
	V_TABLE,
	V_RELATION,
	V_LANES,
	V_CLAIM_INDEX,
	V_ID,
	V_KEY,
	V_UNSENT,
	V_CONCURRENTLY,
	V_ROLE,
	V_UPDATE_COLUMN,
	V_PARTITION_COLUMN,
	V_OFFSET_COLUMN,
	V_FILLFACTOR,
	V_COUNT
};

/* What the plan is made from. */
struct site {
	PGconn *conn;
	const struct install_request *rq;
	struct layout layout;
	char *schema;
	char *table;
	bool schema_known;
	char claim_index[CLAIM_INDEX_NAME_SIZE];
	char lanes[16];
	struct buf relation;
	struct buf unsent;
	struct script_variable variables[V_COUNT];
	struct install_plan *plan;
};

static void
site_done(struct site *s)
{
	layout_done(&s->layout);
	free(s->schema);
	free(s->table);
	buf_done(&s->relation);
	buf_done(&s->unsent);
}

/* --- looking --- */

static int
bad_table_name(const struct install_request *rq, struct error *err)
{
	error_set(err, ERR_CONFIG, "\"%s\" is not the name of a table", rq->layout.table);
	return error_hint(err, "write outbox.table as in SQL: table, or schema.table");
}

/* Where the table is, or where one of that name would be made. */
static int
read_names(PGconn *conn, struct site *s, struct error *err)
{
	static const char sql[] =
		"SELECT coalesce(n.nspname, p.parts[array_length(p.parts, 1) - 1], pg_catalog.current_schema()),"
		" coalesce(c.relname, p.parts[array_length(p.parts, 1)]), array_length(p.parts, 1),"
		" pg_catalog.to_regnamespace(pg_catalog.quote_ident("
		"  coalesce(n.nspname, p.parts[array_length(p.parts, 1) - 1], pg_catalog.current_schema()))) IS NOT "
		"NULL"
		" FROM (SELECT pg_catalog.parse_ident($1) AS parts) p"
		" LEFT JOIN pg_catalog.pg_class c"
		" ON c.oid = pg_catalog.to_regclass(CASE WHEN array_length(p.parts, 1) <= 2 THEN $1 END)"
		" LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	if (conn_query(conn, sql, 1, &s->rq->layout.table, "could not look for the table", &res, err) != 0)
		return -1;
	if (atoi(PQgetvalue(res, 0, 2)) > 2)
		return bad_table_name(s->rq, err);
	if (PQgetisnull(res, 0, 0)) {
		error_set(err, ERR_CONFIG, "the search path names no schema to make table \"%s\" in",
		          s->rq->layout.table);
		return error_hint(err, "write outbox.table with its schema");
	}
	s->schema = strdup(PQgetvalue(res, 0, 0));
	s->table = strdup(PQgetvalue(res, 0, 1));
	s->schema_known = PQgetvalue(res, 0, 3)[0] == 't';
	return s->schema != NULL && s->table != NULL ? 0 : error_set(err, ERR_RETRY, "out of memory");
}

static void
name_index(struct site *s)
{
	if (s->layout.facts.registered)
		snprintf(s->claim_index, sizeof(s->claim_index), "%s", s->layout.claim_index);
	else
		claim_index_name(s->table, s->plan->lanes, s->claim_index);
}

static bool
has_column(const struct site *s, enum event_column col)
{
	const char *name = s->rq->layout.columns[col];

	return name != NULL && *name != '\0';
}

static void
set_variables(struct site *s)
{
	const char *const *columns = s->rq->layout.columns;
	struct script_variable *v = s->variables;

	script_add_identifier(&s->relation, s->schema);
	buf_add_char(&s->relation, '.');
	script_add_identifier(&s->relation, s->table);
	if (has_column(s, COL_SENT_AT)) {
		buf_add_str(&s->unsent, "WHERE ");
		script_add_identifier(&s->unsent, columns[COL_SENT_AT]);
		buf_add_str(&s->unsent, " IS NULL");
	}
	snprintf(s->lanes, sizeof(s->lanes), "%d", s->plan->lanes);
	v[V_SCHEMA] = (struct script_variable){"schema", s->schema};
	v[V_TABLE] = (struct script_variable){"table", s->table};
	v[V_RELATION] = (struct script_variable){"relation", buf_str(&s->relation)};
	v[V_LANES] = (struct script_variable){"lanes", s->lanes};
	v[V_CLAIM_INDEX] = (struct script_variable){"claim_index", s->claim_index};
	v[V_ID] = (struct script_variable){"id", columns[COL_ID]};
	v[V_KEY] = (struct script_variable){"key", columns[COL_AGGREGATE_ID]};
	v[V_UNSENT] = (struct script_variable){"unsent", buf_str(&s->unsent)};
	v[V_CONCURRENTLY] = (struct script_variable){"concurrently", ""};
	v[V_ROLE] = (struct script_variable){"role", s->rq->layout.role};
	v[V_UPDATE_COLUMN] =
		(struct script_variable){"update_column", columns[has_column(s, COL_SENT_AT) ? COL_SENT_AT : COL_ID]};
	v[V_PARTITION_COLUMN] = (struct script_variable){"partition_column", columns[COL_SENT_PARTITION]};
	v[V_OFFSET_COLUMN] = (struct script_variable){"offset_column", columns[COL_SENT_OFFSET]};
	v[V_FILLFACTOR] = (struct script_variable){"fillfactor", s->rq->layout.settle_delete ? "100" : "50"};
}

/* --- steps --- */

/* text NULL = nothing to do. */
static int __attribute__((format(printf, 5, 6)))
add_step(struct site *s, const char *text, bool alone, struct error *err, const char *fmt, ...)
{
	struct install_step *step = &s->plan->steps[s->plan->count];
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	va_list args;
	int len;

	if (text != NULL && script_fill(text, s->variables, V_COUNT, &sql, err) != 0)
		return -1;
	va_start(args, fmt);
	len = vasprintf(&step->what, fmt, args);
	va_end(args);
	if (len < 0) {
		step->what = NULL;
		return error_set(err, ERR_RETRY, "out of memory");
	}
	step->sql = text != NULL ? buf_take(&sql) : NULL;
	step->alone = alone;
	s->plan->count++;
	return text != NULL && step->sql == NULL ? error_set(err, ERR_RETRY, "out of memory") : 0;
}

static int
plan_schema(struct site *s, struct error *err)
{
	const struct layout_facts *f = &s->layout.facts;
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;

	if (!f->schema_exists) {
		buf_printf(&text, "%s\n%s\n%s", text_schema, text_schema_2, text_schema_3);
		if (buf_failed(&text))
			return error_set(err, ERR_RETRY, "out of memory");
		return add_step(s, buf_str(&text), false, err, "schema \"pgoutbox\"");
	}
	if (!f->readable) {
		error_set(err, ERR_CONFIG, "this connection's role may not read schema \"pgoutbox\"");
		return error_hint(err, "connect as an administrator: --database names the connection");
	}
	if (layout_check_version(f->schema_version, err) != 0)
		return -1;
	return add_step(s, NULL, false, err, "schema \"pgoutbox\"");
}

/* The table of sql/table.sql has these names; others are for tables that somebody else made. */
static int
check_default_columns(const struct site *s, struct error *err)
{
	static const char *const names[COL_RECEIPTS] = {"id",      "event_id", "aggregate_type", "aggregate_id",
	                                             "event_type",
	                                             "payload", "headers",  "topic",          "created_at",
		  "sent_at"};

	for (int i = 0; i < COL_RECEIPTS; i++) {
		if (!has_column(s, (enum event_column)i) || strcmp(s->rq->layout.columns[i], names[i]) == 0)
			continue;
		error_set(err, ERR_CONFIG, "there is no table \"%s\", and outbox.columns gives a column another name "
		                           "than init would",
		          s->rq->layout.table);
		return error_hint(err, "create the table yourself, or correct outbox.table, or leave outbox.columns "
		                       "out");
	}
	return 0;
}

/* A table of another tool is mapped by another verb. */
static void
hint_adoption(const struct site *s, struct error *err)
{
	struct adopt_plan plan __attribute__((cleanup(adopt_plan_done))) = ADOPT_PLAN_INIT;
	struct error none;

	if (adopt_make_plan(s->conn, s->rq->layout.table, NULL, &plan, &none) == 0)
		error_hint(err, "the table has layout \"%s\": \"pgoutboxctl adopt\" tells how to map it, and what it lacks",
		           plan.layout->name);
}

static int
plan_table(struct site *s, struct error *err)
{
	struct error problem;

	if (s->layout.facts.exists) {
		if (layout_problems(&s->layout, &s->rq->layout, LAYOUT_TABLE, &problem, 1) > 0) {
			*err = problem;
			hint_adoption(s, err);
			return -1;
		}
		return add_step(s, NULL, false, err, "table \"%s.%s\"", s->schema, s->table);
	}
	if (s->rq->layout.extra_count > 0) {
		error_set(err, ERR_CONFIG, "there is no table \"%s\", and kafka.topic names a column that init would "
		                           "not give it: \"%s\"",
		          s->rq->layout.table, s->rq->layout.extra[0]);
		return error_hint(err, "create the table yourself, or correct kafka.topic");
	}
	if (check_default_columns(s, err) != 0)
		return -1;
	if (!s->schema_known) {
		error_set(err, ERR_CONFIG, "there is no schema \"%s\" to make table \"%s\" in", s->schema, s->table);
		return error_hint(err, "run CREATE SCHEMA first, or correct outbox.table");
	}
	return add_step(s, text_table, false, err, "table \"%s.%s\"", s->schema, s->table);
}

/* Instant, whatever the table holds: the columns have no default. Behind the table's own step. */
static int
plan_receipts(struct site *s, struct error *err)
{
	const struct layout_column *columns = s->layout.columns;
	bool there = columns[COL_SENT_PARTITION].type != TYPE_NONE && columns[COL_SENT_OFFSET].type != TYPE_NONE;

	if (!has_column(s, COL_SENT_PARTITION))
		return 0;
	return add_step(s, there ? NULL : text_receipt_columns, false, err, "columns for receipts");
}

static int
plan_registration(struct site *s, struct error *err)
{
	return add_step(s, s->layout.facts.registered ? NULL : text_register, false, err, "registration with %d lane%s",
	                s->plan->lanes,
	                s->plan->lanes == 1 ? "" : "s");
}

/* An index on a table in use is built concurrently; PostgreSQL cannot do that for a partitioned table as a whole. */
static int
plan_index(struct site *s, struct error *err)
{
	const struct layout_facts *f = &s->layout.facts;
	bool alone = f->exists && f->kind == 'r';

	if (f->index_exists && f->index_valid) {
		if (f->index_fits)
			return add_step(s, NULL, false, err, "index \"%s\"", s->claim_index);
		error_set(err, ERR_CONFIG, "index \"%s\" of table \"%s\" is not over the %d lanes of the configured "
		                           "columns", s->claim_index,
		          s->layout.relation, s->plan->lanes);
		return error_hint(err, "drop the index and run this again, or correct outbox.columns");
	}
	if (f->index_exists && alone &&
	    add_step(s, text_drop_index, true, err, "removal of what is left of index \"%s\"", s->claim_index) != 0)
		return -1;
	if (alone)
		s->variables[V_CONCURRENTLY].value = "CONCURRENTLY";
	return add_step(s, text_claim_index, alone, err, "index \"%s\"", s->claim_index);
}

static bool
has_rights(const struct site *s)
{
	const struct layout_facts *f = &s->layout.facts;
	bool may_settle = has_column(s, COL_SENT_AT) ? s->layout.columns[COL_SENT_AT].may_update : f->may_lock;

	return f->exists && f->may_use_schema && f->may_select && may_settle && f->may_use_pgoutbox &&
		f->may_read_pgoutbox &&
	       f->may_park && f->may_call_lane;
}

static int
plan_receipt_grants(struct site *s, struct error *err)
{
	const struct layout *lo = &s->layout;
	bool in_row = has_column(s, COL_SENT_PARTITION);
	bool granted = in_row ? lo->columns[COL_SENT_PARTITION].may_update && lo->columns[COL_SENT_OFFSET].may_update
	                      : lo->facts.may_keep_receipts;

	if (!s->rq->layout.receipts)
		return 0;
	return add_step(s, granted ? NULL : in_row ? text_grant_receipt_columns : text_grant_receipts, false, err,
	                "right of role \"%s\" to keep receipts", s->rq->layout.role);
}

static int
plan_grants(struct site *s, struct error *err)
{
	const struct layout_request *rq = &s->rq->layout;
	const struct layout_facts *f = &s->layout.facts;

	if (add_step(s, has_rights(s) ? NULL : text_grants, false, err, "rights of role \"%s\"", rq->role) != 0)
		return -1;
	if (!rq->settle_delete && !rq->prune)
		return 0;
	return add_step(s, f->exists && f->may_delete ? NULL : text_grant_delete, false, err,
	                "right of role \"%s\" to delete",
	                rq->role);
}

static int
plan_notify(struct site *s, struct error *err)
{
	if (!s->rq->notify)
		return 0;
	return add_step(s, s->layout.facts.notifies ? NULL : text_notify, false, err, "trigger \"pgoutbox_notify\"");
}

static int
look(PGconn *conn, struct site *s, struct error *err)
{
	if (inspect_role(conn, s->rq->layout.role, err) != 0 || read_names(conn, s, err) != 0 ||
	    inspect(conn, &s->rq->layout, &s->layout, err) != 0)
		return -1;
	if (s->layout.facts.in_recovery) {
		error_set(err, ERR_CONFIG, "the server is a standby");
		return error_hint(err, "connect to the primary");
	}
	s->plan->lanes = s->layout.facts.registered ? s->layout.lanes : s->rq->lanes;
	name_index(s);
	set_variables(s);
	if (buf_failed(&s->relation) || buf_failed(&s->unsent))
		return error_set(err, ERR_RETRY, "out of memory");
	return 0;
}

int
install_make_plan(PGconn *conn, const struct install_request *rq, struct install_plan *ret_plan, struct error *err)
{
	struct install_plan plan = INSTALL_PLAN_INIT;
	struct site s __attribute__((cleanup(site_done))) = {.conn = conn, .rq = rq, .layout = LAYOUT_INIT, .plan = &plan};

	if (look(conn, &s, err) != 0 || plan_schema(&s, err) != 0 || plan_table(&s, err) != 0 ||
	    plan_receipts(&s, err) != 0 || plan_registration(&s, err) != 0 || plan_index(&s, err) != 0 ||
	    plan_grants(&s, err) != 0 || plan_receipt_grants(&s, err) != 0 || plan_notify(&s, err) != 0) {
		install_plan_done(&plan);
		return -1;
	}
	*ret_plan = plan;
	return 0;
}

/* --- doing --- */

static int
run_step(PGconn *conn, const struct install_step *step, struct error *err)
{
	char doing[256];

	if (step->sql == NULL)
		return 0;
	snprintf(doing, sizeof(doing), "could not make %s", step->what);
	return conn_exec(conn, step->sql, doing, err);
}

static int
run_steps(PGconn *conn, const struct install_plan *plan, bool alone, struct error *err)
{
	for (size_t i = 0; i < plan->count; i++)
		if (plan->steps[i].alone == alone && run_step(conn, &plan->steps[i], err) != 0)
			return -1;
	return 0;
}

static bool
has_alone(const struct install_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		if (plan->steps[i].alone && plan->steps[i].sql != NULL)
			return true;
	return false;
}

static int
run_in_transaction(PGconn *conn, const struct install_request *rq, struct install_plan *ret_plan, struct error *err)
{
	struct install_plan plan = INSTALL_PLAN_INIT;

	if (conn_exec(conn, BEGIN_SQL, "could not begin", err) != 0)
		return -1;
	if (install_make_plan(conn, rq, &plan, err) != 0 || run_steps(conn, &plan, false, err) != 0 ||
	    conn_exec(conn, "COMMIT", "could not commit", err) != 0) {
		PQclear(PQexec(conn, "ROLLBACK"));
		install_plan_done(&plan);
		return -1;
	}
	*ret_plan = plan;
	return 0;
}

/* Waiting for old transactions is harmless here: neither the build nor its place in the queue blocks a writer. */
static int
run_alone(PGconn *conn, struct install_plan *plan, struct error *err)
{
	if (!has_alone(plan))
		return 0;
	if (conn_exec(conn, ALONE_SQL, "could not lift timeouts", err) != 0 || run_steps(conn, plan, true, err) != 0) {
		install_plan_done(plan);
		return -1;
	}
	return 0;
}

int
install_run(PGconn *conn, const struct install_request *rq, struct install_plan *ret_plan, struct error *err)
{
	struct install_plan plan = INSTALL_PLAN_INIT;
	int rc;

	if (turn_take(conn, INSTALL_TURN_WAIT_S, err) != 0)
		return -1;
	rc = run_in_transaction(conn, rq, &plan, err);
	if (rc == 0)
		rc = run_alone(conn, &plan, err);
	turn_give(conn);
	if (rc == 0)
		*ret_plan = plan;
	return rc;
}

void
install_script(const struct install_plan *plan, struct buf *out)
{
	bool begun = false;

	for (size_t i = 0; i < plan->count; i++) {
		const struct install_step *step = &plan->steps[i];

		if (step->sql == NULL || step->alone)
			continue;
		buf_printf(out, "%s\n%s", begun ? "" : BEGIN_SQL, step->sql);
		begun = true;
	}
	if (begun)
		buf_add_str(out, "\nCOMMIT;\n");
	if (has_alone(plan))
		buf_add_str(out, "\n" ALONE_SQL);
	for (size_t i = 0; i < plan->count; i++)
		if (plan->steps[i].sql != NULL && plan->steps[i].alone)
			buf_printf(out, "\n%s", plan->steps[i].sql);
}

void
install_plan_done(struct install_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		free(plan->steps[i].what);
		free(plan->steps[i].sql);
	}
	*plan = INSTALL_PLAN_INIT;
}
