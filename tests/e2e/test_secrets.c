/* test_secrets.c - every secret is set, all is said as loudly as it goes, and no secret is found in any of it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/ports.h"
#include "support/tap.h"
#include "support/tls.h"

enum { OUTAGE_MS = 20000 };

/* Each of them is a word that nothing else would say. */
#define DATABASE_PASSWORD "hunter2-of-the-database"
#define CLIENT_PASSPHRASE "hunter2-of-the-client-key"
#define KAFKA_PASSPHRASE "hunter2-of-the-kafka-key"
#define WRONG_PASSWORD "hunter2-that-is-wrong"

static struct env env;

static void
end(void)
{
	tls_end(&env);
}

static void
holds_no_secret(const char *where, const char *text)
{
	static const char *const secrets[] = {"hunter2", TLS_KAFKA_PASSWORD, "$ecret"};

	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		const char *at = strstr(text, secrets[i]);

		if (at == NULL)
			continue;
		tap_diag("%s: %.200s", where, at - text > 120 ? at - 120 : text);
		CU_FAIL("a secret was told");
	}
}

/* The client's key of PostgreSQL, and that of Kafka, each under a passphrase of its own. */
static const char *
make_keys(void)
{
	tls_run("client", env.name, NULL, NULL);
	tls_run("lock", env.name, tls_secret(&env, "client-passphrase", CLIENT_PASSPHRASE "\n"), NULL);
	tls_run("client", "relay", NULL, NULL);
	tls_run("lock", "relay", tls_secret(&env, "kafka-passphrase", KAFKA_PASSPHRASE "\n"), NULL);
	return tls_text("sslcert=%s sslkey=%s", tls_path(tls_text("%s.crt", env.name)),
	    tls_path(tls_text("%s.key", env.name)));
}

/* All that librdkafka has to say, at the daemon's loudest; values are what comes below properties, or beside them. */
static const char *
kafka_lines(const char *values)
{
	return tls_text("  properties:\n"
	                "    debug: all\n"
	                "    security.protocol: SASL_SSL\n"
	                "    ssl.ca.location: %s\n"
	                "    ssl.certificate.location: %s\n"
	                "    ssl.key.location: %s\n"
	                "    sasl.mechanism: SCRAM-SHA-512\n"
	                "    sasl.username: relay\n"
	                "%s"
	                "log:\n"
	                "  level: debug\n",
	    tls_path("ca.crt"), tls_path("relay.crt"), tls_path("relay.key"), values);
}

static void
secrets_by_file(struct env_config *cfg, const char *database_password, const char *kafka_password)
{
	cfg->conninfo = tls_conninfo(&env, make_keys());
	cfg->database_lines = tls_text("  password_file: %s\n  sslpassword_file: %s/client-passphrase\n",
	    tls_secret(&env, "database-password", database_password), env.dir);
	cfg->kafka_lines = kafka_lines(tls_text(
	    "  property_files:\n    sasl.password: %s\n    ssl.key.password: %s/kafka-passphrase\n",
	    tls_secret(&env, "sasl-password", kafka_password), env.dir));
}

/* As people do it who trust the mode of one file. */
static void
secrets_in_place(struct env_config *cfg)
{
	cfg->conninfo = tls_conninfo(&env,
	    tls_text("%s password='" DATABASE_PASSWORD "' sslpassword=" CLIENT_PASSPHRASE, make_keys()));
	cfg->kafka_lines = kafka_lines("    sasl.password: 'relay''s \"own\" $ecret'\n"
	                               "    ssl.key.password: " KAFKA_PASSPHRASE "\n");
}

static void
look_at_output(const char *what, const char *program, const char *const args[4])
{
	const char *argv[] = {env_program(program), args[0], args[1], args[2], args[3], NULL};
	char *output;

	(void)proc_run(argv, 20000, &output);
	CU_ASSERT(output[0] != '\0');
	holds_no_secret(what, output);
	free(output);
}

static void
look_at_page(int i, const char *path)
{
	char *body;

	CU_ASSERT(env_get(&env, i, path, &body) != 0);
	holds_no_secret(path, body);
	free(body);
}

static void
look_at_command_line(int i)
{
	char text[4096];
	FILE *in = fopen(tls_text("/proc/%d/cmdline", (int)env.daemons[i].pid), "re");
	size_t len;

	CU_ASSERT_FATAL(in != NULL);
	len = fread(text, 1, sizeof(text) - 1, in);
	fclose(in);
	CU_ASSERT_FATAL(len > 0);
	for (size_t c = 0; c < len; c++)
		if (text[c] == '\0')
			text[c] = ' ';
	text[len] = '\0';
	TAP_HAS(text, "pgoutboxd");
	holds_no_secret("command line", text);
}

/* While daemon i runs: all that can be asked of it. */
static void
look_from_outside(int i)
{
	struct error err;

	look_at_page(i, "/metrics");
	look_at_page(i, "/readyz?verbose");
	look_at_page(i, "/livez?verbose");
	look_at_command_line(i);
	proc_signal(&env.daemons[i], SIGUSR1);
	ENV_MUST(proc_wait_text(&env.daemons[i], "id=state", 60000, &err), &err);
}

static void
look_at_log(int i, const char *expected)
{
	char *text = proc_log_text(&env.daemons[i]);

	TAP_HAS(text, expected);
	holds_no_secret("log", text);
	free(text);
}

static void
look_at_config(const char *path)
{
	look_at_output("--print-config", "pgoutboxd", (const char *const[4]){"-c", path, "--print-config", NULL});
	look_at_output("--check-config", "pgoutboxd", (const char *const[4]){"-c", path, "--check-config", NULL});
}

static void
relays_in_silence(const struct env_config *cfg)
{
	struct audit_report report;
	const char *topic;

	env_init(&env, &(struct env_config){.conninfo = NULL});
	topic = env_topic(&env, "account");
	env_exec(&env, "ALTER ROLE %s PASSWORD '" DATABASE_PASSWORD "'", env.name);
	env_exec(&env,
	    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	    " SELECT 'account', n %% 10, 'e', '{}' FROM generate_series(1, 100) n");
	env_daemon_start(&env, 0, cfg);
	env_daemon_ready(&env, 0, 60000);
	env_wait_int(&env, 0, 60000, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	look_from_outside(0);
	env_daemon_stop(&env, 0);
	look_at_log(0, "SASL");
	look_at_config(env_write_config(&env, "daemon-0", ports_take(), cfg));
	env_audit(&env, topic, false, &report);
}

static void
by_file(void)
{
	struct env_config cfg = {.brokers = NULL};

	if (!tls_begin(&env, "by_both"))
		return;
	cfg.brokers = tls_brokers("SCRAM");
	secrets_by_file(&cfg, DATABASE_PASSWORD "\n", TLS_KAFKA_PASSWORD "\n");
	relays_in_silence(&cfg);
}

static void
in_place(void)
{
	struct env_config cfg = {.brokers = NULL};

	if (!tls_begin(&env, "by_both"))
		return;
	cfg.brokers = tls_brokers("SCRAM");
	secrets_in_place(&cfg);
	relays_in_silence(&cfg);
}

static void
check_is_refused(const struct env_config *cfg, const char *finding)
{
	const char *argv[] = {env_program("pgoutboxctl"), "-c", env_write_config(&env, "refused", 1, cfg), "check", "--full", NULL};
	char *output;

	TAP_INT(proc_run(argv, OUTAGE_MS, &output), 78);
	TAP_HAS(output, finding);
	holds_no_secret("check --full", output);
	if (strstr(finding, "kafka") != NULL) {
		TAP_HAS(output, "does not let us in: ");
		TAP_HAS(output, "hint: look at security.protocol, sasl.*");
	}
	free(output);
}

/* Servers that refuse a secret say so, too. */
static void
refused(void)
{
	struct env_config cfg = {.brokers = NULL};
	struct error err;

	if (!tls_begin(&env, "by_both"))
		return;
	env_init(&env, &(struct env_config){.conninfo = NULL});
	env_exec(&env, "ALTER ROLE %s PASSWORD '" DATABASE_PASSWORD "'", env.name);
	cfg.brokers = tls_brokers("SCRAM");
	secrets_by_file(&cfg, DATABASE_PASSWORD, WRONG_PASSWORD);
	env_daemon_start(&env, 0, &cfg);
	ENV_MUST(proc_wait_text(&env.daemons[0], "id=kafka-outage-begin", OUTAGE_MS, &err), &err);
	look_from_outside(0);
	env_daemon_stop(&env, 0);
	look_at_log(0, "SASL authentication error");
	check_is_refused(&cfg, "error    kafka: Kafka at ");
	secrets_by_file(&cfg, WRONG_PASSWORD, TLS_KAFKA_PASSWORD);
	check_is_refused(&cfg, "error    postgresql: ");
	env_daemon_start(&env, 1, &cfg);
	TAP_INT(proc_wait(&env.daemons[1], OUTAGE_MS), 78);
	look_at_log(1, "password authentication failed");
}

/* librdkafka quotes the command that renews a Kerberos ticket where it fails. */
static void
quoted_by_librdkafka(void)
{
	struct env_config cfg = {.kafka_lines =
		"  properties:\n"
		"    debug: all\n"
		"    security.protocol: SASL_PLAINTEXT\n"
		"    sasl.mechanism: GSSAPI\n"
		"    sasl.kerberos.kinit.cmd: \": hunter2; exit 3\"\n"
		"log:\n  level: debug\n"};
	struct error err;

	if (!tls_begin(&env, "by_password"))
		return;
	env_init(&env, &(struct env_config){.conninfo = NULL});
	env_daemon_start(&env, 0, &cfg);
	ENV_MUST(proc_wait_text(&env.daemons[0], "Kerberos ticket refresh failed: ***: exited with code 3", OUTAGE_MS, &err),
	    &err);
	look_from_outside(0);
	env_daemon_stop(&env, 0);
	look_at_log(0, "GSSAPI");
}

/* What people write by mistake. Each is refused, and what is said about it must be fit for a ticket. */
static void
broken_files(void)
{
	static const struct {
		const char *conninfo, *database, *kafka;
	} broken[] = {
		{"host=db password=my hunter2", "", ""},
		{"host=db password='hunter2", "", ""},
		{"hunter2", "", ""},
		{"mysql://root:hunter2@db/app", "", ""},
		{"postgresql://app:hun/hunter2@db/app", "", ""},
		{"postgresql://app:hun@hunter2@db/app", "", ""},
		{"postgresql://app:%zzhunter2@db/app", "", ""},
		{"postgresql:///app?password=a&hunter2", "", ""},
		{"postgresql:///app?password=hunter2=hunter2", "", ""},
		{"host=db pasword=hunter2", "", ""},
		{"host=db password=hunter2", "  password_file: /nonexistent\n", ""},
		{"host=db", "  password: hunter2\n", ""},
		{"host=db", "  password_file: hunter2\n", ""},
		{"host=db", "  password_file: [hunter2]\n", ""},
		{"host=db", "  password_file:hunter2\n", ""},
		{"host=db", "", "  properties: {sasl.pasword: hunter2}\n"},
		{"host=db", "", "  properties: {sasl.password: [hunter2]}\n"},
		{"host=db", "", "  properties: {sasl.password: *hunter2}\n"},
		{"host=db", "", "  properties: {sasl.password: !hunter2 x}\n"},
		{"host=db", "", "  properties: {sasl.password: %hunter2}\n"},
		{"host=db", "", "  properties:\n    sasl.password: \"hunter2\n"},
		{"host=db", "", "  properties:\n    sasl.password: hunter2: x\n"},
		{"host=db", "", "  properties:\n    sasl.password:hunter2\n"},
		{"host=db", "", "  properties:\n    sasl.password: hunter2\n    acks: 0\n"},
		{"host=db", "", "  properties: {security.protocol: SSL, ssl.key.pem: hunter2}\n"},
		{"host=db", "", "  properties: {security.protocol: SASL_SSL, sasl.mechanism: x, sasl.password: hunter2}\n"},
		{"host=db", "", "  properties: {security.protocol: SASL_SSL, sasl.mechanism: OAUTHBEARER,"
		                " sasl.oauthbearer.config: hunter2}\n"},
		{"host=db", "", "  properties: {enable.sasl.oauthbearer.unsecure.jwt: true,"
		                " sasl.oauthbearer.config: hunter2}\n"},
		{"host=db", "", "  property_files: {sasl.password: hunter2}\n"},
		{"host=db", "", "  property_files: {sasl.password: {hunter2: hunter2}}\n"},
		{"host=db", "", "  property_files: {linger.ms: hunter2}\n"},
	};

	if (!tls_begin(&env, "by_password"))
		return;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct env_config cfg = {.conninfo = broken[i].conninfo,
			.database_lines = broken[i].database,
			.kafka_lines = broken[i].kafka};
		const char *path = env_write_config(&env, "broken", ports_take(), &cfg);
		char *output;
		int rc;

		rc = proc_run((const char *const[]){env_program("pgoutboxd"), "-c", path, NULL}, 15000, &output);
		if (rc != 78)
			tap_diag("%zu: %s", i, output);
		TAP_INT(rc, 78);
		holds_no_secret("broken file", output);
		free(output);
		look_at_output("print", "pgoutboxd", (const char *const[4]){"-c", path, "--print-config", NULL});
	}
}

/* The tool's connection string is the administrator's own; what libpq makes of it is not for others. */
static void
broken_argument(void)
{
	const char *path;

	if (!tls_begin(&env, "by_password"))
		return;
	path = env_write_config(&env, "good", ports_take(), &(struct env_config){.conninfo = NULL});
	const char *const argv[] = {env_program("pgoutboxctl"), "-c", path, "init", "--role", env.name, "--database",
		"postgresql://app:%zzhunter2@db/app", NULL};
	char *output;

	TAP_INT(proc_run(argv, 15000, &output), 78);
	TAP_HAS(output, "libpq cannot read the connection string");
	holds_no_secret("pgoutboxctl", output);
	free(output);
}

int
main(void)
{
	int status;

	tap_suite_fixture("secrets", NULL, end);
	tap_test("secrets in files are told nowhere", by_file);
	tap_test("secrets in the configuration are told nowhere", in_place);
	tap_test("secrets that are refused are told nowhere", refused);
	tap_test("what librdkafka quotes is told nowhere", quoted_by_librdkafka);
	tap_test("broken configurations quote no secret", broken_files);
	tap_test("a broken argument quotes no secret", broken_argument);
	status = tap_run();
	tls_down();
	return status;
}
