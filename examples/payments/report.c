/* report.c - an event of a payment in, one transaction on the read model out. The rules are in schema-reports.sql. */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "payment_event.h"

struct work {
	const struct message *msg;
	struct payment_event ev;
};

/* In the one transaction: whether the message is new, and what it changes. */
static int
apply(struct database *db, void *ctx, struct error *err)
{
	const struct work *w = ctx;
	char amount[24], version[24];

	snprintf(amount, sizeof(amount), "%" PRId64, w->ev.amount);
	snprintf(version, sizeof(version), "%" PRId64, w->ev.version);
	return DATABASE_DO(db, err,
	    "SELECT report_event($2, $3, $4, $5::bigint, $6, $7, $8::bigint) WHERE pgoutbox.inbox_begin('report', $1)",
	    w->msg->id, w->msg->type, w->ev.payment, w->ev.customer, amount, w->ev.currency, w->ev.state, version);
}

int
report_handle(struct database *db, const struct message *msg, struct error *err)
{
	struct work w = {.msg = msg};

	if (payment_event_read(msg->value, &w.ev, err) == -1)
		return -1;
	return database_transact(db, apply, &w, err);
}
