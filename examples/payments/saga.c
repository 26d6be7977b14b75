/* saga.c - events of payments in, the next step of each payment out: to the provider, to the ledger, to the outbox.
 *
 * The provider is asked before the transaction begins, by the payment's own id as the key: whoever dies between the two
 * asks again and gets the same answer.
 */
#include "saga.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "payment_event.h"

/* What becomes of the payment. */
struct step {
	const char *state;    /* the next one; NULL = the event asks for nothing */
	const char *posting;  /* "capture", "release"; NULL = no money moves */
	const char *to;       /* the account that gets it */
	const char *notified; /* the outcome that the customer is told of; NULL = he is told nothing */
	const char *event_type;
	const char *charge; /* the provider's name for the charge, or NULL */
};

struct work {
	const struct message *msg;
	const struct payment_event *ev;
	struct step step;
};

static int
text_of(struct database *db, char *ret_text, size_t size, struct error *err, const char *sql, int count,
        const char *const values[])
{
	PGresult *res __attribute__((cleanup(database_clear))) = database_query(db, err, sql, count, values);

	if (res == NULL)
		return -1;
	snprintf(ret_text, size, "%s", PQntuples(res) == 1 ? PQgetvalue(res, 0, 0) : "");
	return 0;
}
#define TEXT_OF(db, ret_text, size, err, sql, ...)                                                                     \
	text_of((db), (ret_text), (size), (err), (sql), (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)), \
	        (const char *const[]){__VA_ARGS__})

/* What the provider said: "charged" or "declined", and its name for the charge. */
static int
read_answer(const struct fetch_answer *answer, char *ret_charge, size_t size, bool *ret_charged, struct error *err)
{
	json_t *root = json_loadb(buf_str(&answer->body), answer->body.len, 0, NULL);
	const char *state = json_string_value(json_object_get(root, "state"));
	const char *charge = json_string_value(json_object_get(root, "charge"));
	int rc = 0;

	if (state != NULL && strcmp(state, "declined") == 0)
		*ret_charged = false;
	else if (state != NULL && strcmp(state, "charged") == 0 && charge != NULL)
		*ret_charged = true;
	else
		rc = error_set(err, ERR_RETRY, "the provider answered %ld without an outcome", answer->status);
	if (rc == 0)
		snprintf(ret_charge, size, "%s", charge == NULL ? "" : charge);
	json_decref(root);
	return rc;
}

/* No answer means nothing: the provider may have charged, and is asked again by the same key until it says so. */
static int
charge(struct saga *s, const struct payment_event *ev, char *ret_charge, size_t size, bool *ret_charged, struct error *err)
{
	struct fetch_answer answer __attribute__((cleanup(fetch_answer_done))) = FETCH_ANSWER_INIT;
	struct buf body __attribute__((cleanup(buf_done))) = BUF_INIT;

	buf_printf(&body, "{\"payment\":\"%s\",\"amount\":%" PRId64 ",\"currency\":\"%s\"}", ev->payment, ev->amount,
	           ev->currency);
	if (buf_failed(&body))
		return error_set(err, ERR_FATAL, "out of memory");
	if (fetch_post(s->provider, "/charges", ev->payment, buf_str(&body), s->timeout_ms, &answer, err) == -1)
		return -1;
	if (answer.status == 409 || answer.status == 429 || answer.status >= 500)
		return error_set(err, ERR_RETRY, "the provider answered %ld", answer.status);
	if (answer.status == 422)
		return error_set(err, ERR_FATAL, "payment \"%s\" was charged with another amount", ev->payment);
	return read_answer(&answer, ret_charge, size, ret_charged, err);
}

/* Where another copy of the message did the work already, there is nothing to ask the provider. */
static int
is_reserved(struct saga *s, const struct payment_event *ev, bool *ret_reserved, struct error *err)
{
	char state[32];

	if (TEXT_OF(s->db, state, sizeof(state), err, "SELECT state FROM pgoutbox.machine_now('payment', $1)", ev->payment) == -1)
		return -1;
	*ret_reserved = strcmp(state, "reserved") == 0;
	return 0;
}

/* The money leaves "held", for the merchant or back to the customer. An operation of that name is posted once, ever. */
static int
post(struct database *db, const struct work *w, struct error *err)
{
	char operation[64];
	char amount[24];

	if (w->step.posting == NULL)
		return 0;
	snprintf(operation, sizeof(operation), "%s %s", w->step.posting, w->ev->payment);
	snprintf(amount, sizeof(amount), "%" PRId64, w->ev->amount);
	return DATABASE_DO(db, err,
	    "SELECT pgoutbox.ledger_post($1, jsonb_build_array("
	    "jsonb_build_object('account', 'held ' || $4, 'amount', -$2::bigint), "
	    "jsonb_build_object('account', $3 || ' ' || $4, 'amount', $2::bigint)))",
	    operation, amount, w->step.to, w->ev->currency);
}

/* A payment is at version 1 until it has a charge, and never gets a second one. */
static int
record(struct database *db, const struct work *w, struct error *err)
{
	if (w->step.charge != NULL &&
	    DATABASE_DO(db, err, "UPDATE payment SET charge = $2, version = 1 WHERE id = $1", w->ev->payment, w->step.charge) == -1)
		return -1;
	if (w->step.notified != NULL)
		return DATABASE_DO(db, err, "INSERT INTO notification (payment_id, outcome) VALUES ($1, $2)", w->ev->payment,
		                   w->step.notified);
	return 0;
}

/* From the version that the event speaks of, and no other: two that carry out the same step meet here. */
static int
move(struct database *db, const struct work *w, struct error *err)
{
	char version[24];

	snprintf(version, sizeof(version), "%" PRId64, w->ev->version);
	if (TEXT_OF(db, version, sizeof(version), err, "SELECT pgoutbox.machine_move('payment', $1, $2, $3::bigint)",
	            w->ev->payment, w->step.state, version) == -1)
		return -1;
	return DATABASE_DO(db, err,
	    "SELECT pgoutbox.emit('payment', id::text, $2, jsonb_build_object('payment', id, 'customer', customer, "
	    "'amount', amount, 'currency', currency, 'state', $3::text, 'version', $4::bigint)) FROM payment WHERE id = $1",
	    w->ev->payment, w->step.event_type, w->step.state, version);
}

/* All of a step or nothing of it. A duplicate is counted and changes nothing else. */
static int
carry_out(struct database *db, void *ctx, struct error *err)
{
	const struct work *w = ctx;
	char is_new[8];

	if (TEXT_OF(db, is_new, sizeof(is_new), err, "SELECT pgoutbox.inbox_begin('saga', $1)", w->msg->id) == -1)
		return -1;
	if (strcmp(is_new, "t") != 0 || w->step.state == NULL)
		return 0;
	if (post(db, w, err) == -1 || record(db, w, err) == -1)
		return -1;
	return move(db, w, err);
}

static int
after_reservation(struct saga *s, struct work *w, char *charge_id, size_t size, struct error *err)
{
	bool reserved, charged;

	if (is_reserved(s, w->ev, &reserved, err) == -1)
		return -1;
	if (!reserved)
		return 0;
	if (charge(s, w->ev, charge_id, size, &charged, err) == -1)
		return -1;
	w->step = charged ? (struct step){.state = "captured", .posting = "capture", .to = "merchant",
	                                  .event_type = "payment.captured", .charge = charge_id}
	                  : (struct step){.state = "failed", .posting = "release", .event_type = "payment.failed"};
	return 0;
}

int
saga_handle(struct saga *s, const struct message *msg, struct error *err)
{
	struct payment_event ev;
	struct work w = {.msg = msg, .ev = &ev};
	char charge_id[64], customer[80];

	if (payment_event_read(msg->value, &ev, err) == -1)
		return -1;
	if (strcmp(msg->type, "payment.reserved") == 0) {
		if (after_reservation(s, &w, charge_id, sizeof(charge_id), err) == -1)
			return -1;
	} else if (strcmp(msg->type, "payment.captured") == 0) {
		w.step = (struct step){.state = "notified", .notified = "captured", .event_type = "payment.notified"};
	} else if (strcmp(msg->type, "payment.failed") == 0) {
		w.step = (struct step){.state = "closed", .notified = "failed", .event_type = "payment.notified"};
	}
	if (w.step.posting != NULL && w.step.to == NULL) {
		snprintf(customer, sizeof(customer), "customer %s", ev.customer);
		w.step.to = customer;
	}
	return database_transact(s->db, carry_out, &w, err);
}
