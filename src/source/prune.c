/* prune.c - in: a layout; out: a statement, and what its answer says. Knows no session and no schedule. */
#include "source/prune.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define AGE "now() - $3::bigint * interval '1 ms'"

static void
add_delete(const struct layout *lo, const char *by, const char *sent, struct buf *sql)
{
	buf_printf(sql,
	           "DELETE FROM %s t WHERE t.%s = ANY (ARRAY(SELECT o.by FROM o)) AND t.%s < " AGE " RETURNING 1", lo->relation, by,
	           sent);
}

void
prune_text(const struct layout *lo, bool dry, struct buf *sql)
{
	const char *id = lo->columns[COL_ID].quoted;
	const char *sent = lo->columns[COL_SENT_AT].quoted;
	const char *by = lo->tids_unique ? "ctid" : id;

	buf_printf(sql,
	           "WITH c AS MATERIALIZED (SELECT t.%s AS id, t.%s AS by, (t.%s < " AGE ") IS TRUE AS old FROM %s t"
	           " WHERE t.%s > $1::bigint ORDER BY t.%s LIMIT $2::bigint),"
	           " o AS MATERIALIZED (SELECT c.by FROM c WHERE c.old AND NOT EXISTS (SELECT FROM pgoutbox.parked p"
	           " WHERE p.relation = %" PRIu32 " AND p.state = 'parked' AND p.event_row = c.id)), d AS (",
	           id, by, sent, lo->relation, id, id, lo->relation_oid);
	if (dry)
		buf_add_str(sql, "SELECT FROM o");
	else
		add_delete(lo, by, sent, sql);
	buf_add_str(sql, ") SELECT (SELECT count(*) FROM d), count(*), max(c.id), count(*) FILTER (WHERE c.old),"
	                 " max(c.id) FILTER (WHERE c.id < coalesce((SELECT min(id) FROM c WHERE NOT old), 9223372036854775807)) FROM c");
}

void
prune_bind(struct prune_bound *b, int64_t from_id, int64_t age_ms)
{
	snprintf(b->from, sizeof(b->from), "%" PRId64, from_id);
	snprintf(b->rows, sizeof(b->rows), "%d", PRUNE_BATCH_ROWS);
	snprintf(b->age, sizeof(b->age), "%" PRId64, age_ms);
	b->values[0] = b->from;
	b->values[1] = b->rows;
	b->values[2] = b->age;
}

static int64_t
number(const PGresult *res, int col)
{
	return strtoll(PQgetvalue(res, 0, col), NULL, 10); /* NULL comes as "" */
}

struct prune_seen
prune_read(const PGresult *res)
{
	return (struct prune_seen){
		.deleted = number(res, 0),
		.looked = number(res, 1),
		.last_id = number(res, 2),
		.old = number(res, 3),
		.settled = !PQgetisnull(res, 0, 4),
		.settled_id = number(res, 4),
	};
}
