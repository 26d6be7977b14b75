/* receipts.h - where each acknowledged event is, kept in the statement that settles its row.
 *
 * With "mark" partition and offset are two columns of the row; with "delete" they are a row of pgoutbox.receipts, together with
 * the digest of what was sent. Statements here settle as those of statements.h do, with the same first parameter. What Kafka did
 * not tell is NULL; a parked row has no receipt at all.
 */
#ifndef PGOUTBOX_SOURCE_RECEIPTS_H
#define PGOUTBOX_SOURCE_RECEIPTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "model/batch.h"
#include "source/layout.h"

#define RECEIPTS_PARAMS 4 /* of a settle: tids or ids, partitions, offsets; topics where rows are deleted */

/* malloc'd, NULL when memory is out. by_tid: $1 has tids, else ids. Where rows are deleted the answer is one row, their count. */
char *receipts_settle_text(const struct layout *lo, bool settle_delete, bool by_tid) __attribute__((warn_unused_result));

/* The parameters behind the first, in PostgreSQL's binary format, kept for the next time. */
struct receipts {
	struct buf partitions, offsets, topics;
};

#define RECEIPTS_INIT ((struct receipts){BUF_INIT, BUF_INIT, BUF_INIT})

/* Of the count slots that batch_settle_begin() took, in the order of statements_tids() and statements_ids(). Returns the number of
 * parameters, with the first. Fills values and lengths from the second on. */
int receipts_bind(struct receipts *r, const struct batch *b, size_t count, bool settle_delete,
                  const char *values[RECEIPTS_PARAMS], int lengths[RECEIPTS_PARAMS]);
void receipts_done(struct receipts *r);

/* As prune_text() does, with its parameters and its answer: deletes receipts of the outbox that are old enough, or counts them all
 * at once (dry). */
void receipts_prune_text(const struct layout *lo, bool dry, struct buf *sql);

#endif
