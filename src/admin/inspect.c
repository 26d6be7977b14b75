/* inspect.c - in: a connection, what is asked for; out: a layout. Judges nothing. */
#include "admin/inspect.h"

#include "admin/conn.h"
#include "base/buf.h"

int
inspect(PGconn *conn, const struct layout_request *rq, struct layout *ret_layout, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	layout_text(rq, &sql);
	if (buf_failed(&sql))
		return error_set(err, ERR_RETRY, "out of memory");
	if (conn_query(conn, buf_str(&sql), 0, NULL, "could not look at the table", &res, err) != 0)
		return -1;
	return layout_take(rq, res, ret_layout, err);
}

int
inspect_role(PGconn *conn, const char *role, struct error *err)
{
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	if (conn_query(conn, "SELECT FROM pg_catalog.pg_roles WHERE rolname = $1", 1, &role,
	               "could not look at the role", &res,
	               err) != 0)
		return -1;
	if (PQntuples(res) > 0)
		return 0;
	error_set(err, ERR_CONFIG, "there is no role \"%s\"", role);
	return error_hint(err, "run CREATE ROLE ... LOGIN first, or name the daemon's role by --role");
}
