/* claim_index.h - the index that claims are made from: its name, and whether it is there, beside the registered one
 * too. Blocks, but for the name. */
#ifndef PGOUTBOX_ADMIN_CLAIM_INDEX_H
#define PGOUTBOX_ADMIN_CLAIM_INDEX_H

#include <libpq-fe.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "source/layout.h"

#define CLAIM_INDEX_NAME_SIZE 64 /* NAMEDATALEN */

/* "table_lane4", cut at a character's beginning where the table's name leaves no room. Pure. */
void claim_index_name(const char *table, int lanes, char ret_name[CLAIM_INDEX_NAME_SIZE]);

/* The table as the catalog has it. */
struct claim_index_table {
	uint32_t oid;
	char schema[CLAIM_INDEX_NAME_SIZE], name[CLAIM_INDEX_NAME_SIZE];
	bool partitioned;
};

int claim_index_table(PGconn *conn, uint32_t oid, struct claim_index_table *ret_table, struct error *err)
	__attribute__((warn_unused_result));

enum claim_index_state {
	CLAIM_INDEX_NONE,
	CLAIM_INDEX_INVALID, /* left behind by a build that was interrupted */
	CLAIM_INDEX_VALID,   /* of this table; whether it is over the right expressions is layout's to judge */
	CLAIM_INDEX_OTHER,   /* the name is taken by something else */
};

int claim_index_state(PGconn *conn, const struct claim_index_table *table, const char *name,
                      enum claim_index_state *ret_state, struct error *err) __attribute__((warn_unused_result));

/* The statement that builds it, concurrently, as init does. */
int claim_index_build_text(const struct claim_index_table *table, const struct layout_request *rq, const char *name,
                           int lanes, struct buf *ret_sql, struct error *err) __attribute__((warn_unused_result));

/* Drops it, where it is there and is the table's; concurrently, which waits for transactions but blocks none. Of a
 * partitioned table PostgreSQL can only do it at once: that waits five seconds for the lock, ERR_RETRY. */
int claim_index_drop(PGconn *conn, const struct claim_index_table *table, const char *name, struct error *err)
	__attribute__((warn_unused_result));

#endif
