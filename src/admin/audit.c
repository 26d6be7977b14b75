/* audit.c - in: an act and what is to be known of it; out: a row of pgoutbox.audit. Knows no verb. */
#include "admin/audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/conn.h"
#include "base/buf.h"
#include "source/statements.h"

static const char insert[] =
	"INSERT INTO pgoutbox.audit (verb, relation, detail) SELECT $1, $2::oid::regclass,"
	" coalesce(pg_catalog.jsonb_object_agg(d.name, CASE WHEN d.json THEN d.value::jsonb"
	"  ELSE coalesce(pg_catalog.to_jsonb(d.value), 'null') END), '{}')"
	" FROM unnest($3::text[], $4::text[], $5::boolean[]) d(name, value, json)";

static void
list(const struct audit_detail details[], size_t count, struct buf *names, struct buf *values, struct buf *json)
{
	for (size_t i = 0; i < count; i++) {
		statements_array_add(names, details[i].name);
		statements_array_add(values, details[i].value);
		statements_array_add(json, details[i].json ? "t" : "f");
	}
	buf_add_str(names, count > 0 ? "}" : "{}");
	buf_add_str(values, count > 0 ? "}" : "{}");
	buf_add_str(json, count > 0 ? "}" : "{}");
}

int
audit_add(PGconn *conn, const char *verb, uint32_t relation_oid, const struct audit_detail details[], size_t count,
          struct error *err)
{
	struct buf names __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf values __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf json __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	const char *params[5];
	char oid[16];

	list(details, count, &names, &values, &json);
	if (buf_failed(&names) || buf_failed(&values) || buf_failed(&json))
		return error_set(err, ERR_RETRY, "out of memory");
	snprintf(oid, sizeof(oid), "%" PRIu32, relation_oid);
	params[0] = verb;
	params[1] = oid;
	params[2] = buf_str(&names);
	params[3] = buf_str(&values);
	params[4] = buf_str(&json);
	if (conn_query(conn, insert, 5, params, "could not note the act in pgoutbox.audit", &res, err) == 0)
		return 0;
	if (strstr(err->message, "(SQLSTATE 42501)") != NULL)
		error_hint(err, "connect by --database as a role that may: RIGHTS in pgoutbox(7) tells what it needs");
	return -1;
}
