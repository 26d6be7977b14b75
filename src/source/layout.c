/* layout.c - in: what the configuration asks for, the catalogs' answer; out: a layout to make statements from, or
 * what is wrong.
 *
 * Knows what the statements of this room rest on. Changes nothing in the database.
 */
#include "source/layout.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "source/literal.h"

/* --- the question --- */

/* Schema pgoutbox may be missing or closed to the role, and then a statement that names its tables fails as a whole.
 * So they are read by query_to_xml(), which runs a text, and only where that can succeed. All else is in the
 * catalogs. */
static const char question[] =
	", tab AS MATERIALIZED (SELECT rq.role, rq.cols, c.oid, c.relname, n.nspname, c.relkind, c.relpersistence, "
	"c.relowner,"
	"  c.relrowsecurity, c.relforcerowsecurity FROM rq"
	"  LEFT JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(rq.tbl)"
	"  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace),"
	" own AS MATERIALIZED (SELECT n.oid AS nsp,"
	"  (SELECT oid FROM pg_catalog.pg_class WHERE relnamespace = n.oid AND relname = 'meta' AND relkind = 'r') AS "
	"meta,"
	"  (SELECT oid FROM pg_catalog.pg_class WHERE relnamespace = n.oid AND relname = 'outbox' AND relkind = 'r') "
	"AS outbox,"
	"  (SELECT oid FROM pg_catalog.pg_class WHERE relnamespace = n.oid AND relname = 'parked' AND relkind = 'r') "
	"AS parked,"
	"  (SELECT oid FROM pg_catalog.pg_class WHERE relnamespace = n.oid AND relname = 'pause' AND relkind = 'r') "
	"AS pause,"
	"  (SELECT oid FROM pg_catalog.pg_class WHERE relnamespace = n.oid AND relname = 'receipts' AND relkind IN ('r', 'p')) "
	"AS receipts,"
	"  (SELECT oid FROM pg_catalog.pg_proc WHERE pronamespace = n.oid AND proname = 'lane' AND proargtypes = '25 "
	"23') AS lane,"
	"  (SELECT oid FROM pg_catalog.pg_proc WHERE pronamespace = n.oid AND proname = 'notify' AND pronargs = 0) AS "
	"notify"
	"  FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = 'pgoutbox'),"
	" can AS MATERIALIZED (SELECT coalesce(has_schema_privilege(nsp, 'USAGE') AND has_table_privilege(meta, "
	"'SELECT')"
	"  AND has_table_privilege(outbox, 'SELECT'), false) AS readable FROM own),"
	" xml AS MATERIALIZED (SELECT CASE WHEN readable THEN"
	"  query_to_xml('SELECT version FROM pgoutbox.meta', false, true, '')::text END AS meta,"
	"  CASE WHEN readable AND oid IS NOT NULL THEN query_to_xml(format("
	"  'SELECT lanes, encode(convert_to(claim_index, ''UTF8''), ''hex'') AS claim FROM pgoutbox.outbox"
	"   WHERE relation::oid = %s::oid', oid), false, true, '')::text END AS outbox FROM can, tab),"
	" reg AS MATERIALIZED (SELECT substring(meta FROM '<version>([0-9]+)</version>') AS version,"
	"  substring(outbox FROM '<lanes>([0-9]+)</lanes>') AS lanes,"
	"  convert_from(decode(substring(outbox FROM '<claim>([0-9a-f]+)</claim>'), 'hex'), 'UTF8') AS claim FROM xml),"
	" ind AS MATERIALIZED (SELECT i.indisvalid AND i.indisready AS valid,"
	"  i.indnkeyatts = 2 AND regexp_replace(pg_get_indexdef(i.indexrelid, 1, true), '^pgoutbox[.]', '')"
	"   IN (format('lane(%I, %s)', tab.cols[4], reg.lanes), format('lane(%I::text, %s)', tab.cols[4], reg.lanes))"
	"  AND pg_get_indexdef(i.indexrelid, 2, true) = quote_ident(tab.cols[1])"
	"  AND coalesce(pg_get_expr(i.indpred, i.indrelid, true), '')"
	"   = CASE WHEN tab.cols[10] IS NULL THEN '' ELSE format('%I IS NULL', tab.cols[10]) END AS fits"
	"  FROM tab, reg, pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid"
	"  WHERE i.indrelid = tab.oid AND ic.relname = reg.claim)"
	" SELECT quote_ident(want.name) AS quoted, a.attnum IS NOT NULL AS found, base.oid AS type,"
	"  format_type(a.atttypid, a.atttypmod) AS type_name, a.attnotnull AS not_null,"
	"  EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = tab.oid AND i.indisunique AND i.indisvalid AND "
	"i.indimmediate"
	"   AND i.indpred IS NULL AND i.indkey[0] = a.attnum AND (i.indnkeyatts = 1 OR tab.relkind = 'p')) AS uniq,"
	"  coalesce((SELECT k.castmethod = 'b' OR k.castmethod = 'f' AND f.provolatile = 'i' OR k.castmethod = 'i' AND "
	"o.provolatile = 'i'"
	"    FROM pg_catalog.pg_cast k LEFT JOIN pg_catalog.pg_proc f ON f.oid = k.castfunc"
	"    WHERE k.castsource = base.oid AND k.casttarget = 25), o.provolatile = 'i') AS immutable,"
	"  has_column_privilege(tab.role, tab.oid, a.attnum, 'UPDATE') AS may_update,"
	"  tab.oid AS oid, quote_ident(tab.nspname) || '.' || quote_ident(tab.relname) AS relation, tab.relkind AS "
	"kind,"
	"  tab.relpersistence AS persistence,"
	"  EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhparent = tab.oid) AND tab.relkind <> 'p' AS "
	"has_children,"
	"  tab.relrowsecurity AND NOT (SELECT r.rolsuper OR r.rolbypassrls OR"
	"   NOT tab.relforcerowsecurity AND pg_has_role(tab.role, tab.relowner, 'USAGE')"
	"   FROM pg_catalog.pg_roles r WHERE r.rolname = tab.role) AS hides_rows,"
	"  pg_is_in_recovery() AS in_recovery, tab.role AS role, has_schema_privilege(tab.role, tab.nspname, 'USAGE') "
	"AS may_use_schema,"
	"  has_table_privilege(tab.role, tab.oid, 'SELECT') OR (SELECT bool_and(has_column_privilege(tab.role, "
	"tab.oid, s.attnum,"
	"   'SELECT')) FROM pg_catalog.pg_attribute s WHERE s.attrelid = tab.oid AND s.attnum > 0 AND NOT "
	"s.attisdropped) AS may_select,"
	"  has_any_column_privilege(tab.role, tab.oid, 'UPDATE') AS may_lock,"
	"  has_table_privilege(tab.role, tab.oid, 'DELETE') AS may_delete,"
	"  own.meta IS NOT NULL AND own.outbox IS NOT NULL AND own.parked IS NOT NULL AND own.lane IS NOT NULL AS "
	"schema_exists,"
	"  has_schema_privilege(tab.role, own.nsp, 'USAGE') AS may_use_pgoutbox,"
	"  has_table_privilege(tab.role, own.meta, 'SELECT') AND has_table_privilege(tab.role, own.outbox, 'SELECT')"
	"   AND (own.pause IS NULL OR has_table_privilege(tab.role, own.pause, 'SELECT')) AS may_read_pgoutbox,"
	"  has_table_privilege(tab.role, own.parked, 'SELECT') AND has_table_privilege(tab.role, own.parked, 'INSERT') "
	"AS may_park,"
	"  has_function_privilege(tab.role, own.lane, 'EXECUTE') AS may_call_lane, can.readable AS readable, "
	"reg.version AS version,"
	"  reg.lanes AS lanes, reg.claim AS claim_index, ind.valid AS index_valid, ind.fits AS index_fits,"
	"  EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = tab.oid AND g.tgfoid = own.notify AND "
	"g.tgenabled IN ('O', 'A'))"
	"   AS notifies, json.names AS json_names, json.holders AS holder_names, json.texts AS holder_texts, own.receipts IS NOT NULL AS receipts_exist,"
	"  has_table_privilege(tab.role, own.receipts, 'SELECT') AND has_table_privilege(tab.role, own.receipts, 'INSERT')"
	"   AND has_table_privilege(tab.role, own.receipts, 'DELETE') AS may_keep_receipts"
	" FROM tab CROSS JOIN own CROSS JOIN can CROSS JOIN reg CROSS JOIN LATERAL unnest(tab.cols) WITH ORDINALITY "
	"want(name, n)"
	" LEFT JOIN ind ON true"
	" CROSS JOIN LATERAL (SELECT string_agg(format('%L', j.attname), ', ' ORDER BY j.attnum)"
	"    FILTER (WHERE y.typoutput = 'pg_catalog.json_out'::regproc) AS names," /* a domain's is that of what it is made of */
	"   string_agg(format('%L', j.attname), ', ' ORDER BY j.attnum) AS holders,"
	"   string_agg(format('t.%I::text', j.attname), ', ' ORDER BY j.attnum) AS texts"
	"   FROM pg_catalog.pg_attribute j JOIN pg_catalog.pg_type y ON y.oid = j.atttypid"
	"   WHERE j.attrelid = tab.oid AND j.attnum > 0 AND NOT j.attisdropped AND EXISTS (WITH RECURSIVE part AS (SELECT y.oid"
	"     UNION SELECT p.oid FROM part JOIN pg_catalog.pg_type w ON w.oid = part.oid CROSS JOIN LATERAL (VALUES (w.typelem),"
	"      (w.typbasetype) UNION ALL SELECT f.atttypid FROM pg_catalog.pg_attribute f WHERE f.attrelid = w.typrelid"
	"      AND f.attnum > 0 AND NOT f.attisdropped) p(oid))"
	"    SELECT FROM part JOIN pg_catalog.pg_type w ON w.oid = part.oid WHERE w.typoutput = 'pg_catalog.json_out'::regproc)) json"
	" LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = tab.oid AND a.attname = want.name AND a.attnum > 0 AND "
	"NOT a.attisdropped"
	" LEFT JOIN LATERAL (WITH RECURSIVE d AS (SELECT y.oid, y.typbasetype, y.typtype, y.typoutput FROM "
	"pg_catalog.pg_type y"
	"   WHERE y.oid = a.atttypid UNION ALL SELECT y.oid, y.typbasetype, y.typtype, y.typoutput"
	"   FROM d JOIN pg_catalog.pg_type y ON y.oid = d.typbasetype WHERE d.typtype = 'd')"
	"  SELECT d.oid, d.typoutput FROM d WHERE d.typtype <> 'd') base ON true"
	" LEFT JOIN pg_catalog.pg_proc o ON o.oid = base.typoutput"
	" ORDER BY want.n";

/* Columns of the answer. */
enum {
	A_QUOTED,
	A_FOUND,
	A_TYPE,
	A_TYPE_NAME,
	A_NOT_NULL,
	A_UNIQUE,
	A_IMMUTABLE,
	A_MAY_UPDATE,
	A_OID,
	A_RELATION,
	A_KIND,
	A_PERSISTENCE,
	A_HAS_CHILDREN,
	A_HIDES_ROWS,
	A_IN_RECOVERY,
	A_ROLE,
	A_MAY_USE_SCHEMA,
	A_MAY_SELECT,
	A_MAY_LOCK,
	A_MAY_DELETE,
	A_SCHEMA_EXISTS,
	A_MAY_USE_PGOUTBOX,
	A_MAY_READ_PGOUTBOX,
	A_MAY_PARK,
	A_MAY_CALL_LANE,
	A_READABLE,
	A_VERSION,
	A_LANES,
	A_CLAIM_INDEX,
	A_INDEX_VALID,
	A_INDEX_FITS,
	A_NOTIFIES,
	A_JSON_NAMES,
	A_HOLDER_NAMES,
	A_HOLDER_TEXTS,
	A_RECEIPTS_EXIST,
	A_MAY_KEEP_RECEIPTS,
	A_COUNT
};

void
layout_text(const struct layout_request *rq, struct buf *sql)
{
	buf_add_str(sql, "WITH rq(tbl, role, cols) AS (SELECT ");
	literal_add(sql, rq->table);
	buf_add_str(sql, "::text, coalesce(");
	literal_add(sql, rq->role);
	buf_add_str(sql, "::name, current_user), ARRAY[");
	for (int i = 0; i < COL_COUNT; i++) {
		buf_add_str(sql, i == 0 ? "" : ", ");
		literal_add(sql, rq->columns[i]);
	}
	for (size_t i = 0; i < rq->extra_count; i++) {
		buf_add_str(sql, ", ");
		literal_add(sql, rq->extra[i]);
	}
	buf_add_str(sql, "]::text[])");
	buf_add_str(sql, question);
}

void
layout_ask(struct session *s, const struct layout_request *rq)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;

	layout_text(rq, &sql);
	/* Half a statement would be refused with a syntax error that blames the table: no memory is reported as such.
	 * */
	session_query(s, buf_failed(&sql) ? "SELECT 'out of memory'" : buf_str(&sql));
}

/* --- the answer --- */

static bool
is_true(const PGresult *res, int row, int col)
{
	return !PQgetisnull(res, row, col) && PQgetvalue(res, row, col)[0] == 't';
}

static unsigned long
number(const PGresult *res, int row, int col)
{
	return PQgetisnull(res, row, col) ? 0 : strtoul(PQgetvalue(res, row, col), NULL, 10);
}

static char
letter(const PGresult *res, int col)
{
	return PQgetisnull(res, 0, col) ? '\0' : PQgetvalue(res, 0, col)[0];
}

/* NULL stays NULL; *failed is raised when memory is out. */
static char *
copy(const PGresult *res, int row, int col, bool *failed)
{
	char *text = PQgetisnull(res, row, col) ? NULL : strdup(PQgetvalue(res, row, col));

	if (text == NULL && !PQgetisnull(res, row, col))
		*failed = true;
	return text;
}

/* The oids are pg_type.dat's; built-in types keep them for good. */
static enum layout_type
type_of(unsigned long oid)
{
	static const struct {
		unsigned long oid;
		enum layout_type type;
	} known[] = {
		{20, TYPE_INTEGER},    {21, TYPE_INTEGER},       {23, TYPE_INTEGER},       {25, TYPE_TEXT},
		{1043, TYPE_VARCHAR},  {2950, TYPE_UUID},        {114, TYPE_JSON},         {3802, TYPE_JSONB},
		{17, TYPE_BYTEA},      {1114, TYPE_TIMESTAMP},   {1184, TYPE_TIMESTAMPTZ},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].oid == oid)
			return known[i].type;
	return TYPE_OTHER;
}

static void
take_column(const PGresult *res, int row, struct layout_column *ret_column, bool *failed)
{
	if (PQgetisnull(res, row, A_QUOTED))
		return;
	ret_column->quoted = copy(res, row, A_QUOTED, failed);
	if (!is_true(res, row, A_FOUND))
		return;
	ret_column->type = type_of(number(res, row, A_TYPE));
	ret_column->bigint = number(res, row, A_TYPE) == 20;
	ret_column->type_name = copy(res, row, A_TYPE_NAME, failed);
	ret_column->not_null = is_true(res, row, A_NOT_NULL);
	ret_column->unique = is_true(res, row, A_UNIQUE);
	ret_column->text_immutable = is_true(res, row, A_IMMUTABLE);
	ret_column->may_update = is_true(res, row, A_MAY_UPDATE);
}

static void
take_table_facts(const PGresult *res, struct layout_facts *f, bool *failed)
{
	f->exists = !PQgetisnull(res, 0, A_OID);
	f->kind = letter(res, A_KIND);
	f->persistence = letter(res, A_PERSISTENCE);
	f->has_children = is_true(res, 0, A_HAS_CHILDREN);
	f->hides_rows = is_true(res, 0, A_HIDES_ROWS);
	f->in_recovery = is_true(res, 0, A_IN_RECOVERY);
	f->role = copy(res, 0, A_ROLE, failed);
	f->may_use_schema = is_true(res, 0, A_MAY_USE_SCHEMA);
	f->may_select = is_true(res, 0, A_MAY_SELECT);
	f->may_lock = is_true(res, 0, A_MAY_LOCK);
	f->may_delete = is_true(res, 0, A_MAY_DELETE);
}

static void
take_install_facts(const PGresult *res, struct layout_facts *f)
{
	f->schema_exists = is_true(res, 0, A_SCHEMA_EXISTS);
	f->may_use_pgoutbox = is_true(res, 0, A_MAY_USE_PGOUTBOX);
	f->may_read_pgoutbox = is_true(res, 0, A_MAY_READ_PGOUTBOX);
	f->may_park = is_true(res, 0, A_MAY_PARK);
	f->may_call_lane = is_true(res, 0, A_MAY_CALL_LANE);
	f->readable = is_true(res, 0, A_READABLE);
	f->schema_version = (int)number(res, 0, A_VERSION);
	f->registered = !PQgetisnull(res, 0, A_LANES);
	f->index_exists = !PQgetisnull(res, 0, A_INDEX_VALID);
	f->index_valid = is_true(res, 0, A_INDEX_VALID);
	f->index_fits = is_true(res, 0, A_INDEX_FITS);
	f->notifies = is_true(res, 0, A_NOTIFIES);
	f->receipts_exist = is_true(res, 0, A_RECEIPTS_EXIST);
	f->may_keep_receipts = is_true(res, 0, A_MAY_KEEP_RECEIPTS);
}

static char *
missing_extra(const PGresult *res, bool *failed)
{
	struct buf names = BUF_INIT;

	for (int row = COL_COUNT; row < PQntuples(res); row++)
		if (!is_true(res, row, A_FOUND))
			buf_printf(&names, "%s%s", names.len == 0 ? "" : ", ", PQgetvalue(res, row, A_QUOTED));
	if (names.len == 0 && !buf_failed(&names))
		return NULL;
	*failed = *failed || buf_failed(&names);
	return buf_take(&names);
}

int
layout_take(const struct layout_request *rq, const PGresult *res, struct layout *ret_layout, struct error *err)
{
	struct layout lo = LAYOUT_INIT;
	bool failed = false;

	if (PQnfields(res) != A_COUNT || PQntuples(res) != COL_COUNT + (int)rq->extra_count)
		return error_set(err, ERR_RETRY, "the answer about table \"%s\" is not as expected", rq->table);
	lo.relation = copy(res, 0, A_RELATION, &failed);
	lo.relation_oid = (uint32_t)number(res, 0, A_OID);
	lo.lanes = (int)number(res, 0, A_LANES);
	lo.claim_index = copy(res, 0, A_CLAIM_INDEX, &failed);
	lo.json_names = copy(res, 0, A_JSON_NAMES, &failed);
	lo.holder_names = copy(res, 0, A_HOLDER_NAMES, &failed);
	lo.holder_texts = copy(res, 0, A_HOLDER_TEXTS, &failed);
	lo.tids_unique = letter(res, A_KIND) == 'r';
	for (int i = 0; i < COL_COUNT; i++)
		take_column(res, i, &lo.columns[i], &failed);
	take_table_facts(res, &lo.facts, &failed);
	take_install_facts(res, &lo.facts);
	lo.facts.missing = missing_extra(res, &failed);
	if (failed) {
		layout_done(&lo);
		return error_set(err, ERR_RETRY, "out of memory");
	}
	*ret_layout = lo;
	return 0;
}

int
layout_read(const struct layout_request *rq, PGresult *const results[], int count, struct layout *ret_layout,
            struct error *err)
{
	struct layout lo = LAYOUT_INIT;
	struct error first;

	assert(count > 0);
	(void)count;
	if (layout_take(rq, results[0], &lo, err) != 0)
		return -1;
	if (layout_problems(&lo, rq, LAYOUT_ALL, &first, 1) > 0) {
		layout_done(&lo);
		*err = first;
		return -1;
	}
	*ret_layout = lo;
	return 0;
}

void
layout_done(struct layout *lo)
{
	for (int i = 0; i < COL_COUNT; i++) {
		free(lo->columns[i].quoted);
		free(lo->columns[i].type_name);
	}
	free(lo->relation);
	free(lo->claim_index);
	free(lo->json_names);
	free(lo->holder_names);
	free(lo->holder_texts);
	free(lo->facts.role);
	free(lo->facts.missing);
	*lo = LAYOUT_INIT;
}

char *
layout_quote(const char *name)
{
	struct buf out = BUF_INIT;

	buf_add_char(&out, '"');
	for (const char *p = name; *p != '\0'; p++) {
		if (*p == '"')
			buf_add_char(&out, '"');
		buf_add_char(&out, *p);
	}
	buf_add_char(&out, '"');
	return buf_take(&out);
}
