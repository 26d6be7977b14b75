/* From an event's ids and the JSON text of its headers to Kafka's headers. */
#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "route/headers.h"
#include "support/tap.h"

#define EVENT_ID "0af76519-16cd-43dd-8448-eb211c80319c"

struct result {
	struct arena arena;
	const struct header *headers;
	size_t count;
	struct error err;
	int status;
	char *text; /* a copy of just the JSON's bytes, so that a read behind them is seen */
};

static void
build_slice(struct result *r, struct slice json)
{
	*r = (struct result){.arena = ARENA_INIT};
	if (!slice_is_null(json)) {
		r->text = malloc(json.len + (json.len == 0));
		memcpy(r->text, json.data, json.len);
	}
	struct event ev = {
		.event_id = slice_from(EVENT_ID),
		.event_type = slice_from("created"),
		.headers = {r->text, json.len},
	};
	r->status = headers_build(&ev, &r->arena, &r->headers, &r->count, &r->err);
}

static void
build(struct result *r, const char *json)
{
	build_slice(r, slice_from(json));
}

static void
drop(struct result *r)
{
	arena_done(&r->arena);
	free(r->text);
}

static void
expect_header(const struct header *h, const char *name, struct slice value)
{
	CU_ASSERT_STRING_EQUAL(h->name, name);
	CU_ASSERT(slice_equal(h->value, value));
}

/* One header of the event's own, behind the two that every message has. */
static void
expect_one(const char *json, const char *name, struct slice value)
{
	struct result r;

	build(&r, json);
	CU_ASSERT_EQUAL(r.status, 0);
	if (r.status != 0)
		fprintf(stderr, "# %s: %s\n", json, r.err.message);
	CU_ASSERT_EQUAL(r.count, 3);
	if (r.status == 0 && r.count == 3) {
		expect_header(&r.headers[0], "id", slice_from(EVENT_ID));
		expect_header(&r.headers[1], "type", slice_from("created"));
		expect_header(&r.headers[2], name, value);
	}
	drop(&r);
}

static void
expect_value(const char *json_value, struct slice value)
{
	char json[512];

	snprintf(json, sizeof json, "{\"n\":%s}", json_value);
	expect_one(json, "n", value);
	snprintf(json, sizeof json, " { \"n\"\t:\r\n %s\n} ", json_value);
	expect_one(json, "n", value);
}

static void
expect_none(const char *json)
{
	struct result r;

	build(&r, json);
	CU_ASSERT_EQUAL(r.status, 0);
	CU_ASSERT_EQUAL(r.count, 2);
	drop(&r);
}

static void
expect_poison_slice(struct slice json, const char *message)
{
	struct result r;

	build_slice(&r, json);
	CU_ASSERT_EQUAL(r.status, -1);
	CU_ASSERT_PTR_NULL(r.headers);
	CU_ASSERT_EQUAL(r.count, 0);
	if (r.status == -1) {
		CU_ASSERT_EQUAL(r.err.kind, ERR_POISON);
		CU_ASSERT_STRING_EQUAL(r.err.message, message);
		if (strcmp(r.err.message, message) != 0)
			fprintf(stderr, "# got: %s\n# not: %s\n", r.err.message, message);
		CU_ASSERT_PTR_NULL(strstr(r.err.message, "SECRET"));
		CU_ASSERT_PTR_NULL(strstr(r.err.hint, "SECRET"));
	}
	drop(&r);
}

static void
expect_poison(const char *json, const char *message)
{
	expect_poison_slice(slice_from(json), message);
}

static void
none_of_its_own(void)
{
	expect_none(NULL);
	expect_none("{}");
	expect_none(" { \n\t\r} ");
	expect_none("null");
	expect_none(" null\n");
}

static void
ids_that_are_null_are_left_out(void)
{
	struct arena arena = ARENA_INIT;
	struct event ev = {.event_type = slice_from(""), .headers = slice_from("{\"a\":\"b\"}")};
	const struct header *headers;
	size_t count;
	struct error err;

	CU_ASSERT_EQUAL_FATAL(headers_build(&ev, &arena, &headers, &count, &err), 0);
	CU_ASSERT_EQUAL_FATAL(count, 2);
	expect_header(&headers[0], "type", slice_from(""));
	expect_header(&headers[1], "a", slice_from("b"));
	arena_done(&arena);
}

static void
strings(void)
{
	expect_value("\"plain\"", slice_from("plain"));
	expect_value("\"\"", slice_from(""));
	expect_value("\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x98\"", slice_from("gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x98"));
	expect_value("\"\x7f\xff\"", slice_from("\x7f\xff"));
	expect_value("\"{}[],:null\"", slice_from("{}[],:null"));
}

static void
escapes(void)
{
	expect_value("\"\\\"\"", slice_from("\""));
	expect_value("\"\\\\\"", slice_from("\\"));
	expect_value("\"\\/\"", slice_from("/"));
	expect_value("\"\\b\"", slice_from("\b"));
	expect_value("\"\\f\"", slice_from("\f"));
	expect_value("\"\\n\"", slice_from("\n"));
	expect_value("\"\\r\"", slice_from("\r"));
	expect_value("\"\\t\"", slice_from("\t"));
	expect_value("\"a\\nb\\\\n\\tc\"", slice_from("a\nb\\n\tc"));
	expect_value("\"\\u0041\\u00e9\\u00E9\\u20ac\"", slice_from("A\xc3\xa9\xc3\xa9\xe2\x82\xac"));
	expect_value("\"a\\u0000b\"", (struct slice){"a\0b", 3});
	expect_value("\"\\u0000\"", (struct slice){"", 1});
}

static void
unicode_edges(void)
{
	expect_value("\"\\u007f\\u0080\"", slice_from("\x7f\xc2\x80"));
	expect_value("\"\\u07ff\\u0800\"", slice_from("\xdf\xbf\xe0\xa0\x80"));
	expect_value("\"\\ud7ff\\ue000\\uffff\"", slice_from("\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"));
	expect_value("\"\\ud800\\udc00\"", slice_from("\xf0\x90\x80\x80"));
	expect_value("\"\\uDBFF\\uDFFF\"", slice_from("\xf4\x8f\xbf\xbf"));
	expect_value("\"\\ud83d\\udc18!\"", slice_from("\xf0\x9f\x90\x98!"));
}

static void
lone_surrogates(void)
{
	static const char *const bad[] = {
		"{\"n\":\"\\ud83d\"}",        "{\"n\":\"\\ud83dx\"}",       "{\"n\":\"\\ud83d\\n\"}",
		"{\"n\":\"\\ud83d\\u0041\"}", "{\"n\":\"\\ud83d\\ud83d\"}", "{\"n\":\"\\udc18\"}",
		"{\"n\":\"\\udfff\\ud800\"}", "{\"\\udbff\":\"n\"}",        "{\"n\":\"\\ud83d\\ue000\"}",
		"{\"n\":\"\\udc18\\udc18\"}",
	};
	static const int byte[] = {7, 7, 7, 7, 7, 7, 7, 3, 7, 7};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char message[128];
		snprintf(message, sizeof message, "headers are not valid JSON: half of a surrogate pair at byte %d", byte[i]);
		expect_poison(bad[i], message);
	}
}

static void
bad_strings(void)
{
	expect_poison("{\"n\":\"SECRET", "headers are not valid JSON: string without an end at byte 13");
	expect_poison("{\"n\":\"SECRET\\", "headers are not valid JSON: unknown escape at byte 14");
	expect_poison("{\"n\":\"SECRET\n\"}", "headers are not valid JSON: control byte in a string at byte 13");
	expect_poison("{\"n\":\"\\nSECRET\x01\"}", "headers are not valid JSON: control byte in a string at byte 15");
	expect_poison_slice((struct slice){"{\"n\":\"a\0b\"}", 11},
	                    "headers are not valid JSON: control byte in a string at byte 8");
	expect_poison("{\"n\":\"\\x41\"}", "headers are not valid JSON: unknown escape at byte 8");
	expect_poison("{\"n\":\"\\N\"}", "headers are not valid JSON: unknown escape at byte 8");
	expect_poison("{\"n\":\"\\\xc3\xa9\"}", "headers are not valid JSON: unknown escape at byte 8");
	expect_poison("{\"n\":\"\\u12\"}",
	              "headers are not valid JSON: \"\\u\" without four hexadecimal digits at byte 11");
	expect_poison("{\"n\":\"\\u12", "headers are not valid JSON: \"\\u\" without four hexadecimal digits at byte 11");
	expect_poison("{\"n\":\"\\u00g0\"}",
	              "headers are not valid JSON: \"\\u\" without four hexadecimal digits at byte 11");
	expect_poison("{'n':1}", "headers are not valid JSON: no name at byte 2");
}

static void
numbers_keep_their_text(void)
{
	static const char *const good[] = {
		"0", "-0", "7", "-7", "1.10", "0.0", "12345678901234567890", "-98765432109876543210.000", "1e5", "1E+05",
		"1.5e-300", "1e999999",
	};
	static const char *const bad[] = {
		"-", "+1", "1.", ".5", "1e", "1e+", "-a", "NaN", "Infinity", "0x", "e5", "1.e5",
	};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		expect_value(good[i], slice_from(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char json[64];
		struct result r;
		snprintf(json, sizeof json, "{\"n\":%s}", bad[i]);
		build(&r, json);
		CU_ASSERT_EQUAL(r.status, -1);
		CU_ASSERT_EQUAL(r.err.kind, ERR_POISON);
		drop(&r);
	}
	expect_poison("{\"n\":01}", "headers are not valid JSON: neither \",\" nor \"}\" at byte 7");
	expect_poison("{\"n\":1", "headers are not valid JSON: neither \",\" nor \"}\" at byte 7");
}

static void
words(void)
{
	expect_value("true", slice_from("true"));
	expect_value("false", slice_from("false"));
	expect_value("null", SLICE_NULL);
	expect_poison("{\"n\":True}", "headers are not valid JSON: no value at byte 6");
	expect_poison("{\"n\":nul}", "headers are not valid JSON: no value at byte 6");
	expect_poison("{\"n\":nullx}", "headers are not valid JSON: neither \",\" nor \"}\" at byte 10");
	expect_poison("{\"n\":tru", "headers are not valid JSON: no value at byte 6");
}

static void
nested_values(void)
{
	expect_poison("{\"n\":{}}", "header \"n\" holds an object");
	expect_poison("{\"n\":[\"SECRET\"]}", "header \"n\" holds an array");
	expect_poison("{\"a\":1, \"caf\\u00e9\": {\"b\":\"SECRET\"}}", "header \"caf\\xc3\\xa9\" holds an object");
}

static void
not_an_object(void)
{
	static const char *const bad[] = {"[]", "[1,2]", "\"SECRET\"", "12", "true", "", "  ", "SECRET", "nul"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		expect_poison(bad[i], "headers are not a JSON object");
}

static void
broken_objects(void)
{
	expect_poison("{", "headers are not valid JSON: no name at byte 2");
	expect_poison("{\"n\"", "headers are not valid JSON: no \":\" at byte 5");
	expect_poison("{\"n\" 1}", "headers are not valid JSON: no \":\" at byte 6");
	expect_poison("{\"n\":", "headers are not valid JSON: no value at byte 6");
	expect_poison("{\"n\":}", "headers are not valid JSON: no value at byte 6");
	expect_poison("{\"n\":1,}", "headers are not valid JSON: no name at byte 8");
	expect_poison("{,}", "headers are not valid JSON: no name at byte 2");
	expect_poison("{n:1}", "headers are not valid JSON: no name at byte 2");
	expect_poison("{\"n\":1 \"m\":2}", "headers are not valid JSON: neither \",\" nor \"}\" at byte 8");
	expect_poison("{}{}", "headers are not valid JSON: more than one value at byte 3");
	expect_poison("{} x", "headers are not valid JSON: more than one value at byte 4");
	expect_poison("null null", "headers are not valid JSON: more than one value at byte 6");
	expect_poison("nullx", "headers are not valid JSON: more than one value at byte 5");
	expect_poison_slice((struct slice){"{}\0", 3}, "headers are not valid JSON: more than one value at byte 3");
}

static void
names(void)
{
	expect_one("{\"\":\"x\"}", "", slice_from("x"));
	expect_one("{\"a b.c/d-\\\"e\\\"\":\"x\"}", "a b.c/d-\"e\"", slice_from("x"));
	expect_one("{\"\\ud83d\\udc18\":\"x\"}", "\xf0\x9f\x90\x98", slice_from("x"));
	expect_one("{\"ID\":\"x\"}", "ID", slice_from("x"));
	expect_one("{\"ids\":\"x\"}", "ids", slice_from("x"));
	expect_one("{\"types\":\"x\"}", "types", slice_from("x"));
	expect_poison("{\"id\":\"SECRET\"}", "header name \"id\" is taken");
	expect_poison("{\"a\":1,\"type\":\"SECRET\"}", "header name \"type\" is taken");
	expect_poison("{\"\\u0069d\":\"SECRET\"}", "header name \"id\" is taken");
	expect_poison("{\"a\\u0000b\":\"SECRET\"}", "header name \"a\\x00b\" has a NUL character");
}

/* Names repeat only in a "json" column. All stay, in order: who asks for the last one sees what SQL would see. */
static void
order_and_repeated_names(void)
{
	struct result r;

	build(&r, "{\"b\":\"1\",\"a\":2,\"b\":\"\\u0033\",\"c\":null}");
	CU_ASSERT_EQUAL_FATAL(r.status, 0);
	CU_ASSERT_EQUAL_FATAL(r.count, 6);
	expect_header(&r.headers[2], "b", slice_from("1"));
	expect_header(&r.headers[3], "a", slice_from("2"));
	expect_header(&r.headers[4], "b", slice_from("3"));
	expect_header(&r.headers[5], "c", SLICE_NULL);
	drop(&r);
}

static char *
object_of(size_t members)
{
	char *json = malloc(members * 5 + 2);
	size_t n = 0;

	json[n++] = '{';
	for (size_t i = 0; i < members; i++) {
		memcpy(json + n, "\"\":0,", 5);
		n += 5;
	}
	json[n - 1] = '}';
	json[n] = '\0';
	return json;
}

static void
as_many_as_allowed(void)
{
	struct result r;
	char *json = object_of(HEADERS_MAX);

	build(&r, json);
	CU_ASSERT_EQUAL(r.status, 0);
	CU_ASSERT_EQUAL(r.count, HEADERS_MAX + 2);
	drop(&r);
	free(json);

	json = object_of(HEADERS_MAX + 1);
	expect_poison(json, "event has more than 1000 headers of its own");
	free(json);
}

static void
as_large_as_allowed(void)
{
	size_t len = HEADERS_BYTES_MAX;
	char *json = malloc(len + 1);
	struct result r;

	memset(json, 'v', len + 1);
	memcpy(json, "{\"n\":\"", 6);
	memcpy(json + len - 2, "\"}", 2);
	build_slice(&r, (struct slice){json, len});
	CU_ASSERT_EQUAL_FATAL(r.status, 0);
	CU_ASSERT_EQUAL_FATAL(r.count, 3);
	CU_ASSERT_EQUAL(r.headers[2].value.len, len - 8);
	drop(&r);

	memcpy(json + len - 2, "v\"}", 3);
	expect_poison_slice((struct slice){json, len + 1},
	                    "headers are too large: 1048577 bytes of JSON, at most 1048576 are taken");
	free(json);
}

/* A hint goes with what a person may not know. */
static void
hints(void)
{
	struct result r;

	build(&r, "[1]");
	CU_ASSERT_STRING_EQUAL(r.err.hint, "the headers column holds a flat JSON object, such as {\"name\": \"value\"}");
	drop(&r);
	build(&r, "{\"n\":[]}");
	CU_ASSERT_STRING_EQUAL(r.err.hint, "a header's value is a string, a number, a boolean or null");
	drop(&r);
	build(&r, "{\"id\":1}");
	CU_ASSERT_STRING_EQUAL(r.err.hint,
	                       "\"id\" and \"type\" are set from the event itself, give the header another name");
	drop(&r);
}

/* Every prefix of a good text is either refused or, cut by chance at a good place, taken; none reads behind its end. */
static void
every_prefix(void)
{
	static const char json[] = "{\"a\": \"x\\u00e9\\ud83d\\udc18\", \"b\\t\": -1.5e+3, \"c\": null, \"d\": true}";

	for (size_t len = 1; len < sizeof json - 1; len++) {
		struct result r;
		build_slice(&r, (struct slice){json, len});
		CU_ASSERT_EQUAL(r.status, -1);
		drop(&r);
	}
	struct result r;
	build(&r, json);
	CU_ASSERT_EQUAL(r.status, 0);
	CU_ASSERT_EQUAL(r.count, 6);
	drop(&r);
}

int
main(void)
{
	tap_suite("headers");
	tap_test("none of its own", none_of_its_own);
	tap_test("ids that are null are left out", ids_that_are_null_are_left_out);
	tap_test("strings", strings);
	tap_test("escapes", escapes);
	tap_test("unicode edges", unicode_edges);
	tap_test("lone surrogates", lone_surrogates);
	tap_test("bad strings", bad_strings);
	tap_test("numbers keep their text", numbers_keep_their_text);
	tap_test("words", words);
	tap_test("nested values", nested_values);
	tap_test("not an object", not_an_object);
	tap_test("broken objects", broken_objects);
	tap_test("names", names);
	tap_test("order and repeated names", order_and_repeated_names);
	tap_test("as many as allowed", as_many_as_allowed);
	tap_test("as large as allowed", as_large_as_allowed);
	tap_test("hints", hints);
	tap_test("every prefix", every_prefix);
	return tap_run();
}
