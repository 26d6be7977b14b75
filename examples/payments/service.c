/* service.c - in: POST /payments; out: money reserved and an event that says so, once for each Idempotency-Key.
 *
 *	POST /payments		{"customer": "c17", "amount": 1250, "currency": "EUR"}
 *		201 reserved, 402 not enough money, 404 no such account: final, and the same for each request with the key.
 *		409, 503, or no answer at all: ask again, with the same key. 422: the key was used for another request.
 *	GET /payments/ID	what became of it
 *
 * Whatever is said of a payment and whatever happens to it is committed together: the payment, its state, the ledger, the
 * event and the answer. The request's key is begun before that in a transaction of its own, so that a second request with
 * it is told to come again instead of holding a thread and a connection.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "idempotency.h"
#include "options.h"
#include "server.h"

enum { CUSTOMER_MAX = 64, AMOUNT_MAX = 1000000000 };

struct service {
	const struct log *log;
	const char *takeover;
};

/* What was asked for, as the statements take it. */
struct order {
	char customer[CUSTOMER_MAX + 1];
	char currency[4];
	json_int_t amount;
};

/* One request on its way through the transaction. */
struct work {
	const struct server_request *request;
	const struct order *order;
	const struct idempotency *key;
	struct server_answer answer;
	bool refused; /* the answer is why; nothing was changed */
};

static bool
is_currency(const char *s)
{
	return strlen(s) == 3 && strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3;
}

static bool
is_customer(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len <= CUSTOMER_MAX && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == len;
}

/* NULL, or what is wrong with it. What is not understood is refused rather than passed over. */
static const char *
read_order(struct slice body, struct order *ret_order)
{
	json_t *json = json_loadb(body.data, body.len, JSON_REJECT_DUPLICATES, NULL);
	const char *customer, *currency, *wrong = NULL;
	json_int_t amount;

	if (json_unpack_ex(json, NULL, JSON_STRICT, "{s:s, s:I, s:s}", "customer", &customer, "amount", &amount, "currency", &currency) != 0)
		wrong = "the body is not {\"customer\": text, \"amount\": integer, \"currency\": text}";
	else if (!is_customer(customer))
		wrong = "\"customer\" is not a customer's name";
	else if (amount < 1 || amount > AMOUNT_MAX)
		wrong = "\"amount\" is not within 1 and 1000000000 of the smallest unit";
	else if (!is_currency(currency))
		wrong = "\"currency\" is not a code such as EUR";
	else {
		*ret_order = (struct order){.amount = amount};
		memcpy(ret_order->customer, customer, strlen(customer) + 1);
		memcpy(ret_order->currency, currency, strlen(currency) + 1);
	}
	json_decref(json);
	return wrong;
}

/* Not enough money, or no such account: known to be so only here, under the account's lock. */
static int
refuse(struct work *w, struct database *db, struct error *err)
{
	const struct order *o = w->order;

	if (strcmp(database_state(db), "23514") == 0)
		server_problem(&w->answer, 402, "customer \"%s\" has not enough money", o->customer);
	else if (strcmp(database_state(db), "23503") == 0)
		server_problem(&w->answer, 404, "customer \"%s\" has no account in %s", o->customer, o->currency);
	else
		return -1;
	w->refused = true;
	return error_prefix(err, "refused");
}

static int
reserve(struct work *w, struct database *db, const char *id, const char *amount, struct error *err)
{
	const struct order *o = w->order;
	PGresult *res __attribute__((cleanup(database_clear))) = NULL;

	if (DATABASE_DO(db, err,
	                "SELECT pgoutbox.ledger_post('reserve ' || $1, jsonb_build_array("
	                "jsonb_build_object('account', format('customer %s %s', $2::text, $4::text), 'amount', -$3::bigint),"
	                "jsonb_build_object('account', 'held ' || $4, 'amount', $3::bigint)))",
	                id, o->customer, amount, o->currency) != 0)
		return refuse(w, db, err);
	res = DATABASE_QUERY(db, err, "SELECT pgoutbox.machine_start('payment', $1, 'reserved')", id);
	if (res == NULL)
		return -1;
	return DATABASE_DO(db, err,
	                   "SELECT pgoutbox.emit('payment', $1, 'payment.reserved', jsonb_build_object("
	                   "'payment', $1::text, 'customer', $2::text, 'amount', $3::bigint, 'currency', $4::text,"
	                   "'state', 'reserved', 'version', $5::bigint))",
	                   id, o->customer, amount, o->currency, PQgetvalue(res, 0, 0));
}

/* All of it, in one transaction. The event carries what the request was called, see pgoutbox(7). */
static int
pay(struct database *db, void *ctx, struct error *err)
{
	struct work *w = ctx;
	char amount[24];

	snprintf(amount, sizeof(amount), "%" JSON_INTEGER_FORMAT, w->order->amount);
	if (DATABASE_DO(db, err, "SELECT set_config('pgoutbox.request_id', $1, true), set_config('pgoutbox.traceparent', $2, true)",
	                w->request->request_id, w->request->traceparent) != 0)
		return -1;
	PGresult *res __attribute__((cleanup(database_clear))) =
		DATABASE_QUERY(db, err, "INSERT INTO payment (customer, amount, currency) VALUES ($1, $2, $3) RETURNING id", w->order->customer, amount,
	                       w->order->currency);
	if (res == NULL || reserve(w, db, PQgetvalue(res, 0, 0), amount, err) != 0)
		return -1;
	/* of a try before this one */
	json_decref(w->answer.json);
	w->answer = (struct server_answer){.status = 201,
	                                   .json = json_pack("{s:s, s:s}", "id", PQgetvalue(res, 0, 0), "state", "reserved")};
	return idempotency_complete(w->key, db, &w->answer, err);
}

/* A refusal is an answer as final as any other: whoever asks again must not get the money that has come in meanwhile. */
static int
complete_refusal(struct database *db, void *ctx, struct error *err)
{
	const struct work *w = ctx;

	return idempotency_complete(w->key, db, &w->answer, err);
}

static void
answer_order(const struct service *s, struct database *db, struct work *w, struct server_answer *ret_answer)
{
	struct error err;
	int rc = database_transact(db, pay, w, &err);

	if (rc != 0 && w->refused)
		rc = database_transact(db, complete_refusal, w, &err);
	if (rc == 0) {
		*ret_answer = w->answer;
		return;
	}
	json_decref(w->answer.json);
	if (strcmp(database_state(db), "55000") == 0) {
		server_problem(ret_answer, 409, "another request with this idempotency key was faster");
		ret_answer->retry_after_s = 1;
		return;
	}
	server_failure(ret_answer, s->log, &err);
	idempotency_release(w->key, db);
}

static void
post_payment(void *ctx, struct database *db, const struct server_request *r, struct server_answer *ret_answer)
{
	const struct service *s = ctx;
	struct idempotency key = {.scope = "payments", .key = r->key, .takeover = s->takeover};
	struct order order;
	struct error err;
	const char *wrong = r->key[0] == '\0' ? "the header Idempotency-Key is missing" : read_order(r->body, &order);

	if (wrong != NULL) {
		server_problem(ret_answer, 400, "%s", wrong);
		return;
	}
	if (idempotency_begin(&key, db, r->body, &err) != 0) {
		server_failure(ret_answer, s->log, &err);
	} else if (!key.owned) {
		*ret_answer = key.answer;
	} else {
		/* An owner before us may have died. All that it can have done is in the database, and not committed. */
		struct work w = {.request = r, .order = &order, .key = &key};
		answer_order(s, db, &w, ret_answer);
	}
}

static bool
is_uuid(const char *s)
{
	static const char pattern[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	for (size_t i = 0; i < sizeof(pattern); i++) {
		if (pattern[i] == 'x' ? s[i] == '\0' || strchr("0123456789abcdef", s[i]) == NULL : s[i] != pattern[i])
			return false;
	}
	return true;
}

static void
get_payment(void *ctx, struct database *db, const struct server_request *r, struct server_answer *ret_answer)
{
	const struct service *s = ctx;
	struct error err;

	if (!is_uuid(r->rest)) {
		server_problem(ret_answer, 404, "there is no such payment");
		return;
	}
	PGresult *res __attribute__((cleanup(database_clear))) =
		DATABASE_QUERY(db, &err,
	                       "SELECT p.customer, p.amount, p.currency, m.state, m.version"
	                       " FROM payment p CROSS JOIN LATERAL pgoutbox.machine_now('payment', p.id::text) m WHERE p.id = $1",
	                       r->rest);
	if (res == NULL)
		server_failure(ret_answer, s->log, &err);
	else if (PQntuples(res) == 0)
		server_problem(ret_answer, 404, "there is no such payment");
	else
		*ret_answer = (struct server_answer){
			.status = 200,
			.json = json_pack("{s:s, s:s, s:I, s:s, s:s, s:I}", "id", r->rest, "customer", PQgetvalue(res, 0, 0), "amount",
		                          (json_int_t)atoll(PQgetvalue(res, 0, 1)), "currency", PQgetvalue(res, 0, 2), "state",
		                          PQgetvalue(res, 0, 3), "version", (json_int_t)atoll(PQgetvalue(res, 0, 4))),
		};
}

static const struct server_route routes[] = {
	{"POST", "/payments", post_payment},
	{"GET", "/payments/", get_payment},
	{NULL, NULL, NULL},
};

int
main(int argc, char *argv[])
{
	const char *conninfo = NULL, *listen = "127.0.0.1:8080";
	int64_t threads = 8, takeover_s = 10;
	char takeover[32];
	struct log log;
	const struct option_row rows[] = {
		OPTION_TEXT("conninfo", &conninfo, "of the shop's database"),
		OPTION_TEXT("listen", &listen, "address and port"),
		OPTION_NUMBER("threads", &threads, 2, SERVER_THREADS_MAX, "each with a connection to the database"),
		OPTION_NUMBER("takeover", &takeover_s, 1, 3600, "seconds until a request that was not finished may be done again"),
		OPTION_END,
	};
	int status = options_parse(argc, argv, "Takes payments.", rows);

	if (status >= 0)
		return status;
	log_init(&log, STDERR_FILENO, LOG_INFO, LOG_FORMAT_LOGFMT);
	snprintf(takeover, sizeof(takeover), "%" PRId64 " seconds", takeover_s);
	return server_run(&(struct server_options){.listen = listen,
	                                           .conninfo = conninfo,
	                                           .threads = (unsigned)threads,
	                                           .routes = routes,
	                                           .ctx = &(struct service){.log = &log, .takeover = takeover},
	                                           .log = &log});
}
