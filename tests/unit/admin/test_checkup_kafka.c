/* test_checkup_kafka.c - what is found about brokers and topics, over a cluster that each test makes up. */
#include "admin/checkup.c"
#include "admin/checkup_kafka.c"

#include "support/tap.h"

static struct config cfg;
static struct cluster cluster;
static struct cluster_topic topic; /* what the brokers tell of it */
static struct checkup found;
static int64_t largest;
static bool look_fails;

/* --- neighbours --- */

int
plan_init(struct plan *plan, const struct config *c, struct error *err)
{
	(void)c, (void)err;
	*plan = (struct plan){.router = NULL};
	return 0;
}

void
plan_done(struct plan *plan)
{
	(void)plan;
}

void
checkup_postgresql(const struct config *c, const char *database, const char *role, struct checkup_topics *topics,
                   struct checkup *ck)
{
	(void)c, (void)database, (void)role, (void)ck;
	topics->items[0].largest = largest;
}

int
cluster_look(const struct producer_options *opt, bool produces, int timeout_ms, struct cluster_topic topics[], size_t count,
             struct cluster *ret_cluster, struct error *err)
{
	(void)opt, (void)produces, (void)timeout_ms;
	if (look_fails) {
		error_set(err, ERR_CONFIG, "no such property");
		return error_hint(err, "see the list");
	}
	for (size_t i = 0; i < count; i++) {
		const char *name = topics[i].name;

		topics[i] = topic;
		topics[i].name = name;
	}
	*ret_cluster = cluster;
	return 0;
}

/* --- rig --- */

/* All is as it should be. */
static void
setup(void)
{
	static char name[] = "orders", brokers[] = "b:9092";

	cfg = (struct config){.kafka = {.topic = name, .brokers = brokers}};
	cluster = (struct cluster){.reached = true, .brokers = 3, .client_max = 1000000};
	topic = (struct cluster_topic){.state = CLUSTER_TOPIC_FOUND, .partitions = 6, .replicas = 3, .in_sync = 3,
	                               .message_max = 1048588, .min_in_sync = 2};
	largest = -1;
	look_fails = false;
}

static void
expect(int status, const char *line)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	checkup_run(&cfg, NULL, NULL, &found);
	checkup_print(&found, &out);
	TAP_HAS(buf_str(&out), line);
	TAP_INT(checkup_exit_status(&found), status);
	for (size_t i = 0; i < found.count; i++)
		CU_ASSERT_EQUAL(found.findings[i].hint[0] == '\0', found.findings[i].level == FINDING_OK);
}

/* --- tests --- */

static void
test_good(void)
{
	expect(0, "ok       kafka: connected to Kafka: 3 brokers\n");
	expect(0, "ok       topic: topic \"orders\" has 6 partitions of 3 replicas and takes messages of 1048588 bytes\n");
	TAP_INT(found.count, 2);
}

static void
test_replicas(void)
{
	topic.min_in_sync = 4;
	expect(78, "error    topic: topic \"orders\" has min.insync.replicas 4 but 3 replicas: nothing can be written to it\n");
	topic.min_in_sync = 2;
	topic.in_sync = 1;
	expect(0, "warning  topic: topic \"orders\" has a partition with 1 replicas in sync, fewer than its min.insync.replicas, 2: its events wait\n");
	topic.in_sync = 3;
	topic.min_in_sync = 3;
	expect(0, "warning  topic: topic \"orders\" has as many replicas as min.insync.replicas, 3: any broker's restart stops it\n");
	topic.min_in_sync = 1;
	expect(0, "warning  topic: topic \"orders\" has 3 replicas and min.insync.replicas 1: an acknowledged event can be lost with one broker\n");
	topic.replicas = topic.in_sync = 1;
	expect(0, "warning  topic: topic \"orders\" has 1 replica and min.insync.replicas 1: an acknowledged event");
	topic.replicas = topic.in_sync = 2;
	topic.message_max = topic.min_in_sync = -1; /* not told: no reason to complain of replicas */
	expect(0, "warning  topic: topic \"orders\" does not tell its max.message.bytes");
	TAP_INT(found.count, 2);
	topic.message_max = 1048588;
	topic.min_in_sync = 2;
	topic.leaderless = 1;
	expect(0, "warning  topic: 1 of 6 partitions of topic \"orders\" have no leader: their events wait\n");
}

/* A message is its payload and some more. */
static void
test_sizes(void)
{
	topic.message_max = 5000;
	largest = 5000 - OVERHEAD;
	expect(0, "ok       topic: ");
	largest++;
	expect(78, "error    topic: topic \"orders\" takes messages of 5000 bytes, and an unsent payload has 4801: it would be parked\n");
	cluster.compresses = true;
	expect(0, "ok       topic: ");
	cluster.client_max = 5000;
	expect(78, "error    topic: an unsent payload for topic \"orders\" has 4801 bytes, more than message.max.bytes, 5000: it would be parked\n");
}

static void
test_topic_states(void)
{
	topic.state = CLUSTER_TOPIC_MISSING;
	expect(78, "error    topic: topic \"orders\" does not exist\n");
	topic.state = CLUSTER_TOPIC_DENIED;
	expect(78, "error    topic: topic \"orders\" may not be written to: the principal is not authorized\n");
	topic.state = CLUSTER_TOPIC_UNKNOWN;
	snprintf(topic.reason, sizeof(topic.reason), "no answer");
	expect(75, "warning  topic: topic \"orders\" could not be looked at: no answer\n");
}

static void
test_not_let_in(void)
{
	cluster = (struct cluster){.refused = true, .reason = "SASL authentication failed"};
	expect(78, "error    kafka: Kafka at \"b:9092\" does not let us in: SASL authentication failed\n");
	TAP_HAS(found.findings[0].hint, "sasl.*");
	TAP_INT(found.count, 1);
	cluster = (struct cluster){.reached = false};
	expect(75, "warning  kafka: Kafka at \"b:9092\" cannot be reached: no answer\n");
	cluster = (struct cluster){.reached = true, .brokers = 1, .client_max = 1000000, .fatal = "cluster authorization failed"};
	expect(78, "error    kafka: the producer may not work: cluster authorization failed\n");
	look_fails = true;
	expect(78, "error    kafka: no such property\n");
}

int
main(void)
{
	tap_suite_fixture("checkup_kafka", setup, NULL);
	tap_test("all is well", test_good);
	tap_test("replicas and how many of them must have it", test_replicas);
	tap_test("payloads that are too large", test_sizes);
	tap_test("topics that are not there, or not to be seen", test_topic_states);
	tap_test("brokers that do not let us in", test_not_let_in);
	return tap_run();
}
