/* test_producer.c - starting and sending with librdkafka's failures scripted. The mock cluster shows what works. */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

static int calloc_fails, eventfd_fails;

static inline int
try_eventfd(unsigned value, int flags)
{
	if (eventfd_fails)
		return errno = EMFILE, -1;
	return eventfd(value, flags);
}

#define calloc(count, size) (calloc_fails ? NULL : calloc(count, size))
#define eventfd(value, flags) try_eventfd(value, flags)
#include "sink/producer.c"
#include "sink/send.c"
#undef calloc
#undef eventfd

#include "support/tap.h"

static struct producer p;
static struct topic *topic;
static struct error err;
static enum send_class class;

static struct {
	rd_kafka_resp_err_t new_fails, produce_fails;
	int confs, headers, errors, produced, purges, limits_asked, topics_fail;
	int64_t timestamp;
	size_t parts;
} fake;

struct rd_kafka_error_s {
	rd_kafka_resp_err_t code;
};

static char some[1];
#define SOME ((void *)some)

rd_kafka_t *
rd_kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *reason, size_t size)
{
	(void)conf;
	TAP_INT(type, RD_KAFKA_PRODUCER);
	snprintf(reason, size, "no reason");
	return NULL;
}

rd_kafka_resp_err_t
rd_kafka_last_error(void)
{
	return fake.new_fails;
}

/* Promise 2: nothing may go out while messages are dropped. */
rd_kafka_resp_err_t
rd_kafka_purge(rd_kafka_t *rk, int flags)
{
	(void)rk;
	TAP_INT(flags, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
	CU_ASSERT(p.sockets.cut);
	fake.purges++;
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_headers_t *
rd_kafka_headers_new(size_t count)
{
	(void)count;
	fake.headers++;
	return SOME;
}

rd_kafka_resp_err_t
rd_kafka_header_add(rd_kafka_headers_t *headers, const char *name, ssize_t name_size, const void *value, ssize_t size)
{
	(void)headers, (void)name, (void)name_size, (void)value, (void)size;
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

void
rd_kafka_headers_destroy(rd_kafka_headers_t *headers)
{
	(void)headers;
	fake.headers--;
}

rd_kafka_error_t *
rd_kafka_produceva(rd_kafka_t *rk, const rd_kafka_vu_t *parts, size_t count)
{
	static struct rd_kafka_error_s error;

	(void)rk;
	fake.parts = count;
	for (size_t i = 0; i < count; i++)
		if (parts[i].vtype == RD_KAFKA_VTYPE_TIMESTAMP)
			fake.timestamp = parts[i].u.i64;
	fake.produced++;
	error.code = fake.produce_fails;
	if (error.code == RD_KAFKA_RESP_ERR_NO_ERROR)
		return NULL;
	fake.errors++;
	return &error;
}

rd_kafka_resp_err_t
rd_kafka_error_code(const rd_kafka_error_t *error)
{
	return error->code;
}

void
rd_kafka_error_destroy(rd_kafka_error_t *error)
{
	(void)error;
	fake.errors--;
}

struct topic *
topics_find(const struct topics *ts, const char *name)
{
	(void)ts;
	return strcmp(name, topic->name) == 0 ? topic : NULL;
}

int
topics_get(struct topics *ts, const char *name, struct topic **ret_topic, struct error *e)
{
	(void)ts, (void)name;
	if (fake.topics_fail)
		return error_set(e, ERR_RETRY, "no topic");
	*ret_topic = topic;
	return 0;
}

void
topics_ask_limit(struct topics *ts, struct topic *t)
{
	(void)ts;
	t->limit_asked = true;
	fake.limits_asked++;
}

void
topics_keep(struct topics *ts, struct topic *t, int64_t now_us)
{
	(void)ts, (void)t, (void)now_us;
}

void
topics_init(struct topics *ts, rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *name)
{
	(void)ts, (void)rk, (void)queue;
	TAP_STR(name, "murmur2_random");
}

int32_t
topics_partition(const struct topic *t, struct slice key)
{
	(void)t, (void)key;
	return 5;
}

void
topics_done(struct topics *ts)
{
	(void)ts;
}

void
producer_fire(struct watch *w, short revents, int64_t now_us)
{
	(void)w, (void)revents, (void)now_us;
}

int64_t
producer_deadline(const struct producer *made)
{
	return made->dead_due_us;
}

static void
setup(void)
{
	memset(&fake, 0, sizeof fake);
	calloc_fails = eventfd_fails = 0;
	topic = calloc(1, sizeof *topic + 8);
	CU_ASSERT_PTR_NOT_NULL_FATAL(topic);
	memcpy(topic->name, "orders", 7);
	p = (struct producer){.watch = {.fd = -1}, .dead_due_us = CLOCK_NEVER, .message_max = 5000, .batch_bytes_next = 77};
	p.topics.due_us = CLOCK_NEVER;
	class = SEND_OK;
}

static void
teardown(void)
{
	TAP_INT(fake.errors, 0);
	free(topic);
}

static int
start(void)
{
	struct producer_options opt = {.brokers = "b:1", .client_id = "id"};
	struct producer_events events = {0};
	struct producer *made = NULL;
	int status = producer_new(&opt, &events, &made, &err);

	CU_ASSERT_PTR_NULL(made);
	return status;
}

static int
lowest_free_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void
test_start_fails(void)
{
	int fd = lowest_free_fd();

	calloc_fails = 1;
	TAP_INT(start(), -1);
	TAP_INT(err.kind, ERR_RETRY);
	calloc_fails = 0;
	eventfd_fails = 1;
	TAP_INT(start(), -1);
	TAP_INT(err.kind, ERR_RETRY);
	TAP_HAS(err.message, "Too many open files");
	eventfd_fails = 0;
	fake.new_fails = RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE;
	TAP_INT(start(), -1);
	TAP_INT(err.kind, ERR_RETRY);
	TAP_HAS(err.message, "no reason");
	fake.new_fails = RD_KAFKA_RESP_ERR__INVALID_ARG;
	TAP_INT(start(), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	CU_ASSERT(err.hint[0] != '\0');
	TAP_INT(lowest_free_fd(), fd);
}

static int
send_bytes(size_t size)
{
	static char value[8192];
	static const struct header headers[] = {{"a", {"12", 2}}, {"bc", SLICE_NULL}};
	struct message m = {"orders", {"key", 3}, {value, size}, -5, headers, 2};

	return producer_send(&p, &m, NULL, &class, &err);
}

static void
expect_failure(rd_kafka_resp_err_t code, enum send_class expected, enum err_kind kind)
{
	fake.produce_fails = code;
	TAP_INT(send_bytes(10), -1);
	TAP_INT(class, expected);
	TAP_INT(err.kind, kind);
	TAP_INT(fake.headers, 0);
	TAP_INT(producer_in_flight(&p), 0);
	TAP_INT(topic->in_flight, 0);
}

static void
test_send_fails(void)
{
	expect_failure(RD_KAFKA_RESP_ERR__QUEUE_FULL, SEND_OUTAGE, ERR_RETRY);
	expect_failure(RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, SEND_TOPIC, ERR_RETRY);
	TAP_HAS(err.message, "\"orders\"");
	expect_failure(RD_KAFKA_RESP_ERR_INVALID_RECORD, SEND_TOPIC, ERR_RETRY);
	expect_failure(RD_KAFKA_RESP_ERR__FATAL, SEND_FATAL, ERR_RETRY);
	expect_failure(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, SEND_POISON, ERR_POISON);
	TAP_HAS(err.message, "22 bytes");
	TAP_HAS(err.message, "5000");
	fake.topics_fail = 1;
	TAP_INT(send_bytes(10), -1);
	TAP_INT(class, SEND_TOPIC);
	TAP_STR(err.message, "no topic");
}

static void
test_dying_takes_nothing(void)
{
	p.life = PRODUCER_DYING;
	snprintf(p.reason, sizeof p.reason, "lost its place");
	TAP_INT(send_bytes(10), -1);
	TAP_INT(class, SEND_FATAL);
	TAP_HAS(err.message, "lost its place");
	TAP_INT(fake.produced, 0);
}

static void
test_send(void)
{
	TAP_INT(send_bytes(10), 0);
	TAP_INT(fake.headers, 1);
	TAP_INT(fake.parts, 6);
	TAP_INT(fake.timestamp, 0);
	TAP_INT(producer_in_flight(&p), 1);
	CU_ASSERT_TRUE(topic->alone);
	TAP_INT(send_bytes(10), 0);
	CU_ASSERT_FALSE(topic->alone);
	TAP_INT(topic->in_flight, 2);
	TAP_INT(producer_batch_bytes(&p), 77);
}

/* 68 for the batch, 3 key, 2 + 2 headers' overhead, 1 + 2 + 2 their names and value. */
static void
test_limit(void)
{
	topic->limit_bytes = 68 + 3 + 4 + 5 + 100;
	topic->limit_us = clock_mono_us();
	TAP_INT(send_bytes(100), 0);
	TAP_INT(send_bytes(101), -1);
	TAP_INT(class, SEND_POISON);
	TAP_INT(err.kind, ERR_POISON);
	TAP_INT(fake.produced, 1);
	TAP_INT(fake.limits_asked, 0);
	topic->limit_us -= LIMIT_FRESH_US + 1;
	TAP_INT(send_bytes(101), -1);
	TAP_INT(class, SEND_TOPIC);
	TAP_INT(err.kind, ERR_RETRY);
	TAP_INT(fake.limits_asked, 1);
	TAP_INT(send_bytes(101), -1);
	TAP_INT(class, SEND_TOPIC);
	/* the answer came, and the event only much later: it decides all the same, once */
	topic->limit_asked = false;
	TAP_INT(send_bytes(101), -1);
	TAP_INT(class, SEND_POISON);
	TAP_INT(send_bytes(101), -1);
	TAP_INT(class, SEND_TOPIC);
	p.compresses = true;
	TAP_INT(send_bytes(101), 0);
}

static void
test_message_max(void)
{
	TAP_INT(producer_message_max(&p, "never seen"), 5000);
	TAP_INT(producer_message_max(&p, "orders"), 5000);
	topic->limit_bytes = 1000;
	TAP_INT(producer_message_max(&p, "orders"), 1000 - 68);
	topic->limit_bytes = 10;
	TAP_INT(producer_message_max(&p, "orders"), 0);
	topic->limit_bytes = 100000;
	TAP_INT(producer_message_max(&p, "orders"), 5000);
	topic->limit_bytes = 1000;
	p.compresses = true;
	TAP_INT(producer_message_max(&p, "orders"), 5000);
}

static void
test_warm(void)
{
	topic->limit_us = clock_mono_us();
	producer_warm_topic(&p, "orders");
	TAP_INT(fake.limits_asked, 0);
	topic->limit_us -= LIMIT_AGAIN_US + 1;
	producer_warm_topic(&p, "orders");
	producer_warm_topic(&p, "orders");
	TAP_INT(fake.limits_asked, 1);
	topic->limit_asked = false;
	topic->limit_bytes = 5;
	producer_warm_topic(&p, "orders");
	TAP_INT(fake.limits_asked, 1);
	fake.topics_fail = 1;
	producer_warm_topic(&p, "orders");
}

static void
test_purge(void)
{
	struct message m = {.topic = "orders"};

	producer_purge(&p);
	TAP_INT(fake.purges, 1);
	TAP_INT(producer_send(&p, &m, SOME, &class, &err), -1);
	TAP_INT(class, SEND_OUTAGE);
	TAP_INT(fake.produced, 0);
}

int
main(void)
{
	tap_suite_fixture("producer calls", setup, teardown);
	tap_test("starting fails without a leak", test_start_fails);
	tap_test("sending fails with the right class", test_send_fails);
	tap_test("a dying producer takes nothing", test_dying_takes_nothing);
	tap_test("sending counts", test_send);
	tap_test("a limit refuses beforehand, an old one asks again", test_limit);
	tap_test("the largest message", test_message_max);
	tap_test("warming asks for a missing limit once a minute", test_warm);
	tap_test("nothing leaves any more when a purge begins", test_purge);
	return tap_run();
}
