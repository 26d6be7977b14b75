/* Templates bound to columns, and events routed by them. */
#include <CUnit/CUnit.h>
#include <stdint.h>
#include <stdio.h>

#include "route/router.h"
#include "support/tap.h"

static const char *const default_columns[COL_COUNT] = {
	[COL_ID] = "id",
	[COL_EVENT_ID] = "event_id",
	[COL_AGGREGATE_TYPE] = "aggregate_type",
	[COL_AGGREGATE_ID] = "aggregate_id",
	[COL_EVENT_TYPE] = "event_type",
	[COL_PAYLOAD] = "payload",
	[COL_HEADERS] = "headers",
	[COL_TOPIC] = "topic",
	[COL_CREATED_AT] = "created_at",
	[COL_SENT_AT] = "sent_at",
};

static struct event
an_event(void)
{
	return (struct event){
		.id = 42,
		.event_id = slice_from("0af76519-16cd-43dd-8448-eb211c80319c"),
		.aggregate_type = slice_from("order"),
		.key = slice_from("k-7"),
		.event_type = slice_from("created"),
		.payload = slice_from("{\"total\": 1}"),
		.created_at_ms = 1700000000123,
	};
}

static struct router *
router_for(const char *template)
{
	struct router *r = NULL;
	struct error err;

	CU_ASSERT_EQUAL_FATAL(router_new(template, default_columns, &r, &err), 0);
	return r;
}

/* Routes by the template and expects the topic. */
static void
expect_topic(const char *template, const struct event *ev, const char *topic)
{
	struct arena arena = ARENA_INIT;
	struct router *r = router_for(template);
	struct message msg;
	struct error err;

	CU_ASSERT_EQUAL(router_route(r, ev, &arena, &msg, &err), 0);
	CU_ASSERT_STRING_EQUAL(msg.topic, topic);
	arena_done(&arena);
	router_free(r);
}

static void
expect_poison(const char *template, const struct event *ev, const char *message)
{
	struct arena arena = ARENA_INIT;
	struct router *r = router_for(template);
	struct message msg = {.timestamp_ms = 99};
	struct error err;

	CU_ASSERT_EQUAL(router_route(r, ev, &arena, &msg, &err), -1);
	CU_ASSERT_EQUAL(err.kind, ERR_POISON);
	CU_ASSERT_STRING_EQUAL(err.message, message);
	CU_ASSERT_EQUAL(msg.timestamp_ms, 99);
	arena_done(&arena);
	router_free(r);
}

static void
expect_config_error(const char *template, const char *const columns[COL_COUNT], const char *message, const char *hint)
{
	struct error err;
	struct router *const untouched = (struct router *)&err;
	struct router *r = untouched;

	CU_ASSERT_EQUAL_FATAL(router_new(template, columns, &r, &err), -1);
	CU_ASSERT_PTR_EQUAL(r, untouched);
	CU_ASSERT_EQUAL(err.kind, ERR_CONFIG);
	CU_ASSERT_STRING_EQUAL(err.message, message);
	CU_ASSERT_STRING_EQUAL(err.hint, hint);
}

static void
a_whole_message(void)
{
	struct arena arena = ARENA_INIT;
	struct router *r = router_for("${aggregate_type}");
	struct event ev = an_event();
	struct message msg;
	struct error err;

	ev.headers = slice_from("{\"tenant\": \"acme\", \"n\": 1.10}");
	CU_ASSERT_EQUAL_FATAL(router_route(r, &ev, &arena, &msg, &err), 0);
	CU_ASSERT_STRING_EQUAL(msg.topic, "order");
	CU_ASSERT_PTR_EQUAL(msg.key.data, ev.key.data);
	CU_ASSERT_EQUAL(msg.key.len, 3);
	CU_ASSERT_PTR_EQUAL(msg.value.data, ev.payload.data);
	CU_ASSERT_EQUAL(msg.value.len, ev.payload.len);
	CU_ASSERT_EQUAL(msg.timestamp_ms, 1700000000123);
	CU_ASSERT_EQUAL_FATAL(msg.headers_count, 4);
	CU_ASSERT_STRING_EQUAL(msg.headers[0].name, "id");
	CU_ASSERT(slice_equal(msg.headers[0].value, ev.event_id));
	CU_ASSERT_STRING_EQUAL(msg.headers[1].name, "type");
	CU_ASSERT(slice_equal(msg.headers[1].value, slice_from("created")));
	CU_ASSERT_STRING_EQUAL(msg.headers[2].name, "tenant");
	CU_ASSERT(slice_equal(msg.headers[2].value, slice_from("acme")));
	CU_ASSERT_STRING_EQUAL(msg.headers[3].name, "n");
	CU_ASSERT(slice_equal(msg.headers[3].value, slice_from("1.10")));
	arena_done(&arena);
	router_free(r);
}

static void
null_and_empty_payloads_and_keys(void)
{
	struct arena arena = ARENA_INIT;
	struct router *r = router_for("t");
	struct event ev = an_event();
	struct message msg;
	struct error err;

	ev.payload = SLICE_NULL;
	ev.key = SLICE_NULL;
	CU_ASSERT_EQUAL_FATAL(router_route(r, &ev, &arena, &msg, &err), 0);
	CU_ASSERT(slice_is_null(msg.value));
	CU_ASSERT(slice_is_null(msg.key));
	ev.payload = slice_from("");
	ev.key = slice_from("");
	CU_ASSERT_EQUAL_FATAL(router_route(r, &ev, &arena, &msg, &err), 0);
	CU_ASSERT(!slice_is_null(msg.value) && msg.value.len == 0);
	CU_ASSERT(!slice_is_null(msg.key) && msg.key.len == 0);
	arena_done(&arena);
	router_free(r);
}

static void
timestamps(void)
{
	static const struct {
		int64_t created_at_ms, timestamp_ms;
	} cases[] = {{-1, 0}, {0, 0}, {1, 1}, {-62135596800000, 0}, {INT64_MIN, 0}, {INT64_MAX, INT64_MAX}};
	struct arena arena = ARENA_INIT;
	struct router *r = router_for("t");
	struct event ev = an_event();
	struct message msg;
	struct error err;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		ev.created_at_ms = cases[i].created_at_ms;
		CU_ASSERT_EQUAL_FATAL(router_route(r, &ev, &arena, &msg, &err), 0);
		CU_ASSERT_EQUAL(msg.timestamp_ms, cases[i].timestamp_ms);
	}
	arena_done(&arena);
	router_free(r);
}

static void
topics_of_the_template(void)
{
	struct event ev = an_event();

	expect_topic("orders", &ev, "orders");
	expect_topic("${aggregate_type}", &ev, "order");
	expect_topic("app.${aggregate_type}.v1", &ev, "app.order.v1");
	expect_topic("${aggregate_type}${event_type}", &ev, "ordercreated");
	expect_topic("${aggregate_id}_${event_id}", &ev, "k-7_0af76519-16cd-43dd-8448-eb211c80319c");
	expect_topic("e${id}", &ev, "e42");
	ev.id = INT64_MIN;
	expect_topic("${id}", &ev, "-9223372036854775808");
	expect_topic("${id}.${id}", &ev, "-9223372036854775808.-9223372036854775808");
	ev.event_type = slice_from("");
	expect_topic("a${event_type}", &ev, "a");
}

static void
the_row_s_topic_comes_first(void)
{
	struct event ev = an_event();

	ev.topic = (struct slice){"audit.v2-and-more", 8};
	expect_topic("${aggregate_type}", &ev, "audit.v2");
	ev.aggregate_type = SLICE_NULL;
	expect_topic("${aggregate_type}", &ev, "audit.v2");
	ev.topic = slice_from("");
	expect_poison("${aggregate_type}", &ev, "topic name is empty");
	ev.topic = slice_from("no way");
	expect_poison("t", &ev, "topic \"no way\" is not a legal name: \" \" at byte 3");
	ev.topic = (struct slice){"a\0b", 3};
	expect_poison("t", &ev, "topic \"a\\x00b\" is not a legal name: \"\\x00\" at byte 2");
}

static void
illegal_results(void)
{
	struct event ev = an_event();

	ev.aggregate_type = slice_from("Order Line");
	expect_poison("a.${aggregate_type}", &ev, "topic \"a.Order Line\" is not a legal name: \" \" at byte 8");
	ev.aggregate_type = slice_from(".");
	expect_poison("${aggregate_type}", &ev, "topic \".\" is not a legal name");
	expect_poison(".${aggregate_type}", &ev, "topic \"..\" is not a legal name");
	ev.aggregate_type = slice_from("");
	expect_poison("${aggregate_type}", &ev, "topic name is empty");
}

static void
length_of_the_result(void)
{
	static const char *const templates[] = {
		"${aggregate_type}", "a${aggregate_type}", "${aggregate_type}${aggregate_type}a",
	};
	static const size_t longest[] = {249, 248, 124};
	char type[100000];
	struct event ev = an_event();

	memset(type, 'x', sizeof type);
	for (size_t i = 0; i < 3; i++) {
		struct arena arena = ARENA_INIT;
		struct router *r = router_for(templates[i]);
		struct message msg;
		struct error err;
		ev.aggregate_type = (struct slice){type, longest[i]};
		CU_ASSERT_EQUAL_FATAL(router_route(r, &ev, &arena, &msg, &err), 0);
		CU_ASSERT_EQUAL(strlen(msg.topic), 249);
		ev.aggregate_type.len++;
		CU_ASSERT_EQUAL(router_route(r, &ev, &arena, &msg, &err), -1);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "is too long"));
		CU_ASSERT_EQUAL(err.kind, ERR_POISON);
		ev.aggregate_type.len = sizeof type;
		CU_ASSERT_EQUAL(router_route(r, &ev, &arena, &msg, &err), -1);
		arena_done(&arena);
		router_free(r);
	}
}

static void
null_columns_are_named(void)
{
	struct event ev = an_event();
	struct slice extra[] = {SLICE_NULL};

	ev.extra = extra;
	expect_poison("a.${tenant}", &ev, "column \"tenant\" is NULL, and the topic is made of it");
	ev.event_type = SLICE_NULL;
	expect_poison("${aggregate_type}.${event_type}", &ev, "column \"event_type\" is NULL, and the topic is made of it");
	ev.key = SLICE_NULL;
	expect_poison("${aggregate_id}", &ev, "column \"aggregate_id\" is NULL, and the topic is made of it");
	ev.event_id = SLICE_NULL;
	expect_poison("${event_id}", &ev, "column \"event_id\" is NULL, and the topic is made of it");
}

static void
extra_columns(void)
{
	struct router *r = router_for("${region}.${aggregate_type}.${tenant}.${region}");
	struct arena arena = ARENA_INIT;
	struct event ev = an_event();
	struct slice extra[] = {slice_from("eu"), slice_from("acme")};
	struct message msg;
	struct error err;

	CU_ASSERT_EQUAL_FATAL(router_extra_count(r), 2);
	CU_ASSERT_STRING_EQUAL(router_extra_column(r, 0), "region");
	CU_ASSERT_STRING_EQUAL(router_extra_column(r, 1), "tenant");
	ev.extra = extra;
	CU_ASSERT_EQUAL_FATAL(router_route(r, &ev, &arena, &msg, &err), 0);
	CU_ASSERT_STRING_EQUAL(msg.topic, "eu.order.acme.eu");
	arena_done(&arena);
	router_free(r);

	r = router_for("a.${aggregate_type}");
	CU_ASSERT_EQUAL(router_extra_count(r), 0);
	router_free(r);
}

/* Columns go by the table's names for them; a default name that is mapped to nothing is an extra column. */
static void
mapped_columns(void)
{
	const char *columns[COL_COUNT] = {[COL_ID] = "seq", [COL_AGGREGATE_ID] = "order_no", [COL_TOPIC] = ""};
	struct arena arena = ARENA_INIT;
	struct router *r;
	struct event ev = an_event();
	struct slice extra[] = {slice_from("other"), slice_from("Upper")};
	struct message msg;
	struct error err;

	CU_ASSERT_EQUAL_FATAL(router_new("${seq}-${order_no}-${topic}-${SEQ}", columns, &r, &err), 0);
	CU_ASSERT_EQUAL_FATAL(router_extra_count(r), 2);
	CU_ASSERT_STRING_EQUAL(router_extra_column(r, 0), "topic");
	CU_ASSERT_STRING_EQUAL(router_extra_column(r, 1), "SEQ");
	ev.extra = extra;
	CU_ASSERT_EQUAL_FATAL(router_route(r, &ev, &arena, &msg, &err), 0);
	CU_ASSERT_STRING_EQUAL(msg.topic, "42-k-7-other-Upper");
	arena_done(&arena);
	router_free(r);
}

static void
refused_templates(void)
{
	static const char charset[] = "a topic name consists of ASCII letters, digits, \".\", \"_\" and \"-\"";
	char too_long[300];

	expect_config_error("", default_columns, "topic template is empty", "");
	expect_config_error("${a", default_columns, "template \"${a\": \"${\" without \"}\" at byte 1",
	                    "write a column as \"${column}\", and \"$$\" for a dollar sign");
	expect_config_error("a b", default_columns, "topic \"a b\" is not a legal name: \" \" at byte 2", charset);
	expect_config_error("..", default_columns, "topic \"..\" is not a legal name", "");
	expect_config_error("a/${aggregate_type}", default_columns, "topic template has \"/\" in its text", charset);
	expect_config_error("$$${aggregate_type}", default_columns, "topic template has \"$\" in its text", charset);
	expect_config_error("$${aggregate_type}", default_columns,
	                    "topic \"${aggregate_type}\" is not a legal name: \"$\" at byte 1", charset);
	memset(too_long, 'x', 250);
	memcpy(too_long + 250, "${id}", 6);
	expect_config_error(too_long, default_columns,
	                    "topic template has 250 bytes of text, a topic name has at most 249", "");
}

static void
refused_columns(void)
{
	const char *twice[COL_COUNT] = {[COL_ID] = "id", [COL_EVENT_ID] = "id"};
	static const struct {
		const char *column, *hint;
	} cases[] = {
		{"payload", "a payload is not part of a name"},
		{"headers", "headers are not part of a name"},
		{"topic", "the template is used only where that column is NULL"},
		{"created_at", "no topic name may hold a time's spaces and colons"},
		{"sent_at", "that column is NULL in every unsent event"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char template[64], message[128];
		snprintf(template, sizeof template, "a.${%s}", cases[i].column);
		snprintf(message, sizeof message, "topic template cannot use column \"%s\"", cases[i].column);
		expect_config_error(template, default_columns, message, cases[i].hint);
	}
	expect_config_error("t.${id}", twice, "topic template names column \"id\", which is mapped twice",
	                    "map each column of the table once");
}

static void
bad_headers_are_poison(void)
{
	struct event ev = an_event();

	ev.headers = slice_from("[]");
	expect_poison("t", &ev, "headers are not a JSON object");
}

/* What a message borrows or takes from the arena outlives neither; the router itself may go first. */
static void
message_outlives_the_router(void)
{
	struct arena arena = ARENA_INIT;
	struct router *r = router_for("fixed");
	struct event ev = an_event();
	struct message msg;
	struct error err;

	CU_ASSERT_EQUAL_FATAL(router_route(r, &ev, &arena, &msg, &err), 0);
	router_free(r);
	CU_ASSERT_STRING_EQUAL(msg.topic, "fixed");
	CU_ASSERT_STRING_EQUAL(msg.headers[0].name, "id");
	arena_done(&arena);
}

static void
freeing_nothing(void)
{
	router_free(NULL);
}

int
main(void)
{
	tap_suite("router");
	tap_test("a whole message", a_whole_message);
	tap_test("null and empty payloads and keys", null_and_empty_payloads_and_keys);
	tap_test("timestamps", timestamps);
	tap_test("topics of the template", topics_of_the_template);
	tap_test("the row's topic comes first", the_row_s_topic_comes_first);
	tap_test("illegal results", illegal_results);
	tap_test("length of the result", length_of_the_result);
	tap_test("null columns are named", null_columns_are_named);
	tap_test("extra columns", extra_columns);
	tap_test("mapped columns", mapped_columns);
	tap_test("refused templates", refused_templates);
	tap_test("refused columns", refused_columns);
	tap_test("bad headers are poison", bad_headers_are_poison);
	tap_test("message outlives the router", message_outlives_the_router);
	tap_test("freeing nothing", freeing_nothing);
	return tap_run();
}
