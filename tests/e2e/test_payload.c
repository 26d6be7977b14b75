/* test_payload.c - what arrives is byte for byte what was written, for every type of payload column. */
#include <stdlib.h>
#include <string.h>

#include "support/db.h"
#include "support/env.h"
#include "support/tap.h"
#include "support/topic.h"

enum { MEGABYTE = 1000000, MAX_CASES = 32, MAX_HEADERS = 12 };

struct own_header {
	const char *name;
	const char *value; /* NULL = a header without a value */
};

/* One event to write, and what must arrive of it. */
struct sample {
	const char *key;
	struct slice payload; /* data NULL = SQL's NULL */
	const char *headers;  /* JSON, or NULL */
	struct own_header own[MAX_HEADERS];
};

static struct env env;
static struct sample samples[MAX_CASES];
static int samples_count;

static void
end(void)
{
	samples_count = 0;
	env_end(&env);
}

static struct sample *
add(const char *key, struct slice payload)
{
	struct sample *s = &samples[samples_count];

	if (samples_count++ == MAX_CASES)
		CU_FAIL_FATAL("too many samples");
	*s = (struct sample){.key = key, .payload = payload};
	return s;
}

/* bytea travels as a binary parameter, so that no escaping stands between. */
static int64_t
insert(const struct sample *s, bool binary)
{
	const char *const values[] = {s->key, s->payload.data, s->headers};
	const int lengths[] = {0, (int)s->payload.len, 0};
	const int formats[] = {0, binary ? 1 : 0, 0};
	PGresult *res = PQexecParams(env.db,
	    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, headers)"
	    " VALUES ('bytes', $1, 'written \xc3\xa9\xe2\x82\xac', $2, $3::jsonb) RETURNING id",
	    3, NULL, values, lengths, formats, 0);
	int64_t id = 0;

	if (PQntuples(res) != 1)
		tap_diag("insert: %s", PQresultErrorMessage(res));
	else
		id = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	PQclear(res);
	CU_ASSERT_FATAL(id > 0);
	return id;
}

/* The row as the database holds it: binary, so that bytea comes as its bytes. */
static PGresult *
read_row(int64_t id, bool bytea)
{
	char sql[256];
	PGresult *res;

	snprintf(sql, sizeof(sql),
	    "SELECT event_id::text, aggregate_id, event_type, %s, floor(extract(epoch FROM created_at) * 1000)::int8::text"
	    " FROM outbox_events WHERE id = %lld", bytea ? "payload" : "payload::text", (long long)id);
	res = PQexecParams(env.db, sql, 0, NULL, NULL, NULL, NULL, 1);
	TAP_INT_FATAL(PQntuples(res), 1);
	return res;
}

static struct slice
field(const PGresult *res, int column)
{
	if (PQgetisnull(res, 0, column))
		return SLICE_NULL;
	return (struct slice){PQgetvalue(res, 0, column), (size_t)PQgetlength(res, 0, column)};
}

static bool
same(struct slice got, struct slice wanted, const char *what, int64_t row)
{
	bool equal = slice_equal(got, wanted);

	if (!equal)
		tap_diag("row %lld: %s differs: %zu bytes arrived%s, %zu were written%s", (long long)row, what, got.len,
		    got.data == NULL ? " (NULL)" : "", wanted.len, wanted.data == NULL ? " (NULL)" : "");
	CU_ASSERT(equal);
	return equal;
}

/* Headers "id" and "type", then the event's own in any order, and no others. */
static void
compare_headers(const rd_kafka_message_t *m, const struct sample *s, int64_t row)
{
	rd_kafka_headers_t *headers;
	const char *first = NULL, *second = NULL;
	const void *value;
	size_t len, own = 0;

	CU_ASSERT_FATAL(rd_kafka_message_headers(m, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR);
	(void)rd_kafka_header_get_all(headers, 0, &first, &value, &len);
	(void)rd_kafka_header_get_all(headers, 1, &second, &value, &len);
	TAP_STR(first, "id");
	TAP_STR(second, "type");
	for (; s->own[own].name != NULL; own++) {
		const char *wanted = s->own[own].value;

		value = NULL;
		len = 0;
		CU_ASSERT(rd_kafka_header_get_last(headers, s->own[own].name, &value, &len) == RD_KAFKA_RESP_ERR_NO_ERROR);
		same((struct slice){value, len}, slice_from(wanted), s->own[own].name, row);
	}
	TAP_INT(topic_header_count(m), own + 2);
}

static void
compare(const rd_kafka_message_t *m, const struct sample *s, int64_t row, bool bytea, bool verbatim)
{
	PGresult *res __attribute__((cleanup(db_clear))) = read_row(row, bytea);

	same(topic_header(m, "type"), field(res, 2), "header type", row);
	same(topic_key(m), slice_from(s->key), "key", row);
	same(topic_key(m), field(res, 1), "key", row);
	same(topic_value(m), field(res, 3), "payload", row);
	if (verbatim)
		same(topic_value(m), s->payload, "payload against the program's own bytes", row);
	TAP_INT(rd_kafka_message_timestamp(m, NULL), strtoll(PQgetvalue(res, 0, 4), NULL, 10));
	compare_headers(m, s, row);
}

static bool
is_row(const rd_kafka_message_t *m, int64_t row)
{
	PGresult *res __attribute__((cleanup(db_clear))) = read_row(row, false);

	return slice_equal(topic_header(m, "id"), field(res, 0));
}

static void
relay_and_compare(const char *type, bool verbatim)
{
	struct topic_reader *reader __attribute__((cleanup(topic_reader_close))) = NULL;
	struct env_config cfg = {.conninfo = NULL};
	bool bytea = strcmp(type, "bytea") == 0, seen[MAX_CASES] = {false};
	int64_t rows[MAX_CASES];
	const char *topic;
	struct error err;

	env_init(&env, &cfg);
	topic = env_topic(&env, "bytes");
	env_exec(&env, "ALTER TABLE outbox_events ALTER payload TYPE %s USING NULL", type);
	for (int i = 0; i < samples_count; i++)
		rows[i] = insert(&samples[i], bytea);
	env_daemon_start(&env, 0, &cfg);
	env_wait_int(&env, samples_count, 60000, "SELECT count(*) FROM outbox_events WHERE sent_at IS NOT NULL");
	env_daemon_stop(&env, 0);
	ENV_MUST(topic_reader_open(env.kafka, &topic, 1, 10000, &reader, &err), &err);
	for (int n = 0; n < samples_count; n++) {
		rd_kafka_message_t *m = topic_reader_next(reader, 10000);
		int i = 0;

		CU_ASSERT_FATAL(m != NULL);
		while (i < samples_count && !is_row(m, rows[i]))
			i++;
		CU_ASSERT_FATAL(i < samples_count && !seen[i]);
		seen[i] = true;
		compare(m, &samples[i], rows[i], bytea, verbatim);
		rd_kafka_message_destroy(m);
	}
	CU_ASSERT(topic_reader_next(reader, 500) == NULL);
}

/* Keys and headers, alike for every type. */
static void
add_common(struct slice small)
{
	struct sample *s;

	(void)add("\xd0\xba\xd0\xbb\xd1\x8e\xd1\x87-\xe9\x8d\xb5-\xf0\x9f\x94\x91", small);
	(void)add("", small);
	(void)add("quote' \"double\" back\\slash \t tab, comma", small);
	(void)add("tombstone", SLICE_NULL);
	s = add("no headers of its own", small);
	s->headers = "{}";
	s = add("odd headers", small);
	s->headers = "{\"empty\": \"\", \"with space\": \"v\", \"a=b\": \"c=d\","
	             " \"\\u00fcn\\u00efcode \\ud83d\\ude00\": \"\\u20ac\","
	             " \"escaped\": \"q\\\" b\\\\ n\\n t\\t \\u0001\", \"UPPER\": \"1\", \"\": \"no name\"}";
	s->own[0] = (struct own_header){"empty", ""};
	s->own[1] = (struct own_header){"with space", "v"};
	s->own[2] = (struct own_header){"a=b", "c=d"};
	s->own[3] = (struct own_header){"\xc3\xbcn\xc3\xaf" "code \xf0\x9f\x98\x80", "\xe2\x82\xac"};
	s->own[4] = (struct own_header){"escaped", "q\" b\\ n\n t\t \x01"};
	s->own[5] = (struct own_header){"UPPER", "1"};
	s->own[6] = (struct own_header){"", "no name"};
}

/* A JSON string of a megabyte. */
static char *
big_json(void)
{
	char *text = malloc(MEGABYTE + 1);

	if (text == NULL)
		abort();
	memset(text, 'j', MEGABYTE);
	memcpy(text, "{\"big\": \"", 9);
	memcpy(text + MEGABYTE - 2, "\"}", 3);
	return text;
}

static const char escapes[] =
    "{ \"all\" :\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\\u00e9\\u20ac\\ud83d\\ude00\","
    " \"\":[ ] , \"n\" : -0.50e+3,"
    " \"t\":true,\"f\":false, \"z\":null, \"raw\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\" }";

static void
json_column(const char *type, bool verbatim)
{
	char *big;

	if (!env_begin(&env))
		return;
	big = big_json();
	add_common(slice_from("{\"a\": 1}"));
	(void)add("escapes", slice_from(escapes));
	(void)add("big", slice_from(big));
	(void)add("shortest", slice_from("0"));
	(void)add("empty string", slice_from("\"\""));
	(void)add("null literal", slice_from("null"));
	(void)add("deep", slice_from("[[[[[[[[[[[[[[[[{\"x\":[[[[[[[[]]]]]]]]}]]]]]]]]]]]]]]]]"));
	relay_and_compare(type, verbatim);
	free(big);
}

static void
jsonb_payloads(void)
{
	json_column("jsonb", false);
}

static void
json_payloads(void)
{
	json_column("json", true);
}

static void
text_payloads(void)
{
	char *big, all[128];

	if (!env_begin(&env))
		return;
	big = big_json();
	for (int i = 1; i < 128; i++)
		all[i - 1] = (char)i;
	all[127] = '\0';
	add_common(slice_from("plain"));
	(void)add("nothing", (struct slice){"", 0});
	(void)add("ascii", slice_from(all));
	(void)add("big", slice_from(big));
	(void)add("escapes", slice_from(escapes));
	(void)add("multi-byte", slice_from("\xd0\x96\xe6\xbc\xa2\xf0\x9f\x94\x91 \xef\xbf\xbd \xf4\x8f\xbf\xbd"));
	relay_and_compare("text", true);
	free(big);
}

static void
bytea_payloads(void)
{
	static char all[256], big[MEGABYTE];

	if (!env_begin(&env))
		return;
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 2654435761U >> 13);
	add_common((struct slice){"\x00\xff", 2});
	(void)add("nothing", (struct slice){"", 0});
	(void)add("all byte values", (struct slice){all, sizeof(all)});
	(void)add("big", (struct slice){big, sizeof(big)});
	(void)add("looks like hex", slice_from("\\xdeadbeef"));
	(void)add("one zero", (struct slice){"\0", 1});
	relay_and_compare("bytea", true);
}

int
main(void)
{
	tap_suite_fixture("payload", NULL, end);
	tap_test("a jsonb column arrives as its text", jsonb_payloads);
	tap_test("a json column arrives as it was written", json_payloads);
	tap_test("a text column arrives as it was written", text_payloads);
	tap_test("a bytea column arrives as its bytes", bytea_payloads);
	return tap_run();
}
