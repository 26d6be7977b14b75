/* saga.h - what the shop does after a payment was reserved: capture it or give the money back, then tell the customer.
 *
 * Each step is one transaction that rests on the step before by its event, and leaves the event for the next.
 */
#ifndef PAYMENTS_SAGA_H
#define PAYMENTS_SAGA_H

#include <stdint.h>

#include "base/error.h"
#include "database.h"
#include "fetch.h"
#include "stream.h"

struct saga {
	struct database *db;
	struct fetch *provider;
	int64_t timeout_ms; /* of a request to the provider */
};

/* Does what the message asks for, unless it was done before. ERR_RETRY: not now; the same message must come again before
 * any later one. Other errors: never. Blocks for the provider's timeout, and for the database. */
int saga_handle(struct saga *s, const struct message *msg, struct error *err) __attribute__((warn_unused_result));

#endif
