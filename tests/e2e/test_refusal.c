/* test_refusal.c - what cannot work is refused with status 78 and a word on what to do; what can heal is waited for. */
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/db.h"
#include "support/env.h"
#include "support/ports.h"
#include "support/tap.h"

enum { EX_BAD_CONFIG = 78 };

static struct env env;
static struct proc pooler;

static void
end(void)
{
	proc_kill(&pooler);
	env_end(&env);
}

static void
no_table(void)
{
	struct env_config cfg = {.conninfo = NULL};

	if (env_begin(&env))
		env_daemon_refuses(&env, &cfg, EX_BAD_CONFIG, "there is no table \\\"outbox_events\\\"", "pgoutboxctl init");
}

/* The table is right but for what the statement changes. */
static void
after(const char *change, const char *text, const char *hint)
{
	struct env_config cfg = {.conninfo = NULL};

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	env_exec(&env,
	    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type) VALUES ('a', 'k', 'e')");
	env_exec(&env, "DO $$ BEGIN EXECUTE %s; END $$", change);
	env_daemon_refuses(&env, &cfg, EX_BAD_CONFIG, text, hint);
	TAP_INT(env_int(&env, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL"), 1);
}

static void
wrong_payload_type(void)
{
	after("'ALTER TABLE outbox_events ALTER payload TYPE integer USING 0'", "has type integer",
	    "outbox.columns.payload");
}

static void
missing_column(void)
{
	after("'ALTER TABLE outbox_events DROP headers'", "has no column \\\"headers\\\"", "outbox.columns.headers");
}

static void
missing_index(void)
{
	after("(SELECT format('DROP INDEX %I', claim_index) FROM pgoutbox.outbox)", "is missing", "pgoutboxctl init");
}

static void
missing_grant(void)
{
	after("format('REVOKE UPDATE (sent_at) ON outbox_events FROM %I', current_database())", "may not update",
	    "pgoutboxctl init");
}

static void
role_without_rights(void)
{
	struct env_config cfg = {.conninfo = NULL};
	char user[64], *stranger;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	snprintf(user, sizeof(user), "%s_stranger", env.name);
	env_exec(&env, "CREATE ROLE %s LOGIN", user);
	stranger = db_conninfo(env.super, "user", user, NULL);
	cfg.conninfo = stranger;
	env_daemon_refuses(&env, &cfg, EX_BAD_CONFIG, user, "pgoutboxctl init");
	free(stranger);
	env_exec(&env, "DROP ROLE %s", user);
}

static void
refuses_password_file(const char *path, const char *text)
{
	char lines[256];
	struct env_config cfg = {.database_lines = lines};

	snprintf(lines, sizeof(lines), "  password_file: %s\n", path);
	env_daemon_refuses(&env, &cfg, EX_BAD_CONFIG, text, "password_file");
}

static void
unreadable_password_file(void)
{
	char path[160];

	if (!env_begin(&env))
		return;
	env_init(&env, &(struct env_config){.conninfo = NULL});
	refuses_password_file(env.dir, "is a directory");
	snprintf(path, sizeof(path), "%s/password", env.dir);
	refuses_password_file(path, "create it, or correct the path");
	if (geteuid() == 0)
		return; /* whom no mode keeps out */
	fclose(fopen(path, "we"));
	chmod(path, 0);
	refuses_password_file(path, "must be able to read it");
}

static void
broken_promises(void)
{
	static const struct {
		const char *lines, *name;
	} bad[] = {
	    {"  properties:\n    acks: 1\n", "acks"},
	    {"  properties:\n    enable.idempotence: false\n", "enable.idempotence"},
	    {"  properties:\n    message.timeout.ms: 30000\n", "message.timeout.ms"},
	    {"  properties:\n    no.such.property: 1\n", "no.such.property"},
	};

	if (!env_begin(&env))
		return;
	env_init(&env, &(struct env_config){.conninfo = NULL});
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct env_config cfg = {.kafka_lines = bad[i].lines};

		env_daemon_refuses(&env, &cfg, EX_BAD_CONFIG, bad[i].name, "kafka.properties");
	}
}

static void
unknown_options(void)
{
	struct env_config cfg = {.outbox_lines = "  bach_rows: 10\n  lanes: 0\n"};

	if (!env_begin(&env))
		return;
	env_daemon_refuses(&env, &cfg, EX_BAD_CONFIG, "batch_rows", "lanes");
}

/* PgBouncer does not run as root; it may be told to become somebody else. */
static void
start_pooler(int port)
{
	const char *as_root[] = {"/usr/sbin/pgbouncer", "-u", "postgres", NULL, NULL};
	const char *as_user[] = {"/usr/sbin/pgbouncer", NULL, NULL};
	char ini[192], log[192];
	struct error err;
	FILE *out;

	snprintf(ini, sizeof(ini), "%s/pgbouncer.ini", env.dir);
	snprintf(log, sizeof(log), "%s/pgbouncer.log", env.dir);
	out = fopen(ini, "we");
	CU_ASSERT_FATAL(out != NULL);
	fprintf(out,
	    "[databases]\n* = host=127.0.0.1 port=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\n"
	    "unix_socket_dir =\nauth_type = trust\nauth_file = %s/users\npool_mode = transaction\ndefault_pool_size = 3\n",
	    getenv("PGOUTBOX_TEST_PGPORT"), port, env.dir);
	fclose(out);
	snprintf(ini, sizeof(ini), "%s/users", env.dir);
	out = fopen(ini, "we");
	CU_ASSERT_FATAL(out != NULL);
	fprintf(out, "\"%s\" \"\"\n", env.name);
	fclose(out);
	snprintf(ini, sizeof(ini), "%s/pgbouncer.ini", env.dir);
	chmod(env.dir, 0755);
	as_root[3] = ini;
	as_user[1] = ini;
	ENV_MUST(proc_start(&pooler, log, geteuid() == 0 ? as_root : as_user, &err), &err);
	ENV_MUST(proc_wait_text(&pooler, "process up", 60000, &err), &err);
}

static void
pooler_in_transaction_mode(void)
{
	struct env_config cfg = {.conninfo = NULL};
	char port[8], *through;

	if (access("/usr/sbin/pgbouncer", X_OK) != 0 || getenv("PGOUTBOX_TEST_PGPORT") == NULL) {
		tap_skip("pgbouncer is not installed");
		return;
	}
	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	snprintf(port, sizeof(port), "%d", ports_take());
	start_pooler(atoi(port));
	through = db_conninfo(env.conninfo, "host", "127.0.0.1", "port", port, NULL);
	cfg.conninfo = through;
	env_daemon_refuses(&env, &cfg, EX_BAD_CONFIG, "pooler", "session mode");
	free(through);
}

/* A port that takes connections and never answers. */
static int
deaf_listener(int *ret_port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_FATAL(fd >= 0 && bind(fd, (struct sockaddr *)&addr, len) == 0 && listen(fd, 16) == 0 &&
	    getsockname(fd, (struct sockaddr *)&addr, &len) == 0);
	*ret_port = ntohs(addr.sin_port);
	return fd;
}

static void
expect_page(const char *path, int status, const char *text)
{
	char *body;

	TAP_INT(env_get(&env, 0, path, &body), status);
	TAP_HAS(body, text);
	free(body);
}

static void
says_that_kafka_is_away(void)
{
	struct error err;

	ENV_MUST(proc_wait_text(&env.daemons[0], "id=kafka-outage-begin", 60000, &err), &err);
	proc_sleep_ms(2000);
	CU_ASSERT(proc_running(&env.daemons[0]));
	expect_page("/livez", 200, "");
	expect_page("/readyz?verbose", 200, "kafka");
	TAP_INT((int)env_metric(&env, 0, "pgoutbox_up{outbox=\"outbox_events\",side=\"kafka\"}"), 0);
	TAP_INT((int)env_metric(&env, 0, "pgoutbox_up{outbox=\"outbox_events\",side=\"postgresql\"}"), 1);
	CU_ASSERT(env_metric(&env, 0,
	              "pgoutbox_outage_since_timestamp_seconds{outbox=\"outbox_events\",side=\"kafka\"}") > 0);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_events_sent_total") <= 0);
}

/* An outage makes the daemon unready only once it has lasted: most end before anybody need know. */
static void
becomes_unready(void)
{
	char *body;

	for (int i = 0; i < 450 && env_get(&env, 0, "/readyz", &body) != 503; i++) {
		free(body);
		proc_sleep_ms(100);
	}
	TAP_HAS(body, "kafka");
	free(body);
}

static void
waits_without_kafka(int port, void (*then)(void))
{
	char brokers[32];
	struct env_config cfg = {.brokers = brokers, .outbox_lines = "  stop_timeout: 2s\n"}, good = {.conninfo = NULL};
	struct audit_report report;
	const char *topic;

	env_init(&env, &good);
	topic = env_topic(&env, "account");
	env_exec(&env,
	    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	    " SELECT 'account', n %% 10, 'e', '{}' FROM generate_series(1, 500) n");
	snprintf(brokers, sizeof(brokers), "127.0.0.1:%d", port);
	env_daemon_start(&env, 0, &cfg);
	says_that_kafka_is_away();
	if (then != NULL)
		then();
	TAP_INT(env_int(&env, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL"), 500);
	TAP_INT(env_int(&env,
	        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
	        " AND xact_start < now() - interval '3 s'"), 0);
	env_daemon_stop(&env, 0);
	env_daemon_start(&env, 1, &good);
	env_wait_int(&env, 0, 60000, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	env_daemon_stop(&env, 1);
	env_audit(&env, topic, false, &report);
}

static void
brokers_that_are_not_there(void)
{
	if (env_begin(&env))
		waits_without_kafka(ports_take(), becomes_unready);
}

static void
brokers_that_answer_nothing(void)
{
	int port, fd;

	if (!env_begin(&env))
		return;
	fd = deaf_listener(&port);
	waits_without_kafka(port, NULL);
	close(fd);
}

static void
database_that_is_not_there(void)
{
	struct env_config cfg = {.conninfo = NULL};
	char port[8], *nowhere;
	struct error err;

	if (!env_begin(&env))
		return;
	snprintf(port, sizeof(port), "%d", ports_take());
	nowhere = db_conninfo(env.conninfo, "host", "127.0.0.1", "port", port, NULL);
	cfg.conninfo = nowhere;
	env_daemon_start(&env, 0, &cfg);
	ENV_MUST(proc_wait_text(&env.daemons[0], "id=postgresql-outage-begin", 60000, &err), &err);
	proc_sleep_ms(2000);
	CU_ASSERT(proc_running(&env.daemons[0]));
	expect_page("/livez", 200, "");
	expect_page("/readyz?verbose", 503, "postgresql");
	TAP_INT((int)env_metric(&env, 0, "pgoutbox_up{outbox=\"outbox_events\",side=\"postgresql\"}"), 0);
	env_daemon_stop(&env, 0);
	free(nowhere);
}

int
main(void)
{
	tap_suite_fixture("refusal", NULL, end);
	tap_test("no table", no_table);
	tap_test("a payload column of a wrong type", wrong_payload_type);
	tap_test("a column that the table lacks", missing_column);
	tap_test("the claim's index is missing", missing_index);
	tap_test("a missing grant", missing_grant);
	tap_test("a role without rights", role_without_rights);
	tap_test("an unreadable password file", unreadable_password_file);
	tap_test("librdkafka properties that break a promise", broken_promises);
	tap_test("unknown options and values out of range", unknown_options);
	tap_test("PgBouncer in transaction mode", pooler_in_transaction_mode);
	tap_test("brokers that are not there are waited for", brokers_that_are_not_there);
	tap_test("brokers that answer nothing are waited for", brokers_that_answer_nothing);
	tap_test("a database that is not there is waited for", database_that_is_not_there);
	return tap_run();
}
