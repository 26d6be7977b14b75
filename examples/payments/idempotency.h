/* idempotency.h - the idempotency kit, as a server uses it: a request that comes again gets the answer of the first. */
#ifndef PAYMENTS_IDEMPOTENCY_H
#define PAYMENTS_IDEMPOTENCY_H

#include <stdbool.h>
#include <stdint.h>

#include "database.h"
#include "server.h"

struct idempotency {
	const char *scope;    /* whose keys they are. Where there are several customers' clients: one of each */
	const char *key;
	const char *takeover; /* an interval: an owner that has not completed by then is taken for dead */
	char attempt[24];     /* what the owner completes with */
	bool owned;           /* the request is ours to answer */
	struct server_answer answer; /* where it is not */
};

/* The answer of pgoutbox.idempotency_begin(). The fingerprint is that of the body. */
int idempotency_begin(struct idempotency *i, struct database *db, struct slice body, struct error *err)
	__attribute__((warn_unused_result));

/* Stores status and content of the answer, which stays the caller's. In the transaction of the change, as its last
 * statement. ERR_FATAL with state 55000 where another request has taken the key over. */
int idempotency_complete(const struct idempotency *i, struct database *db, const struct server_answer *a, struct error *err)
	__attribute__((warn_unused_result));

/* Nothing came of it, or nobody knows: the next request need not wait. Where it was completed nothing happens. */
void idempotency_release(const struct idempotency *i, struct database *db);

#endif
