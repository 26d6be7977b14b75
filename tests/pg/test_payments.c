/* test_payments.c - examples/payments: the service, the provider and the client, each a process, on a real PostgreSQL. */
#include <CUnit/CUnit.h>
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fetch.h"
#include "support/db.h"
#include "support/kit.h"
#include "support/proc.h"
#include "support/sandbox.h"
#include "support/tap.h"

enum { PATIENCE_MS = 30000 };

#define ORDER "{\"customer\": \"c1\", \"amount\": 1250, \"currency\": \"EUR\"}"
#define OTHER "{\"customer\": \"c1\", \"amount\": 1251, \"currency\": \"EUR\"}"
#define CHARGE "{\"payment\": \"p1\", \"amount\": 1250, \"currency\": \"EUR\"}"

/* A server on a database that has its schema. */
struct stage {
	struct sandbox sb;
	struct proc proc;
	char dir[64];
	int starts;
	char url[64];
	struct fetch *fetch;
	struct fetch_answer answer; /* of the last request */
};

static void
leave(struct stage *s)
{
	fetch_free(&s->fetch);
	fetch_answer_done(&s->answer);
	proc_kill(&s->proc);
	if (s->dir[0] != '\0')
		free(sandbox_program("rm", (const char *const[]){"-r", s->dir, NULL}));
	sandbox_end(&s->sb);
}

static void
install(struct stage *s, const char *schema)
{
	const char *top = getenv("srcdir");
	char path[512], role[80], relay[80];

	snprintf(path, sizeof(path), "%s/examples/payments/%s", top != NULL ? top : ".", schema);
	snprintf(role, sizeof(role), "role=%s", s->sb.name);
	snprintf(relay, sizeof(relay), "relay=%s", s->sb.name);
	char *output = sandbox_program("psql", (const char *const[]){"-X", "-q", "-d", s->sb.super, "-v", role, "-v", relay, "-f", path, NULL});
	TAP_STR(output, "");
	free(output);
}

/* options: pairs of name and value. */
static void
start(struct stage *s, const char *program, const char *const options[])
{
	const char *top = getenv("builddir"), *argv[16];
	char path[512], log_path[80];
	struct error err;
	size_t count = 0;

	snprintf(path, sizeof(path), "%s/examples/payments/%s", top != NULL ? top : ".", program);
	const char *const always[] = {path, "--conninfo", s->sb.role, "--listen", "127.0.0.1:0", NULL};
	for (size_t i = 0; always[i] != NULL; i++)
		argv[count++] = always[i];
	for (size_t i = 0; options[i] != NULL; i++)
		argv[count++] = options[i];
	argv[count] = NULL;
	snprintf(log_path, sizeof(log_path), "%s/log-%d", s->dir, s->starts++);
	SANDBOX_MUST(proc_start(&s->proc, log_path, argv, &err), &err);
	SANDBOX_MUST(proc_wait_text(&s->proc, "msg=\"port ", PATIENCE_MS, &err), &err);
	char *log = proc_log_text(&s->proc);
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%d", atoi(strstr(log, "msg=\"port ") + strlen("msg=\"port ")));
	free(log);
	fetch_free(&s->fetch);
	SANDBOX_MUST(fetch_new(s->url, &s->fetch, &err), &err);
}

static bool
enter(struct stage *s, const char *schema, const char *program, const char *const options[])
{
	if (!sandbox_begin(&s->sb))
		return false;
	snprintf(s->dir, sizeof(s->dir), "/tmp/pgoutbox-payments.XXXXXX");
	if (mkdtemp(s->dir) == NULL)
		CU_FAIL_FATAL("mkdtemp");
	install(s, schema);
	start(s, program, options);
	return true;
}

#define STAGE(s, schema, program, ...)                                                               \
	struct stage s __attribute__((cleanup(leave))) = {.proc = PROC_NONE, .answer = FETCH_ANSWER_INIT}; \
	if (!enter(&s, schema, program, (const char *const[]){__VA_ARGS__, NULL}))                    \
	return
#define SERVICE(s, ...) STAGE(s, "schema-shop.sql", "payments-service", "--threads", "4", __VA_ARGS__)
#define PROVIDER(s, ...) STAGE(s, "schema-provider.sql", "payments-provider", "--threads", "4", __VA_ARGS__)

/* The status; 0 where there was no answer. */
static long
post(struct stage *s, const char *path, const char *key, const char *body, int64_t timeout_ms)
{
	struct error err;

	return fetch_post(s->fetch, path, key, body, timeout_ms, &s->answer, &err) == 0 ? s->answer.status : 0;
}

static long
pay(struct stage *s, const char *key, const char *body)
{
	return post(s, "/payments", key, body, PATIENCE_MS);
}

static long
get(struct stage *s, const char *path)
{
	struct error err;

	SANDBOX_MUST(fetch_get(s->fetch, path, PATIENCE_MS, &s->answer, &err), &err);
	return s->answer.status;
}

static char *
said(const struct stage *s)
{
	return strdup(buf_str(&s->answer.body));
}

/* One payment, with all that belongs to it; so many altogether. */
static void
check_books(struct stage *s, int64_t payments)
{
	TAP_INT(sandbox_int(s->sb.db, "SELECT count(*) FROM payment"), payments);
	TAP_INT(sandbox_int(s->sb.db, "SELECT count(*) FROM outbox_events e JOIN payment p ON e.aggregate_id = p.id::text"
	                              " WHERE event_type = 'payment.reserved' AND payload->>'payment' = aggregate_id"
	                              " AND (payload->>'amount')::bigint = p.amount AND payload->>'version' = '1'"), payments);
	TAP_INT(sandbox_int(s->sb.db, "SELECT count(*) FROM pgoutbox.machine_items i JOIN payment p ON i.item = p.id::text WHERE state = 'reserved'"),
	        payments);
	TAP_INT(sandbox_int(s->sb.db, "SELECT pgoutbox.ledger_balance('held EUR') - coalesce((SELECT sum(amount) FROM payment), 0)"), 0);
	TAP_INT(sandbox_int(s->sb.db, "SELECT count(*) FROM pgoutbox.ledger_verify()"), 0);
}

static void
four_answers(void)
{
	SERVICE(s, "--takeover", "3600");

	TAP_INT(pay(&s, "k", ORDER), 201);
	char *first = said(&s);
	TAP_HAS(first, "\"state\":\"reserved\"");
	TAP_INT(pay(&s, "k", ORDER), 201);
	TAP_STR(buf_str(&s.answer.body), first);
	TAP_INT(pay(&s, "k", OTHER), 422);
	TAP_HAS(buf_str(&s.answer.body), "\"status\":422");
	check_books(&s, 1);
	/* somebody else is at it, and then is not heard of any more */
	sandbox_exec(s.sb.db, "SELECT pgoutbox.idempotency_begin('payments', 'slow', encode(sha256('" ORDER "'), 'hex'))");
	TAP_INT(pay(&s, "slow", ORDER), 409);
	TAP_INT(s.answer.retry_after_s, 1);
	check_books(&s, 1);
	sandbox_exec(s.sb.db, "UPDATE pgoutbox.idempotency_keys SET deadline = clock_timestamp() WHERE key = 'slow'");
	TAP_INT(pay(&s, "slow", ORDER), 201);
	CU_ASSERT(strcmp(buf_str(&s.answer.body), first) != 0);
	check_books(&s, 2);
	TAP_STR(kit_ask(s.sb.db, "SELECT concat_ws(' ', duplicates, conflicts, in_progress, takeovers) FROM pgoutbox.idempotency_counts"), "1 1 1 1");
	free(first);
}

/* A refusal stays one, whatever comes into the account. */
static void
refusals(void)
{
	SERVICE(s, "--takeover", "3600");

	TAP_INT(pay(&s, "much", "{\"customer\": \"c1\", \"amount\": 1000001, \"currency\": \"EUR\"}"), 402);
	TAP_INT(pay(&s, "all", "{\"customer\": \"c1\", \"amount\": 1000000, \"currency\": \"EUR\"}"), 201);
	TAP_INT(pay(&s, "poor", ORDER), 402);
	char *refused = said(&s);
	sandbox_exec(s.sb.db, "SELECT pgoutbox.ledger_post('more', '[{\"account\": \"funding EUR\", \"amount\": -1250},"
	                      " {\"account\": \"customer c1 EUR\", \"amount\": 1250}]')");
	TAP_INT(pay(&s, "poor", ORDER), 402);
	TAP_STR(buf_str(&s.answer.body), refused);
	TAP_INT(pay(&s, "richer", ORDER), 201);
	TAP_INT(pay(&s, "nobody", "{\"customer\": \"c101\", \"amount\": 1, \"currency\": \"EUR\"}"), 404);
	TAP_INT(pay(&s, "dollars", "{\"customer\": \"c2\", \"amount\": 1, \"currency\": \"USD\"}"), 404);
	check_books(&s, 2);
	TAP_INT(sandbox_int(s.sb.db, "SELECT count(*) FROM pgoutbox.idempotency_keys WHERE state = 'in_progress'"), 0);
	free(refused);
}

static void
bad_requests(void)
{
	static const char *const bodies[] = {
		"", "{", "[]", "{\"customer\": \"c1\", \"amount\": 1}",
		"{\"customer\": \"c1\", \"amount\": 0, \"currency\": \"EUR\"}",
		"{\"customer\": \"c1\", \"amount\": 1.5, \"currency\": \"EUR\"}",
		"{\"customer\": \"c1\", \"amount\": \"1\", \"currency\": \"EUR\"}",
		"{\"customer\": \"c1\", \"amount\": 1000000001, \"currency\": \"EUR\"}",
		"{\"customer\": \"c1\", \"amount\": 1, \"currency\": \"eur\"}",
		"{\"customer\": \"c 1\", \"amount\": 1, \"currency\": \"EUR\"}",
		"{\"customer\": \"\", \"amount\": 1, \"currency\": \"EUR\"}",
		"{\"customer\": \"c1\", \"amount\": 1, \"currency\": \"EUR\", \"tip\": 1}",
		"{\"customer\": \"c1\", \"amount\": 1, \"amount\": 2, \"currency\": \"EUR\"}",
	};
	SERVICE(s, "--takeover", "3600");
	char key[300], body[10000];

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		TAP_INT(pay(&s, "k", bodies[i]), 400);
	TAP_INT(pay(&s, "", ORDER), 400);
	memset(key, 'k', sizeof(key));
	key[sizeof(key) - 1] = '\0';
	TAP_INT(pay(&s, key, ORDER), 400);
	TAP_INT(pay(&s, "k\xc3\xa4", ORDER), 400);
	memset(body, ' ', sizeof(body));
	body[sizeof(body) - 1] = '\0';
	TAP_INT(pay(&s, "k", body), 413);
	TAP_INT(post(&s, "/payment", "k", ORDER, PATIENCE_MS), 404);
	TAP_INT(get(&s, "/payments"), 405);
	TAP_INT(get(&s, "/payments/x"), 404);
	TAP_INT(get(&s, "/payments/00000000-0000-0000-0000-00000000000-"), 404);
	TAP_INT(get(&s, "/payments/00000000-0000-0000-0000-000000000000"), 404);
	TAP_INT(sandbox_int(s.sb.db, "SELECT count(*) FROM pgoutbox.idempotency_keys"), 0);
	TAP_INT(pay(&s, "k", ORDER), 201);
	char *id = sandbox_text(s.sb.db, "SELECT '/payments/' || id FROM payment");
	TAP_INT(get(&s, id), 200);
	TAP_HAS(buf_str(&s.answer.body), "\"state\":\"reserved\",\"version\":1");
	free(id);
}

/* What the request is called goes with its event. */
static void
followed(void)
{
	SERVICE(s, "--takeover", "3600");
	CURL *curl = curl_easy_init();
	struct curl_slist *headers = NULL;
	char url[128];
	static const char *const lines[] = {"Idempotency-Key: k", "X-Request-Id: r-1", "traceparent: 00-1-2-01"};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		headers = curl_slist_append(headers, lines[i]);
	snprintf(url, sizeof(url), "%s/payments", s.url);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, ORDER);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)PATIENCE_MS);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, fwrite);
	FILE *nowhere = fopen("/dev/null", "w");
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, nowhere);
	TAP_INT(curl_easy_perform(curl), CURLE_OK);
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	fclose(nowhere);
	TAP_STR(kit_ask(s.sb.db, "SELECT concat_ws(' ', headers->>'request_id', headers->>'traceparent') FROM outbox_events"), "r-1 00-1-2-01");
	/* and not with that of the next request on the same connection */
	TAP_INT(pay(&s, "k2", ORDER), 201);
	TAP_INT(sandbox_int(s.sb.db, "SELECT count(*) FROM outbox_events WHERE headers IS NULL"), 1);
}

/* The connection goes in the middle of the transaction. The key is given up, or this would take an hour. */
static void
lost_connection(void)
{
	SERVICE(s, "--takeover", "3600");
	PGconn *holder __attribute__((cleanup(db_close))) = sandbox_open(s.sb.super);
	int64_t until_us = clock_mono_us() + PATIENCE_MS * INT64_C(1000);
	long status;

	sandbox_exec(holder, "BEGIN; SELECT FROM pgoutbox.ledger_accounts WHERE account = 'customer c1 EUR' FOR UPDATE");
	TAP_INT(post(&s, "/payments", "k", ORDER, 100), 0);
	while (sandbox_int(s.sb.db, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
	                            " WHERE cardinality(pg_blocking_pids(pid)) > 0 AND datname = current_database()") == 0 &&
	       clock_mono_us() < until_us)
		proc_sleep_ms(5);
	sandbox_exec(holder, "COMMIT");
	while ((status = pay(&s, "k", ORDER)) != 201 && clock_mono_us() < until_us) {
		CU_ASSERT(status == 409 || status == 503);
		proc_sleep_ms(5);
	}
	TAP_INT(status, 201);
	check_books(&s, 1);
	/* all connections, while nothing is under way */
	sandbox_exec(s.sb.db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '%s'", s.sb.name);
	while ((status = pay(&s, "k2", ORDER)) == 503 && clock_mono_us() < until_us)
		proc_sleep_ms(5);
	TAP_INT(status, 201);
	check_books(&s, 2);
	TAP_INT(proc_terminate(&s.proc, PATIENCE_MS), 0);
}

static char *
run_client(struct stage *s, const char *record)
{
	const char *top = getenv("builddir");
	char path[512], *output = NULL;

	snprintf(path, sizeof(path), "%s/examples/payments/payments-client", top != NULL ? top : ".");
	TAP_INT(proc_run((const char *const[]){path, "--url", s->url, "--payments", "120", "--threads", "8", "--customers", "10", "--record", record, NULL},
	                 60000, &output), 0);
	return output;
}

/* All that the client does to it, and then all of it once more: the second answers are those of the first. */
static void
impatient_client(void)
{
	SERVICE(s, "--takeover", "3600");
	char record[128];

	snprintf(record, sizeof(record), "%s/record", s.dir);
	sandbox_exec(s.sb.db, "CREATE TABLE answer (key text, status int, payment text, customer text, amount bigint, currency text, kind text, tries int)");
	for (int i = 0; i < 2; i++) {
		char *output = run_client(&s, record);
		TAP_HAS(output, "120 payments: ");
		TAP_HAS(output, " 0 wrong answers");
		free(output);
		char copy[256];
		snprintf(copy, sizeof(copy), "\\copy answer from '%s'", record);
		free(sandbox_program("psql", (const char *const[]){"-X", "-q", "-d", s.sb.super, "-c", copy, NULL}));
	}
	check_books(&s, sandbox_int(s.sb.db, "SELECT count(DISTINCT payment) FROM answer WHERE status = 201"));
	TAP_INT(sandbox_int(s.sb.db, "SELECT count(*) FROM answer WHERE kind = 'first'"), 240);
	TAP_INT(sandbox_int(s.sb.db, "SELECT count(DISTINCT (key, status, payment)) FROM answer WHERE kind <> 'reused'"), 120);
	TAP_INT(sandbox_int(s.sb.db, "SELECT count(*) FROM answer WHERE kind = 'reused' AND status <> 422"), 0);
	CU_ASSERT(sandbox_int(s.sb.db, "SELECT count(DISTINCT kind) FROM answer") == 4);
	CU_ASSERT(sandbox_int(s.sb.db, "SELECT count(*) FROM answer WHERE status = 402") > 0);
	TAP_INT(sandbox_int(s.sb.db, "SELECT count(*) FROM answer a JOIN payment p ON a.payment = p.id::text"
	                             " WHERE (a.customer, a.amount) IS DISTINCT FROM (p.customer, p.amount)"), 0);
}

static long
order_charge(struct stage *s, const char *key, const char *body, int64_t timeout_ms)
{
	return post(s, "/charges", key, body, timeout_ms);
}

static void
one_charge(void)
{
	PROVIDER(s, "--late", "0", "--silent", "0");

	TAP_INT(order_charge(&s, "k", CHARGE, PATIENCE_MS), 200);
	char *first = said(&s);
	TAP_HAS(first, "\"state\":\"charged\"");
	TAP_INT(order_charge(&s, "k", CHARGE, PATIENCE_MS), 200);
	TAP_STR(buf_str(&s.answer.body), first);
	TAP_INT(order_charge(&s, "k", "{\"payment\": \"p1\", \"amount\": 1, \"currency\": \"EUR\"}", PATIENCE_MS), 422);
	TAP_INT(order_charge(&s, "k2", "{\"payment\": \"p2\", \"amount\": 113, \"currency\": \"EUR\"}", PATIENCE_MS), 200);
	TAP_HAS(buf_str(&s.answer.body), "\"state\":\"declined\"");
	TAP_INT(order_charge(&s, "k3", "{\"payment\": \"p3\", \"amount\": 0, \"currency\": \"EUR\"}", PATIENCE_MS), 400);
	TAP_INT(order_charge(&s, "", CHARGE, PATIENCE_MS), 400);
	TAP_INT(get(&s, "/settlement"), 200);
	TAP_STR(buf_str(&s.answer.body), "p1 1250 EUR\n");
	TAP_INT(proc_terminate(&s.proc, PATIENCE_MS), 0);
	free(first);
}

/* How it withholds its answer: the money has moved all the same, and does so once. */
static void
withheld(const char *how, bool dies)
{
	PROVIDER(s, how, "10000", strcmp(how, "--silent") == 0 ? "--late" : "--silent", "0", "--late-ms", "60000");

	TAP_INT(order_charge(&s, "k", CHARGE, strcmp(how, "--late") == 0 ? 1000 : PATIENCE_MS), 0);
	if (dies) {
		TAP_INT(proc_wait(&s.proc, PATIENCE_MS), 128 + SIGKILL);
		start(&s, "payments-provider", (const char *const[]){"--threads", "4", NULL});
	}
	TAP_INT(sandbox_int(s.sb.db, "SELECT count(*) FROM charge"), 1);
	TAP_INT(order_charge(&s, "k", CHARGE, PATIENCE_MS), 200);
	TAP_INT(sandbox_int(s.sb.db, "SELECT count(*) FROM charge"), 1);
}

static void
late(void)
{
	withheld("--late", false);
}

static void
silent(void)
{
	withheld("--silent", false);
}

static void
deadly(void)
{
	withheld("--deadly", true);
}

int
main(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
	tap_suite("payments");
	tap_test("service: new, completed, conflict, in progress, and taken over", four_answers);
	tap_test("service: a refusal is as final as a payment", refusals);
	tap_test("service: what is no payment", bad_requests);
	tap_test("service: the event carries the request's id", followed);
	tap_test("service: the connection to the database is lost", lost_connection);
	tap_test("client: sends everything again, and is answered the same", impatient_client);
	tap_test("provider: one charge for a key", one_charge);
	tap_test("provider: answers late", late);
	tap_test("provider: does not answer", silent);
	tap_test("provider: dies before it answers", deadly);
	int status = tap_run();
	curl_global_cleanup();
	return status;
}
