/* statements.h - the SQL that lanes run, made from the table's layout.
 *
 * Texts are made once a layout; parameters are bound a round. All of a claim's columns come in binary.
 */
#ifndef PGOUTBOX_SOURCE_STATEMENTS_H
#define PGOUTBOX_SOURCE_STATEMENTS_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "model/batch.h"
#include "source/ladder.h"
#include "source/layout.h"

struct statements {
	char *claim;       /* rows without payload where that is large: they end the batch. Fails where somebody else has locked a row */
	char *claim_sized; /* cut at a sum of bytes, and tells where rows are locked: dearer a row */
	char *settle_tids; /* row versions locked by this transaction; NULL where tids may repeat (partitions) */
	char *settle_ids;
	char *park;
	char *parked_keys; /* keys of one lane that parked events hold back */
	int lanes;         /* of the layout they were made from */
	char *end;         /* the highest id that is unsent in a lane */
	char *bell;        /* which of these lanes have something to claim */
};

struct statements_options {
	bool settle_delete;
	bool block_parked_keys;
	bool receipts;
	int64_t batch_bytes;
	int64_t batch_rows;
	const char *const *extra_columns; /* for the topic template */
	size_t extra_count;
};

int statements_make(const struct layout *layout, const struct statements_options *opt, struct statements *ret_st,
                    struct error *err) __attribute__((warn_unused_result));
void statements_done(struct statements *st);

/* Whether the layout would give the same texts. park may be another, which is taken over: sessions that open from here on have it. */
bool statements_renew(struct statements *st, const struct layout *layout, const struct statements_options *opt);

/* "the row t is unsent and in this lane", as the claim's index has it; lane is an SQL expression. */
void statements_lane_condition(struct buf *sql, const struct layout *layout, const char *lane);

/* The parameters of a claim, in text. */
#define CLAIM_PARAMS 7
struct claim_params {
	char lane[16], limit[24], bytes[24];
	struct buf from_ids, xmaxes, opens;
	const char *values[CLAIM_PARAMS];
	int lengths[CLAIM_PARAMS];
	int formats[CLAIM_PARAMS];
};

/* Rungs as three parallel array literals, which replace what the buffers hold. bottom: as if each of them began there. */
void statements_rungs(const struct rung *rungs, int count, bool bottom, struct buf *from_ids, struct buf *xmaxes, struct buf *opens);

/* Binds a claim's parameters; bytes is a row's share for claim, the batch's sum for claim_sized. bottom: start there, whatever the
 * ladder says. */
void statements_bind_claim(struct claim_params *p, int lane, int64_t rows, int64_t bytes, const struct ladder *ladder, bool bottom,
                           const char *held_keys);

/* The columns of an event of table t, as a claim has them but payloads of any size among them: see claimed.h. */
void statements_event_columns(struct buf *sql, const struct layout *layout, const struct statements_options *opt);

/* Arrays in PostgreSQL's binary format of the count slots that batch_settle_begin() took. */
void statements_tids(const struct batch *b, size_t count, struct buf *out);
void statements_ids(const struct batch *b, size_t count, struct buf *out);

/* The head of a one-dimensional array as array_recv() reads it; nulls: elements may be NULL. */
void statements_array_head(struct buf *out, uint32_t element_oid, size_t count, bool nulls);

/* The poisoned slots as three parallel array literals. */
void statements_park(const struct batch *b, struct buf *ids, struct buf *topics, struct buf *reasons);

/* Adds an element to an array literal; the caller adds the closing brace. text NULL = NULL. */
void statements_array_add(struct buf *array, const char *text);

#endif
