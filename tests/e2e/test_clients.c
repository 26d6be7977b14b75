/* test_clients.c - the clients of examples/clients, in each language that is here: what one emits arrives, and is consumed once
 * though it is delivered twice. support/clients.sh fetches and builds; what cannot be had is skipped with the reason. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/db.h"
#include "support/env.h"
#include "support/kit.h"
#include "support/tap.h"

/* go is last: where nothing is cached its build takes longest, and goes on beside the others' tests. */
enum { PYTHON, NODE, JAVA, GO, LANGUAGES };
enum { READY_MS = 90000, CLIENT_MS = 150000, SKIPPED = 77 };

static const char *const names[LANGUAGES] = {"python", "node", "java", "go"};
static struct proc makers[LANGUAGES];
static char dirs[LANGUAGES][64], logs[LANGUAGES][80];

static struct env env;
static char application[64]; /* the role that the client is */

static const char *
script(void)
{
	const char *srcdir = getenv("srcdir");
	static char path[512];

	snprintf(path, sizeof(path), "%s/tests/support/clients.sh", srcdir != NULL ? srcdir : ".");
	return path;
}

/* Without servers there is nothing to do with them. All at once, since most of it is waiting. */
static void
make_clients(void)
{
	for (int i = 0; i < LANGUAGES && getenv("PGOUTBOX_TEST_KAFKA") != NULL; i++) {
		const char *const argv[] = {script(), "ready", names[i], dirs[i], NULL};
		struct error err;

		snprintf(dirs[i], sizeof(dirs[i]), "/tmp/pgoutbox-client.XXXXXX");
		if (mkdtemp(dirs[i]) == NULL)
			abort();
		snprintf(logs[i], sizeof(logs[i]), "%.63s/ready.log", dirs[i]);
		if (proc_start(&makers[i], logs[i], argv, &err) == -1)
			abort();
	}
}

static void
remove_clients(void)
{
	for (int i = 0; i < LANGUAGES && dirs[i][0] != '\0'; i++) {
		const char *const argv[] = {"rm", "-rf", dirs[i], NULL};
		char *output;

		(void)proc_terminate(&makers[i], 10000);
		(void)proc_run(argv, 10000, &output);
		free(output);
	}
}

/* False, and the test is skipped, where the client cannot be had. */
static bool
client_is_ready(int language)
{
	int status = proc_wait(&makers[language], READY_MS);
	char *text = proc_log_text(&makers[language]);
	size_t len = strlen(text);

	if (len > 0 && text[len - 1] == '\n')
		text[len - 1] = '\0';
	if (status == SKIPPED)
		tap_skip("%s", strrchr(text, '\n') != NULL ? strrchr(text, '\n') + 1 : text);
	else if (status != 0)
		tap_diag("%s", text);
	free(text);
	CU_ASSERT_FATAL(status == 0 || status == SKIPPED);
	return status == 0;
}

static void
end(void)
{
	if (env.db != NULL && application[0] != '\0')
		env_exec(&env, "DROP OWNED BY %s; DROP ROLE %s", application, application);
	application[0] = '\0';
	env_end(&env);
}

/* A role with the rights that the kits and the example's schema give, and what the clients take from their environment. */
static void
prepare_application(const char *topic)
{
	char role[64], url[256];
	struct sandbox sb = {.super = env.super, .db = env.db};

	snprintf(role, sizeof(role), "%s_app", env.name);
	env_exec(&env, "CREATE ROLE %s LOGIN", role);
	memcpy(application, role, sizeof(role));
	memcpy(sb.name, role, strlen(role) + 1);
	kit_install(&sb, "kit-outbox.sql");
	kit_install(&sb, "kit-inbox.sql");
	kit_install(&sb, "../examples/clients/schema.sql");
	snprintf(url, sizeof(url), "postgresql://127.0.0.1:%s/%s?user=%s", getenv("PGOUTBOX_TEST_PGPORT"), env.name, role);
	setenv("LC_ALL", "C.UTF-8", 1); /* Java reads its arguments by it */
	setenv("DATABASE_URL", url, 1);
	setenv("KAFKA_BROKERS", env.kafka, 1);
	setenv("KAFKA_TOPIC", topic, 1);
}

static void
run(int language, int expected, const char *text, const char *const words[])
{
	const char *argv[9] = {script(), "run", names[language], dirs[language]};
	char *output;

	for (int i = 0; words[i] != NULL; i++)
		argv[4 + i] = words[i];
	int status = proc_run(argv, CLIENT_MS, &output);
	if (status != expected || strstr(output, text) == NULL)
		tap_diag("%s %s: status %d: %s", names[language], words[0], status, output);
	TAP_INT(status, expected);
	TAP_HAS(output, text);
	free(output);
}

static void
emit(int language, int expected, const char *account, const char *amount, const char *request_id)
{
	const char *const words[] = {"emit", account, amount, request_id, NULL};

	run(language, expected, expected == 0 ? "emitted " : "refused", words);
}

/* Ends after so many messages; the 120 seconds are for one that does not get them, whose counts then are wrong. */
static void
consume(int language, const char *group, int messages, int expected, const char *text)
{
	char count[12];
	const char *const words[] = {"consume", count, "120", NULL};

	snprintf(count, sizeof(count), "%d", messages);
	setenv("KAFKA_GROUP", group, 1);
	run(language, expected, text, words);
}

/* A trigger that refuses rows of which this is true. */
static void
refuse(const char *table, const char *condition)
{
	env_exec(&env, "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$refused$$; END';"
	               "CREATE TRIGGER refuse BEFORE INSERT ON %s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION refuse()",
	         table, condition);
}

static void
refuse_no_more(void)
{
	env_exec(&env, "DROP FUNCTION refuse() CASCADE");
}

/* What comes after the change fails: the change is gone too. */
static void
events_are_emitted(int language)
{
	emit(language, 0, "alice", "100", "r1");
	emit(language, 0, "bob", "200", "o'r2-\303\266");
	emit(language, 0, "alice", "300", "r3");
	refuse("outbox_events", "NEW.payload->>'amount' = '13'");
	emit(language, 1, "bob", "13", "r4");
	refuse_no_more();
	TAP_INT(env_int(&env, "SELECT balance FROM account WHERE id = 'alice'"), 99600);
	TAP_INT(env_int(&env, "SELECT balance FROM account WHERE id = 'bob'"), 99800);
	env_wait_int(&env, 3, 60000, "SELECT count(*) FROM outbox_events WHERE sent_at IS NOT NULL");
	TAP_INT(env_int(&env, "SELECT count(*) FROM outbox_events"), 3);
}

/* The consumer fails at a message. It comes again, and those before it do not. */
static void
a_failure_leaves_the_message(int language)
{
	char counts[64];
	int done;

	refuse("statement", "NEW.amount = 300");
	consume(language, "first", 3, 1, "refused");
	refuse_no_more();
	done = (int)env_int(&env, "SELECT count(*) FROM statement");
	CU_ASSERT(done >= 1 && done <= 2);
	TAP_INT(env_int(&env, "SELECT count(*) FROM pgoutbox.processed_messages"), done);
	snprintf(counts, sizeof(counts), "%d new, 0 duplicates", 3 - done);
	consume(language, "first", 3 - done, 0, counts);
}

/* Another group gets all messages again; the inbox knows them. */
static void
all_come_again(int language)
{
	consume(language, "second", 3, 0, "0 new, 3 duplicates");
	TAP_INT(env_int(&env, "SELECT duplicates FROM pgoutbox.inbox_counts WHERE consumer = 'statements'"), 3);
	TAP_INT(env_int(&env, "SELECT count(*) FROM pgoutbox.processed_messages p JOIN outbox_events e ON p.message_id = e.event_id::text"), 3);
}

static void
a_client(int language)
{
	struct env_config cfg = {.conninfo = NULL};

	if (getenv("PGOUTBOX_TEST_PGPORT") == NULL) {
		tap_skip("not every driver can use a UNIX-domain socket, and PGOUTBOX_TEST_PGPORT is not set");
		return;
	}
	if (!env_begin(&env) || !client_is_ready(language))
		return;
	env_init(&env, &cfg);
	prepare_application(env_topic(&env, "account"));
	env_daemon_start(&env, 0, &cfg);
	events_are_emitted(language);
	a_failure_leaves_the_message(language);
	all_come_again(language);
	TAP_INT(env_int(&env, "SELECT count(*) FROM statement"), 3);
	TAP_INT(env_int(&env, "SELECT count(*) FROM statement WHERE (account, amount, request_id) IN"
	                      " (('alice', 100, 'r1'), ('bob', 200, 'o''r2-\303\266'), ('alice', 300, 'r3'))"), 3);
	env_daemon_stop(&env, 0);
}

static void
python(void)
{
	a_client(PYTHON);
}

static void
node(void)
{
	a_client(NODE);
}

static void
java(void)
{
	a_client(JAVA);
}

static void
go(void)
{
	a_client(GO);
}

int
main(void)
{
	int status;

	make_clients();
	tap_suite_fixture("clients", NULL, end);
	tap_test("Python with psycopg and confluent-kafka", python);
	tap_test("Node with pg and kafkajs", node);
	tap_test("Java with JDBC and kafka-clients", java);
	tap_test("Go with pgx and franz-go", go);
	status = tap_run();
	remove_clients();
	return status;
}
