/* pruning.c - in: a connection, an age; out: fewer rows. Knows no arguments and prints nothing. */
#include "admin/pruning.h"

#include <inttypes.h>
#include <stdio.h>

#include "admin/audit.h"
#include "admin/conn.h"
#include "admin/pace.h"
#include "base/clock.h"
#include "source/prune.h"
#include "source/receipts.h"

static int
note(PGconn *conn, const struct layout *lo, const struct pruning_request *rq, const struct prune_seen *seen,
     struct error *err)
{
	char rows[24], last[24], age[24];
	const struct audit_detail details[] = {
		{"rows", rows, true}, {"older_than_seconds", age, true}, {"through_id", last, true}};

	if (rq->dry || seen->deleted == 0)
		return 0;
	snprintf(rows, sizeof(rows), "%" PRId64, seen->deleted);
	snprintf(last, sizeof(last), "%" PRId64, seen->last_id);
	snprintf(age, sizeof(age), "%" PRId64, rq->age_ms / 1000);
	return audit_add(conn, "prune", lo->relation_oid, details, rq->receipts ? 2 : 3, err);
}

static int
step(PGconn *conn, const struct layout *lo, const struct pruning_request *rq, const struct buf *sql, struct prune_seen *seen,
     struct error *err)
{
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	struct prune_bound bound;
	int rc = conn_exec(conn, PACE_BEGIN, "could not begin", err);

	prune_bind(&bound, seen->last_id, rq->age_ms);
	if (rc == 0)
		rc = conn_ask(conn, sql, PRUNE_PARAMS, bound.values, "could not prune sent rows", &res, err);
	if (rc == 0)
		*seen = prune_read(res);
	if (rc == 0)
		rc = note(conn, lo, rq, seen, err);
	return pace_end(conn, rc, err);
}

int
pruning_run(PGconn *conn, const struct layout *lo, const struct pruning_request *rq, struct pruning *ret_done,
            struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct prune_seen seen = {.looked = PRUNE_BATCH_ROWS, .last_id = PRUNE_BOTTOM};

	*ret_done = (struct pruning){0};
	if (!rq->receipts && lo->columns[COL_SENT_AT].quoted == NULL) {
		error_set(err, ERR_CONFIG, "table \"%s\" has no column that tells what was sent", lo->relation);
		return error_hint(err, "there is nothing to prune: with outbox.settle: delete a row goes when it is sent");
	}
	if (rq->receipts)
		receipts_prune_text(lo, rq->dry, &sql);
	else
		prune_text(lo, rq->dry, &sql);
	while (seen.looked == PRUNE_BATCH_ROWS) {
		int64_t begun_us = clock_mono_us();

		if (step(conn, lo, rq, &sql, &seen, err) != 0)
			return -1;
		ret_done->deleted += seen.deleted;
		ret_done->spared += seen.old - seen.deleted;
		ret_done->looked += seen.looked;
		if (rq->progress != NULL)
			rq->progress(rq->ctx, ret_done);
		pace_rest(begun_us);
	}
	return 0;
}
