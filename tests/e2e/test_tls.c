/* test_tls.c - TLS and SASL to both sides: who is let in relays, who is not says why, waits, and loses nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/tap.h"
#include "support/tls.h"
#include "support/topic.h"

enum { EVENTS = 300, OUTAGE_MS = 20000 };

#define PASSPHRASE "a key's passphrase"

static struct env env;

static void
end(void)
{
	tls_end(&env);
}

static void
write_events(void)
{
	env_exec(&env,
	    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	    " SELECT 'account', n %% 10, 'e', jsonb_build_object('n', n) FROM generate_series(1, %d) n", EVENTS);
}

static void
wait_until_sent(void)
{
	env_wait_int(&env, 0, 60000, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
}

/* Makes the table and writes the first events. The topic's name. */
static const char *
prepare(void)
{
	env_init(&env, &(struct env_config){.conninfo = NULL});
	write_events();
	return env_topic(&env, "account");
}

static void
check_all_arrived(const char *topic)
{
	struct audit_report report;

	env_audit(&env, topic, false, &report);
	TAP_INT(env_int(&env, "SELECT count(*) FROM pgoutbox.parked"), 0);
}

/* All sessions of the daemon that is running are encrypted. */
static void
check_encrypted(void)
{
	TAP_INT(env_int(&env,
	        "SELECT count(*) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE usename = '%s' AND NOT ssl",
	        env.name), 0);
	CU_ASSERT(env_int(&env, "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s'", env.name) > 0);
}

static void
relays(const struct env_config *cfg)
{
	const char *topic = prepare();

	env_daemon_start(&env, 0, cfg);
	env_daemon_ready(&env, 0, 60000);
	wait_until_sent();
	if (cfg->conninfo != NULL)
		check_encrypted();
	env_daemon_stop(&env, 0);
	check_all_arrived(topic);
}

/* --- PostgreSQL --- */

static void
set_password(const char *password)
{
	env_exec(&env, "ALTER ROLE %s PASSWORD '%s'", env.name, password);
}

static const char *
password_file(const char *password)
{
	return tls_text("  password_file: %s\n", tls_secret(&env, "password", password));
}

static void
postgresql_by_password(void)
{
	struct env_config cfg = {.conninfo = NULL};

	if (!tls_begin(&env, "by_password"))
		return;
	set_password("p@ss/word");
	cfg.conninfo = tls_conninfo(&env, "channel_binding=require");
	cfg.database_lines = password_file("p@ss/word\n");
	relays(&cfg);
}

/* A certificate that carries the role's name, or another one; parameters of the connection string. */
static const char *
client(const char *name, const char *ca, const char *days)
{
	tls_run("client", name, ca, days);
	return tls_text("sslcert=%s sslkey=%s", tls_path(tls_text("%s.crt", name)), tls_path(tls_text("%s.key", name)));
}

static const char *
locked_client(const char *name)
{
	const char *parameters = client(name, NULL, NULL);

	tls_run("lock", name, tls_secret(&env, "passphrase", PASSPHRASE "\n"), NULL);
	return parameters;
}

static void
postgresql_by_certificate(void)
{
	struct env_config cfg = {.conninfo = NULL};

	if (!tls_begin(&env, "by_cert"))
		return;
	cfg.conninfo = tls_conninfo(&env, locked_client(env.name));
	cfg.database_lines = tls_text("  sslpassword_file: %s/passphrase\n", env.dir);
	relays(&cfg);
}

static void
postgresql_by_both(void)
{
	struct env_config cfg = {.conninfo = NULL};

	if (!tls_begin(&env, "by_both"))
		return;
	set_password("secret");
	cfg.conninfo = tls_conninfo(&env, client(env.name, NULL, NULL));
	cfg.database_lines = password_file("secret");
	relays(&cfg);
}

static void
check_said(int i, const char *id, const char *reason, const char *hint)
{
	struct error err;

	ENV_MUST(proc_wait_text(&env.daemons[i], id, OUTAGE_MS, &err), &err);
	ENV_MUST(proc_wait_text(&env.daemons[i], reason, 60000, &err), &err);
	ENV_MUST(proc_wait_text(&env.daemons[i], hint, 60000, &err), &err);
}

/* Certificates change without the daemon: it says that PostgreSQL is away, why, and what to do, and asks again. */
static void
check_waits_for_postgresql(int i, const char *reason, const char *hint)
{
	char *body;

	check_said(i, "id=postgresql-outage-begin", reason, hint);
	CU_ASSERT(proc_running(&env.daemons[i]));
	TAP_INT(env_get(&env, i, "/readyz?verbose", &body), 503);
	free(body);
	env_daemon_stop(&env, i);
}

/* The server knows the role and does not want it: that takes a person, so at its start the daemon gives up. */
static void
check_gives_up(int i, const char *reason, const char *hint)
{
	check_said(i, "id=cannot-run", reason, hint);
	TAP_INT(proc_wait(&env.daemons[i], 20000), 78);
}

static void
postgresql_not_as_configured(void)
{
	struct env_config cfg = {.conninfo = NULL};

	if (!tls_begin(&env, "by_password"))
		return;
	set_password("secret");
	cfg.database_lines = password_file("secret\n");
	cfg.conninfo = tls_conninfo(&env, tls_text("sslrootcert=%s", tls_path("stranger.crt")));
	env_daemon_start(&env, 0, &cfg);
	cfg.conninfo = tls_conninfo(&env, "host=elsewhere.example");
	env_daemon_start(&env, 1, &cfg);
	cfg.conninfo = tls_conninfo(&env, "sslmode=disable");
	env_daemon_start(&env, 2, &cfg);
	cfg.conninfo = tls_conninfo(&env, "");
	cfg.database_lines = tls_text("  password_file: %s\n", tls_secret(&env, "wrong", "sacred\n"));
	env_daemon_start(&env, 3, &cfg);
	check_waits_for_postgresql(0, "certificate verify failed", "sslrootcert");
	check_waits_for_postgresql(1, "does not match host name \\\"elsewhere.example\\\"", "hostaddr");
	check_gives_up(2, "no encryption", "hostssl");
	check_gives_up(3, "password authentication failed", "database.password_file");
}

static void
start_with_certificate(int i, const char *parameters)
{
	struct env_config cfg = {.conninfo = tls_conninfo(&env, parameters)};

	env_daemon_start(&env, i, &cfg);
}

static void
postgresql_refuses_certificates(void)
{
	if (!tls_begin(&env, "by_cert"))
		return;
	start_with_certificate(0, "");
	start_with_certificate(1, client("somebody", NULL, NULL));
	start_with_certificate(2, client(tls_text("%s-f", env.name), "stranger", NULL));
	start_with_certificate(3, client(tls_text("%s-e", env.name), "ca", "-1"));
	check_gives_up(0, "requires a valid client certificate", "sslcert and sslkey");
	check_gives_up(1, "certificate authentication failed", "pg_ident.conf");
	check_waits_for_postgresql(2, "alert unknown ca", "ssl_ca_file");
	check_waits_for_postgresql(3, "alert certificate expired", "renew");
}

/* What is wrong with a certificate is repaired by somebody else, at any time: once it is, events flow. */
static void
postgresql_certificate_is_repaired(void)
{
	struct env_config cfg = {.conninfo = NULL};
	const char *topic;
	struct error err;

	if (!tls_begin(&env, "by_password"))
		return;
	set_password("secret");
	topic = prepare();
	cfg.conninfo = tls_conninfo(&env, "");
	cfg.database_lines = password_file("secret\n");
	env_daemon_start(&env, 0, &cfg);
	wait_until_sent();
	tls_run("pg-certificate", "expired", NULL, NULL);
	env_wait_int(&env, 0, 60000,
	    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '%s'", env.name);
	ENV_MUST(proc_wait_text(&env.daemons[0], "id=postgresql-outage-begin", OUTAGE_MS, &err), &err);
	ENV_MUST(proc_wait_text(&env.daemons[0], "certificate verify failed", OUTAGE_MS, &err), &err);
	write_events();
	tls_run("pg-certificate", "server", NULL, NULL);
	wait_until_sent();
	check_encrypted();
	env_daemon_stop(&env, 0);
	check_all_arrived(topic);
}

/* --- Kafka --- */

/* Lines below "kafka:" for TLS that is verified by the CA, and what more says. */
static const char *
properties(const char *protocol, const char *ca, const char *more)
{
	return tls_text("  properties:\n    security.protocol: %s\n    ssl.ca.location: %s\n%s", protocol, tls_path(ca),
	    more);
}

static const char *
scram(const char *mechanism, const char *password)
{
	return properties("SASL_SSL", "ca.crt",
	    tls_text("    sasl.mechanism: %s\n    sasl.username: relay\n  property_files:\n    sasl.password: %s\n",
	        mechanism, tls_secret(&env, "sasl-password", password)));
}

static void
kafka_relays(const char *listener, const char *lines)
{
	relays(&(struct env_config){.brokers = tls_brokers(listener), .kafka_lines = lines});
}

static void
kafka_over_tls(void)
{
	if (tls_begin(&env, "by_password"))
		kafka_relays("TLS", properties("SSL", "ca.crt", ""));
}

static void
kafka_by_scram_512(void)
{
	if (tls_begin(&env, "by_password"))
		kafka_relays("SCRAM", scram("SCRAM-SHA-512", TLS_KAFKA_PASSWORD "\n"));
}

static void
kafka_by_scram_256(void)
{
	if (tls_begin(&env, "by_password"))
		kafka_relays("SCRAM", scram("SCRAM-SHA-256", TLS_KAFKA_PASSWORD));
}

static void
kafka_by_certificate(void)
{
	if (!tls_begin(&env, "by_password"))
		return;
	(void)locked_client("relay");
	kafka_relays("MUTUAL", properties("SSL", "ca.crt",
	    tls_text("    ssl.certificate.location: %s\n    ssl.key.location: %s\n"
	             "  property_files:\n    ssl.key.password: %s/passphrase\n",
	        tls_path("relay.crt"), tls_path("relay.key"), env.dir)));
}

/* The same from memory: the key comes from a file that only the configuration knows. */
static void
kafka_by_key_in_a_file(void)
{
	if (!tls_begin(&env, "by_password"))
		return;
	(void)client("relay", NULL, NULL);
	kafka_relays("MUTUAL", properties("SSL", "ca.crt",
	    tls_text("    ssl.certificate.location: %s\n  property_files:\n    ssl.key.pem: %s\n",
	        tls_path("relay.crt"), tls_path("relay.key"))));
}

static void
start_towards(int i, const char *listener, const char *lines)
{
	struct env_config cfg = {
		.brokers = tls_brokers(listener), .kafka_lines = lines, .outbox_lines = "  stop_timeout: 1s\n"};

	env_daemon_start(&env, i, &cfg);
}

static void
check_kafka_refuses(int i, const char *reason)
{
	struct error err;
	char *body;

	ENV_MUST(proc_wait_text(&env.daemons[i], "id=kafka-outage-begin", OUTAGE_MS, &err), &err);
	ENV_MUST(proc_wait_text(&env.daemons[i], reason, 60000, &err), &err);
	CU_ASSERT(proc_running(&env.daemons[i]));
	TAP_INT((int)env_metric(&env, i, "pgoutbox_up{outbox=\"outbox_events\",side=\"kafka\"}"), 0);
	CU_ASSERT(env_get(&env, i, "/readyz?verbose", &body) != 0);
	TAP_HAS(body, reason);
	free(body);
	proc_signal(&env.daemons[i], 15);
}

/* Nothing was sent, nothing parked, nothing forgotten: a daemon that is let in sends all of it, once. */
static void
check_nothing_happened(const char *topic)
{
	for (int i = 0; i < ENV_DAEMONS; i++)
		if (env.daemons[i].pid != 0)
			env_daemon_stop(&env, i);
	TAP_INT(env_int(&env, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL"), EVENTS);
	TAP_INT(env_int(&env, "SELECT count(*) FROM pgoutbox.parked"), 0);
	start_towards(0, "SCRAM", scram("SCRAM-SHA-512", TLS_KAFKA_PASSWORD));
	wait_until_sent();
	env_daemon_stop(&env, 0);
	check_all_arrived(topic);
}

static void
kafka_not_as_configured(void)
{
	const char *topic;

	if (!tls_begin(&env, "by_password"))
		return;
	topic = prepare();
	start_towards(0, "TLS", properties("SSL", "stranger.crt", ""));
	start_towards(1, "ELSEWHERE", properties("SSL", "ca.crt", ""));
	start_towards(2, "EXPIRED", properties("SSL", "ca.crt", ""));
	start_towards(3, "MUTUAL", properties("SSL", "ca.crt", ""));
	check_kafka_refuses(0, "broker's certificate is refused");
	check_kafka_refuses(1, "broker's certificate is refused");
	check_kafka_refuses(2, "broker's certificate is refused");
	check_kafka_refuses(3, "ssl.certificate.location");
	check_nothing_happened(topic);
}

static void
kafka_refuses_the_client(void)
{
	const char *topic;

	if (!tls_begin(&env, "by_password"))
		return;
	topic = prepare();
	(void)client("relay", "stranger", NULL);
	start_towards(0, "SCRAM", scram("SCRAM-SHA-512", "not the password\n"));
	start_towards(1, "MUTUAL", properties("SSL", "ca.crt",
	    tls_text("    ssl.certificate.location: %s\n    ssl.key.location: %s\n",
	        tls_path("relay.crt"), tls_path("relay.key"))));
	start_towards(2, "TLS", "  properties: {security.protocol: PLAINTEXT}\n");
	check_kafka_refuses(0, "uthentication fail");
	check_kafka_refuses(1, "ssl.certificate.location");
	check_kafka_refuses(2, "isconnect");
	check_nothing_happened(topic);
}

static void
allow(const char *topic, rd_kafka_AclOperation_t operation)
{
	struct error err;

	ENV_MUST(topic_allow(env.kafka, topic, "User:relay", operation, &err), &err);
}

/* The right to write to one topic is missing: the others flow on, and once it is given, so does this one. */
static void
kafka_right_is_missing(void)
{
	struct env_config cfg = {.conninfo = NULL};
	const char *closed, *open;
	struct error err;

	if (!tls_begin(&env, "by_password"))
		return;
	closed = prepare();
	open = env_topic(&env, "order");
	allow(closed, RD_KAFKA_ACL_OPERATION_DESCRIBE);
	env_exec(&env,
	    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	    " SELECT 'order', 'o' || n %% 10, 'e', '{}' FROM generate_series(1, %d) n", EVENTS);
	cfg.brokers = tls_brokers("SCRAM");
	cfg.kafka_lines = scram("SCRAM-SHA-512", TLS_KAFKA_PASSWORD);
	env_daemon_start(&env, 0, &cfg);
	env_wait_int(&env, EVENTS, 60000, "SELECT count(*) FROM outbox_events WHERE sent_at IS NOT NULL");
	TAP_INT(env_int(&env,
	        "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL AND aggregate_type = 'order'"), 0);
	ENV_MUST(proc_wait_text(&env.daemons[0], "uthorization failed", 60000, &err), &err);
	TAP_INT((int)env_metric(&env, 0, "pgoutbox_up{outbox=\"outbox_events\",side=\"kafka\"}"), 1);
	allow(closed, RD_KAFKA_ACL_OPERATION_WRITE);
	wait_until_sent();
	env_daemon_stop(&env, 0);
	env_exec(&env, "DELETE FROM outbox_events WHERE aggregate_type = 'order'");
	check_all_arrived(closed);
	CU_ASSERT(open != NULL);
}

int
main(void)
{
	int status;

	tap_suite_fixture("tls", NULL, end);
	tap_test("PostgreSQL, verified to the full, lets a password in", postgresql_by_password);
	tap_test("PostgreSQL lets a certificate in, whose key is encrypted", postgresql_by_certificate);
	tap_test("PostgreSQL wants both", postgresql_by_both);
	tap_test("a PostgreSQL that is not as configured is refused", postgresql_not_as_configured);
	tap_test("PostgreSQL refuses certificates", postgresql_refuses_certificates);
	tap_test("PostgreSQL's certificate expires and is repaired", postgresql_certificate_is_repaired);
	tap_test("Kafka over TLS", kafka_over_tls);
	tap_test("Kafka with SCRAM-SHA-512", kafka_by_scram_512);
	tap_test("Kafka with SCRAM-SHA-256", kafka_by_scram_256);
	tap_test("Kafka lets a certificate in, whose key is encrypted", kafka_by_certificate);
	tap_test("Kafka lets a certificate in, whose key is a property", kafka_by_key_in_a_file);
	tap_test("a Kafka that is not as configured is refused", kafka_not_as_configured);
	tap_test("Kafka refuses the client", kafka_refuses_the_client);
	tap_test("a topic that may not be written waits, the others do not", kafka_right_is_missing);
	status = tap_run();
	tls_down();
	return status;
}
