/* provider.c - in: POST /charges; out: one charge for each Idempotency-Key, and a provider as difficult as real ones.
 *
 *	POST /charges		{"payment": text, "amount": 1250, "currency": "EUR"}
 *		200 {"charge": ID, "state": "charged"}, or "declined" where the amount ends in 13. 409, 503: ask again.
 *	GET /settlement		a line for each that was charged: payment, amount, currency
 *
 * Key, charge and answer are one transaction. A second request with the key waits for the first one's end, and a provider
 * that dies leaves nothing behind. Trouble begins after that: of the charges that are new, some are answered late, some
 * not at all, and some take the process with them. Which ones is drawn from the seed and the key.
 */
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "idempotency.h"
#include "options.h"
#include "server.h"

#define DECLINED_ENDING 13
#define TAKEOVER "1 minute" /* never needed: no key is committed before it is completed */

struct provider {
	const struct log *log;
	int64_t seed;
	int64_t late, silent, deadly; /* of 10000 new charges */
	int64_t late_ms;
};

struct order {
	const char *payment, *currency; /* within json */
	json_int_t amount;
	json_t *json;
};

struct work {
	const struct order *order;
	struct idempotency key;
	struct slice body;
	struct server_answer answer;
};

static int
charge(struct work *w, struct database *db, struct error *err)
{
	const struct order *o = w->order;
	const char *state = o->amount % 100 == DECLINED_ENDING ? "declined" : "charged";
	char amount[24];

	snprintf(amount, sizeof(amount), "%" JSON_INTEGER_FORMAT, o->amount);
	PGresult *res __attribute__((cleanup(database_clear))) =
		DATABASE_QUERY(db, err, "INSERT INTO charge (payment, amount, currency, state) VALUES ($1, $2, $3, $4) RETURNING id", o->payment,
	                       amount, o->currency, state);
	if (res == NULL)
		return -1;
	w->answer = (struct server_answer){.status = 200, .json = json_pack("{s:s, s:s}", "charge", PQgetvalue(res, 0, 0), "state", state)};
	return idempotency_complete(&w->key, db, &w->answer, err);
}

/* What an earlier try left in the answer is of no use. */
static int
charge_once(struct database *db, void *ctx, struct error *err)
{
	struct work *w = ctx;

	json_decref(w->answer.json);
	w->answer = (struct server_answer){0};
	if (idempotency_begin(&w->key, db, w->body, err) != 0)
		return -1;
	if (w->key.owned)
		return charge(w, db, err);
	w->answer = w->key.answer;
	return 0;
}

/* A number below 10000, evenly (FNV-1a, and the finish of splitmix64). */
static int64_t
draw(int64_t seed, const char *key)
{
	uint64_t h = UINT64_C(14695981039346656037) ^ (uint64_t)seed;

	for (; *key != '\0'; key++)
		h = (h ^ (unsigned char)*key) * UINT64_C(1099511628211);
	h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (int64_t)((h ^ (h >> 31)) % 10000);
}

/* Money has moved, and nobody may hear of it. */
static void
make_trouble(const struct provider *p, const char *key, struct server_answer *a)
{
	int64_t drawn = draw(p->seed, key);

	if (drawn < p->late)
		nanosleep(&(struct timespec){.tv_sec = p->late_ms / 1000, .tv_nsec = p->late_ms % 1000 * 1000000}, NULL);
	else if (drawn < p->late + p->silent)
		a->hang_up = true;
	else if (drawn < p->late + p->silent + p->deadly)
		raise(SIGKILL);
}

static bool
read_order(struct slice body, struct order *ret_order)
{
	struct order o = {.json = json_loadb(body.data, body.len, JSON_REJECT_DUPLICATES, NULL)};

	if (json_unpack_ex(o.json, NULL, JSON_STRICT, "{s:s, s:I, s:s}", "payment", &o.payment, "amount", &o.amount, "currency", &o.currency) == 0 &&
	    o.amount > 0) {
		*ret_order = o;
		return true;
	}
	json_decref(o.json);
	return false;
}

static void
post_charge(void *ctx, struct database *db, const struct server_request *r, struct server_answer *ret_answer)
{
	const struct provider *p = ctx;
	struct order order;
	struct error err;

	if (r->key[0] == '\0' || !read_order(r->body, &order)) {
		server_problem(ret_answer, 400, "a charge is {\"payment\": text, \"amount\": integer, \"currency\": text} with an Idempotency-Key");
		return;
	}
	struct work w = {.order = &order, .key = {.scope = "charges", .key = r->key, .takeover = TAKEOVER}, .body = r->body};
	if (database_transact(db, charge_once, &w, &err) != 0) {
		json_decref(w.answer.json);
		server_failure(ret_answer, p->log, &err);
	} else {
		*ret_answer = w.answer;
		if (w.key.owned)
			make_trouble(p, r->key, ret_answer);
	}
	json_decref(order.json);
}

static void
get_settlement(void *ctx, struct database *db, const struct server_request *r, struct server_answer *ret_answer)
{
	const struct provider *p = ctx;
	struct buf lines __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct error err;

	(void)r;
	PGresult *res __attribute__((cleanup(database_clear))) = database_query(
		db, &err, "SELECT payment, amount, currency FROM charge WHERE state = 'charged' ORDER BY created_at, id", 0, NULL);
	if (res == NULL) {
		server_failure(ret_answer, p->log, &err);
		return;
	}
	buf_add_str(&lines, "");
	for (int i = 0; i < PQntuples(res); i++)
		buf_printf(&lines, "%s %s %s\n", PQgetvalue(res, i, 0), PQgetvalue(res, i, 1), PQgetvalue(res, i, 2));
	*ret_answer = (struct server_answer){.status = 200, .text = buf_take(&lines)};
}

static const struct server_route routes[] = {
	{"POST", "/charges", post_charge},
	{"GET", "/settlement", get_settlement},
	{NULL, NULL, NULL},
};

int
main(int argc, char *argv[])
{
	const char *conninfo = NULL, *listen = "127.0.0.1:8081";
	int64_t threads = 16;
	struct log log;
	struct provider p = {.log = &log, .seed = 1, .late = 50, .silent = 50, .deadly = 0, .late_ms = 1000};
	const struct option_row rows[] = {
		OPTION_TEXT("conninfo", &conninfo, "of the provider's database"),
		OPTION_TEXT("listen", &listen, "address and port"),
		OPTION_NUMBER("threads", &threads, 2, SERVER_THREADS_MAX, "each with a connection to the database"),
		OPTION_NUMBER("seed", &p.seed, 0, INT64_MAX, "of the trouble"),
		OPTION_NUMBER("late", &p.late, 0, 10000, "of 10000 charges are answered late"),
		OPTION_NUMBER("late-ms", &p.late_ms, 0, 60000, "how late"),
		OPTION_NUMBER("silent", &p.silent, 0, 10000, "of 10000 charges are never answered"),
		OPTION_NUMBER("deadly", &p.deadly, 0, 10000, "of 10000 charges kill the provider before it answers"),
		OPTION_END,
	};
	int status = options_parse(argc, argv, "Charges payments, and is difficult about it.", rows);

	if (status >= 0)
		return status;
	log_init(&log, STDERR_FILENO, LOG_INFO, LOG_FORMAT_LOGFMT);
	return server_run(&(struct server_options){
		.listen = listen, .conninfo = conninfo, .threads = (unsigned)threads, .routes = routes, .ctx = &p, .log = &log});
}
