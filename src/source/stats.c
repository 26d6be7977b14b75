/* stats.c - in: a layout; out: a statement, and what its answer says. */
#include "source/stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "source/statements.h"

/* Per lane: the number of unsent rows up to a cap, and the first of them. */
static void
add_text(const struct layout *lo, const char *limit, const char *last, struct buf *sql)
{
	const char *id = lo->columns[COL_ID].quoted;
	const char *created = lo->columns[COL_CREATED_AT].quoted;
	struct buf where __attribute__((cleanup(buf_done))) = BUF_INIT;

	statements_lane_condition(&where, lo, "u.lane");
	buf_printf(&where, " AND t.%s >= u.from_id", id);
	if (limit[0] != '\0')
		buf_printf(&where, " AND t.%s <= %s", id, limit);
	buf_printf(sql,
	           "SELECT c.n, c.last, f.id, (extract(epoch FROM f.created) * 1000000)::bigint, %s(SELECT max(%s) FROM %s)%s,"
	           " pg_total_relation_size(%" PRIu32 "), pg_stat_get_dead_tuples(%" PRIu32 "), pg_stat_get_live_tuples(%" PRIu32 ")"
	           " FROM unnest($1::int[], $2::bigint[]) u(lane, from_id),"
	           " LATERAL (SELECT count(*) AS n, max(x.id) AS last FROM (SELECT t.%s AS id FROM %s t WHERE %s"
	           " ORDER BY t.%s LIMIT $3::bigint) x) c"
	           " LEFT JOIN LATERAL (SELECT t.%s AS id, %s%s::timestamptz AS created FROM %s t WHERE %s"
	           " ORDER BY t.%s LIMIT 1) f ON true",
	           limit[0] != '\0' ? "least(" : "", id, lo->relation, last,
	           lo->relation_oid, lo->relation_oid, lo->relation_oid, id, lo->relation, buf_str(&where), id, id,
	           created != NULL ? "t." : "", created != NULL ? created : "NULL", lo->relation, buf_str(&where), id);
	sql->failed |= buf_failed(&where);
}

void
stats_text(const struct layout *lo, struct buf *sql)
{
	add_text(lo, "", "", sql);
}

void
stats_text_up_to(const struct layout *lo, struct buf *sql)
{
	add_text(lo, "$4::bigint", ", $4::bigint)", sql);
}

static int
lane_cap(const struct layout *lo)
{
	return (STATS_COUNT_CAP + lo->lanes - 1) / lo->lanes;
}

bool
stats_bind(struct stats_params *p, const struct layout *lo, const int64_t *from_ids)
{
	for (int i = 0; i < lo->lanes; i++) {
		buf_printf(&p->lanes, "%c%d", i == 0 ? '{' : ',', i);
		buf_printf(&p->ids, "%c%" PRId64, i == 0 ? '{' : ',', from_ids != NULL ? from_ids[i] : STATS_BOTTOM);
	}
	buf_add_char(&p->lanes, '}');
	buf_add_char(&p->ids, '}');
	snprintf(p->cap, sizeof(p->cap), "%d", lane_cap(lo));
	p->values[0] = buf_str(&p->lanes);
	p->values[1] = buf_str(&p->ids);
	p->values[2] = p->cap;
	return !buf_failed(&p->lanes) && !buf_failed(&p->ids);
}

void
stats_params_done(struct stats_params *p)
{
	buf_done(&p->lanes);
	buf_done(&p->ids);
}

static int64_t
column_int(const PGresult *res, int row, int col)
{
	return strtoll(PQgetvalue(res, row, col), NULL, 10);
}

struct stats
stats_read(const struct layout *lo, const PGresult *res)
{
	struct stats st = {.pending_exact = true};
	int64_t first_id = INT64_MAX;

	for (int row = 0; row < PQntuples(res); row++) {
		int64_t n = column_int(res, row, 0);

		st.pending += n;
		st.last_id = column_int(res, row, 4);
		st.table_bytes = column_int(res, row, 5);
		st.dead_rows = column_int(res, row, 6);
		st.live_rows = column_int(res, row, 7);
		/* Beyond the cap, ids tell: an upper bound, since some may be sent already or were never used. */
		if (n >= lane_cap(lo)) {
			st.pending += (column_int(res, row, 4) - column_int(res, row, 1)) / lo->lanes;
			st.pending_exact = false;
		}
		if (!PQgetisnull(res, row, 2) && column_int(res, row, 2) < first_id) {
			first_id = column_int(res, row, 2);
			st.oldest_unsent_us = PQgetisnull(res, row, 3) ? -1 : column_int(res, row, 3);
		}
	}
	return st;
}
