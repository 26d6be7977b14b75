/* checkup_kafka.c - in: a configuration, topics; out: findings about the brokers and these topics. */
#include <inttypes.h>

#include "admin/checkup_impl.h"
#include "sink/cluster.h"

#define LOOK_MS 10000
#define OVERHEAD 200 /* bytes of a batch's and a record's own, with key and headers of ordinary size */

static void
judge_size(const struct cluster *cl, const struct cluster_topic *t, int64_t largest, struct checkup *c)
{
	if (t->message_max < 0)
		checkup_add(c, FINDING_WARNING, "topic", "grant the principal DescribeConfigs on the topic: what is too large is then known before it is sent",
		            "topic \"%s\" does not tell its max.message.bytes and min.insync.replicas", t->name);
	else if (largest + OVERHEAD > t->message_max && !cl->compresses)
		checkup_add(c, FINDING_ERROR, "topic", "raise max.message.bytes of the topic, set compression.type in kafka.properties, or have the application write less",
		            "topic \"%s\" takes messages of %" PRId64 " bytes, and an unsent payload has %" PRId64 ": it would be parked", t->name,
		            t->message_max, largest);
	if (largest + OVERHEAD > cl->client_max)
		checkup_add(c, FINDING_ERROR, "topic", "raise message.max.bytes in kafka.properties, or have the application write less",
		            "an unsent payload for topic \"%s\" has %" PRId64 " bytes, more than message.max.bytes, %" PRId64 ": it would be parked",
		            t->name, largest, cl->client_max);
}

static void
judge_replicas(const struct cluster_topic *t, struct checkup *c)
{
	if (t->leaderless > 0)
		checkup_add(c, FINDING_WARNING, "topic", "bring back the brokers that have its replicas",
		            "%d of %d partitions of topic \"%s\" have no leader: their events wait", t->leaderless, t->partitions, t->name);
	if (t->min_in_sync > t->replicas)
		checkup_add(c, FINDING_ERROR, "topic", "lower min.insync.replicas of the topic, or give it more replicas",
		            "topic \"%s\" has min.insync.replicas %" PRId64 " but %d replicas: nothing can be written to it", t->name,
		            t->min_in_sync, t->replicas);
	else if (t->min_in_sync > t->in_sync)
		checkup_add(c, FINDING_WARNING, "topic", "bring back the brokers that have its replicas",
		            "topic \"%s\" has a partition with %d replicas in sync, fewer than its min.insync.replicas, %" PRId64 ": its events wait",
		            t->name, t->in_sync, t->min_in_sync);
	else if (t->replicas < 2 || t->min_in_sync == 1)
		checkup_add(c, FINDING_WARNING, "topic", "three replicas and min.insync.replicas of 2 survive the loss of a broker",
		            "topic \"%s\" has %d replica%s%s: an acknowledged event can be lost with one broker", t->name, t->replicas,
		            t->replicas == 1 ? "" : "s", t->min_in_sync == 1 ? " and min.insync.replicas 1" : "");
	else if (t->min_in_sync == t->replicas)
		checkup_add(c, FINDING_WARNING, "topic", "give the topic one replica more than min.insync.replicas",
		            "topic \"%s\" has as many replicas as min.insync.replicas, %d: any broker's restart stops it", t->name,
		            t->replicas);
}

static void
judge_topic(const struct cluster *cl, const struct cluster_topic *t, int64_t largest, struct checkup *c)
{
	size_t before = c->count;

	switch (t->state) {
	case CLUSTER_TOPIC_FOUND:
		judge_size(cl, t, largest, c);
		judge_replicas(t, c);
		if (c->count == before)
			checkup_add(c, FINDING_OK, "topic", NULL, "topic \"%s\" has %d partitions of %d replicas and takes messages of %" PRId64 " bytes",
			            t->name, t->partitions, t->replicas, t->message_max);
		break;
	case CLUSTER_TOPIC_MISSING:
		checkup_add(c, FINDING_ERROR, "topic", "create it: its events wait until it is there, unless the brokers create topics on sight",
		            "topic \"%s\" does not exist", t->name);
		break;
	case CLUSTER_TOPIC_DENIED:
		checkup_add(c, FINDING_ERROR, "topic", "grant the principal Write and DescribeConfigs on the topic",
		            "topic \"%s\" may not be written to: the principal is not authorized", t->name);
		break;
	case CLUSTER_TOPIC_UNKNOWN:
		c->unreachable = true;
		checkup_add(c, FINDING_WARNING, "topic", "look again; see the brokers' logs", "topic \"%s\" could not be looked at: %s", t->name,
		            t->reason);
		break;
	}
}

static void
judge_cluster(const struct cluster *cl, const char *brokers, struct checkup *c)
{
	if (cl->reached)
		checkup_add(c, FINDING_OK, "kafka", NULL, "connected to Kafka: %d broker%s", cl->brokers, cl->brokers == 1 ? "" : "s");
	else if (cl->refused)
		checkup_add(c, FINDING_ERROR, "kafka", "look at security.protocol, sasl.* and ssl.* in kafka.properties and kafka.property_files",
		            "Kafka at \"%s\" does not let us in: %s", brokers, cl->reason);
	else {
		c->unreachable = true;
		checkup_add(c, FINDING_WARNING, "kafka", "check kafka.brokers, the network, and whether the brokers expect TLS",
		            "Kafka at \"%s\" cannot be reached: %s", brokers, cl->reason[0] != '\0' ? cl->reason : "no answer");
	}
	if (cl->fatal[0] != '\0')
		checkup_add(c, FINDING_ERROR, "kafka", "grant the principal IdempotentWrite on the cluster, or Write on the topics",
		            "the producer may not work: %s", cl->fatal);
}

void
checkup_kafka(const struct config *cfg, const struct checkup_topics *topics, struct checkup *c)
{
	struct cluster_topic looked[CHECKUP_TOPICS_MAX];
	struct plan plan __attribute__((cleanup(plan_done))) = {.router = NULL};
	struct cluster cl;
	struct error err;

	for (size_t i = 0; i < topics->count; i++)
		looked[i].name = topics->items[i].name;
	if (plan_init(&plan, cfg, &err) != 0 || cluster_look(&plan.producer, true, LOOK_MS, looked, topics->count, &cl, &err) != 0) {
		checkup_add_error(c, "kafka", &err);
		return;
	}
	judge_cluster(&cl, cfg->kafka.brokers, c);
	if (!cl.reached)
		return;
	for (size_t i = 0; i < topics->count; i++)
		judge_topic(&cl, &looked[i], topics->items[i].largest, c);
	if (topics->more)
		checkup_add(c, FINDING_OK, "topic", NULL, "more than %d topics are meant by unsent events: the others were not looked at",
		            CHECKUP_TOPICS_MAX);
	if (topics->count == 0)
		checkup_add(c, FINDING_OK, "topic", NULL, "no topic is known: kafka.topic is made of columns, and nothing is unsent");
}
