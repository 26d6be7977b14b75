/* mockbroker.c - librdkafka's mock cluster behind TCP ports, for a demo or a test that has no Kafka.
 *
 *   mockbroker [--brokers N] [--partitions N] [--topic NAME[:PARTITIONS]]... [--port-file FILE]
 *
 * Prints the bootstrap list on one line (and writes it to the file), then serves until SIGTERM or SIGINT, or until its
 * standard input closes where that is a pipe, a socket or a terminal. Other topics appear on sight with 4 partitions.
 *
 * The mock keeps the newest 5 MiB of each partition, counted as they were sent (compressed, with a batch's 61 bytes and
 * a few for each message), and forgets the rest without a word. A consumer that reads late finds everything only if it
 * fits: take enough partitions.
 */
#include <errno.h>
#include <getopt.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define TOPICS_MAX 64
#define REPLICAS_MAX 3

struct options {
	int brokers;
	int partitions;
	const char *topics[TOPICS_MAX];
	int topics_count;
	const char *port_file;
};

static bool
parse_count(const char *text, int *ret_count)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || *end != '\0' || n < 1 || n > 10000)
		return false;
	*ret_count = (int)n;
	return true;
}

static bool
parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"brokers", required_argument, NULL, 'b'},
		{"partitions", required_argument, NULL, 'p'},
		{"topic", required_argument, NULL, 't'},
		{"port-file", required_argument, NULL, 'f'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'b' && parse_count(optarg, &o->brokers))
			continue;
		if (c == 'p' && parse_count(optarg, &o->partitions))
			continue;
		if (c == 't' && o->topics_count < TOPICS_MAX)
			o->topics[o->topics_count++] = optarg;
		else if (c == 'f')
			o->port_file = optarg;
		else
			return false;
	}
	return optind == argc;
}

static bool
create_topic(rd_kafka_mock_cluster_t *cluster, const struct options *o, const char *topic)
{
	int replicas = o->brokers < REPLICAS_MAX ? o->brokers : REPLICAS_MAX;
	int partitions = o->partitions;
	char name[256];
	size_t len = strcspn(topic, ":");

	if (len == 0 || len >= sizeof name || (topic[len] == ':' && !parse_count(topic + len + 1, &partitions))) {
		fprintf(stderr, "mockbroker: \"%s\" is not NAME or NAME:PARTITIONS\n", topic);
		return false;
	}
	memcpy(name, topic, len);
	name[len] = '\0';
	rd_kafka_resp_err_t err = rd_kafka_mock_topic_create(cluster, name, partitions, replicas);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return true;
	fprintf(stderr, "mockbroker: could not create topic \"%s\": %s\n", name, rd_kafka_err2str(err));
	return false;
}

/* By rename(2), so that nobody reads half of it. */
static bool
write_port_file(const char *file, const char *bootstraps)
{
	char part[4096];

	if (snprintf(part, sizeof part, "%s.part", file) >= (int)sizeof part) {
		fprintf(stderr, "mockbroker: \"%s\" is too long a name\n", file);
		return false;
	}
	FILE *f = fopen(part, "w");
	bool good = f != NULL && fprintf(f, "%s\n", bootstraps) > 0;
	if (f != NULL && fclose(f) != 0)
		good = false;
	if (good && rename(part, file) == 0)
		return true;
	fprintf(stderr, "mockbroker: could not write \"%s\": %s\n", file, strerror(errno));
	return false;
}

/* A /dev/null or a file would be at its end from the start, and says nothing of who started us. */
static bool
input_tells(void)
{
	struct stat st;

	return isatty(STDIN_FILENO) || (fstat(STDIN_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)));
}

static void
serve(int signals)
{
	struct pollfd fds[] = {{signals, POLLIN, 0}, {input_tells() ? STDIN_FILENO : -1, POLLIN, 0}};
	char skipped[256];

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return;
		if (fds[0].revents != 0)
			return;
		if (fds[1].revents != 0 && read(STDIN_FILENO, skipped, sizeof skipped) <= 0)
			return;
	}
}

static bool
announce(rd_kafka_mock_cluster_t *cluster, const struct options *o)
{
	const char *bootstraps = rd_kafka_mock_cluster_bootstraps(cluster);

	for (int i = 0; i < o->topics_count; i++)
		if (!create_topic(cluster, o, o->topics[i]))
			return false;
	if (o->port_file != NULL && !write_port_file(o->port_file, bootstraps))
		return false;
	return puts(bootstraps) >= 0 && fflush(stdout) == 0;
}

/* Blocked before librdkafka starts its threads, which inherit the mask. */
static int
block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

int
main(int argc, char **argv)
{
	struct options o = {.brokers = 1, .partitions = 4};
	char reason[256];
	int status = EX_UNAVAILABLE;

	if (!parse_options(argc, argv, &o)) {
		fputs("usage: mockbroker [--brokers N] [--partitions N] [--topic NAME[:PARTITIONS]]... [--port-file FILE]\n", stderr);
		return EX_USAGE;
	}
	int signals = block_signals();
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_conf_set(conf, "log_level", "4", reason, sizeof reason); /* it would note that it knows no broker */
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
	if (rk == NULL) {
		rd_kafka_conf_destroy(conf);
		fprintf(stderr, "mockbroker: could not start librdkafka: %s\n", reason);
		return EX_UNAVAILABLE;
	}
	rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(rk, o.brokers);
	if (cluster == NULL) {
		fprintf(stderr, "mockbroker: could not start a cluster of %d brokers\n", o.brokers);
	} else if (announce(cluster, &o)) {
		serve(signals);
		status = EX_OK;
	}
	if (cluster != NULL)
		rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(rk);
	return status;
}
