/* audit.c - messages and rows in, a report out. Knows the outbox table and the headers "id" and "type", not the relay.
 *
 * Entries stand in the order of their first arrival. A key lives in one partition, so among the entries of one key
 * that is the order of their offsets.
 */
#include "support/audit.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/clock.h"
#include "support/db.h"
#include "support/topic.h"

enum { ID_BYTES = 16, EXAMPLES_PER_FAULT = 5, END_MS = 500 };

struct key {
	UT_hash_handle hh;
	int32_t partition;
	bool split;
	int64_t last; /* the highest row id or seq seen so far, while judging */
	char name[]; /* topic, NUL, key, NUL */
};

struct entry {
	uint8_t id[ID_BYTES];
	uint64_t content;  /* hash of key, type, payload and headers */
	struct key *key;
	int64_t timestamp_ms;
	int64_t row;       /* the row's id; 0 = not found in the database */
	int32_t seq;       /* 0 = the payload has none */
	bool doomed;       /* its payload says that it was rolled back */
};

struct audit {
	struct entry *entries;
	size_t count, cap;
	uint32_t *slots; /* index into entries + 1; 0 = free. Open addressing. */
	size_t slots_count;
	struct key *keys;
	int64_t messages, duplicates, altered_copies, without_id;
	FILE *examples;
	int told[8];
};

enum fault { MISSING, DUPLICATE, UNKNOWN, DISORDER, SPLIT, ALTERED, NO_ID };

static const char *const fault_names[] = {"missing", "duplicate", "unknown", "out of order", "in two partitions",
	"altered", "without an id"};

static void
example(struct audit *a, enum fault fault, const char *what, const uint8_t *id, int64_t row)
{
	if (a->examples == NULL || a->told[fault]++ >= EXAMPLES_PER_FAULT)
		return;
	fprintf(a->examples, "%s: key \"%s\"", fault_names[fault], what);
	if (row != 0)
		fprintf(a->examples, ", row %lld", (long long)row);
	if (id != NULL) {
		fputs(", id ", a->examples);
		for (int i = 0; i < ID_BYTES; i++)
			fprintf(a->examples, "%02x", id[i]);
	}
	fputc('\n', a->examples);
}

/* FNV-1a over length and bytes, so that "ab","c" and "a","bc" differ, and NULL differs from empty. */
static uint64_t
mix(uint64_t hash, struct slice s)
{
	uint64_t len = slice_is_null(s) ? UINT64_MAX : s.len;

	for (int i = 0; i < 8; i++)
		hash = (hash ^ ((len >> (8 * i)) & 0xff)) * 0x100000001b3ULL;
	for (size_t i = 0; !slice_is_null(s) && i < s.len; i++)
		hash = (hash ^ (uint8_t)s.data[i]) * 0x100000001b3ULL;
	return hash;
}

static uint64_t
content_of(struct slice key, struct slice type, struct slice payload, struct slice headers)
{
	return mix(mix(mix(mix(0xcbf29ce484222325ULL, key), type), payload), headers);
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* A uuid as text, lower case, hyphens anywhere. */
static bool
parse_id(struct slice text, uint8_t id[ID_BYTES])
{
	size_t digits = 0;

	for (size_t i = 0; i < text.len; i++) {
		int d = hex_digit(text.data[i]);

		if (text.data[i] == '-')
			continue;
		if (d < 0 || digits == (size_t)2 * ID_BYTES)
			return false;
		id[digits / 2] = (uint8_t)(digits % 2 == 0 ? d << 4 : id[digits / 2] | d);
		digits++;
	}
	return digits == (size_t)2 * ID_BYTES;
}

static size_t
slot_of(const struct audit *a, const uint8_t id[ID_BYTES])
{
	uint64_t hash;
	size_t slot;

	memcpy(&hash, id, sizeof(hash));
	slot = (size_t)(hash * 0x9E3779B97F4A7C15ULL) & (a->slots_count - 1);
	while (a->slots[slot] != 0 && memcmp(a->entries[a->slots[slot] - 1].id, id, ID_BYTES) != 0)
		slot = (slot + 1) & (a->slots_count - 1);
	return slot;
}

static void
grow(struct audit *a)
{
	a->cap = a->cap == 0 ? 4096 : a->cap * 2;
	a->entries = reallocarray(a->entries, a->cap, sizeof(*a->entries));
	free(a->slots);
	a->slots_count = a->cap * 2;
	a->slots = calloc(a->slots_count, sizeof(*a->slots));
	if (a->entries == NULL || a->slots == NULL)
		abort();
	for (size_t i = 0; i < a->count; i++)
		a->slots[slot_of(a, a->entries[i].id)] = (uint32_t)i + 1;
}

static struct entry *
find(struct audit *a, const uint8_t id[ID_BYTES])
{
	uint32_t index = a->slots[slot_of(a, id)];

	return index == 0 ? NULL : &a->entries[index - 1];
}

static struct key *
key_of(struct audit *a, const char *topic, struct slice name, int32_t partition)
{
	size_t topic_len = strlen(topic), len = topic_len + 1 + name.len;
	char *full = malloc(len + 1);
	struct key *k;

	if (full == NULL)
		abort();
	memcpy(full, topic, topic_len + 1);
	if (name.len > 0)
		memcpy(full + topic_len + 1, name.data, name.len);
	full[len] = '\0';
	HASH_FIND(hh, a->keys, full, len, k);
	if (k == NULL) {
		k = calloc(1, sizeof(*k) + len + 1);
		if (k == NULL)
			abort();
		memcpy(k->name, full, len + 1);
		k->partition = partition;
		HASH_ADD_KEYPTR(hh, a->keys, k->name, len, k);
	}
	free(full);
	if (k->partition != partition)
		k->split = true;
	return k;
}

static const char *
key_text(const struct key *k)
{
	return k->name + strlen(k->name) + 1;
}

struct pair {
	const char *name;
	struct slice value;
};

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct pair *)a)->name, ((const struct pair *)b)->name);
}

/* The event's own headers as the database's query writes them: name=value lines, sorted by name. NULL when there are
 * none. malloc'd. */
static char *
own_headers(const rd_kafka_message_t *m, size_t *ret_len)
{
	struct pair pairs[64];
	rd_kafka_headers_t *headers;
	const void *value;
	size_t n = 0, len;
	char *text = NULL;
	FILE *out;

	*ret_len = 0;
	if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return NULL;
	for (size_t i = 0; n < sizeof(pairs) / sizeof(pairs[0]) &&
	     rd_kafka_header_get_all(headers, i, &pairs[n].name, &value, &len) == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
		pairs[n].value = (struct slice){value, len};
		if (strcmp(pairs[n].name, "id") != 0 && strcmp(pairs[n].name, "type") != 0)
			n++;
	}
	if (n == 0)
		return NULL;
	qsort(pairs, n, sizeof(pairs[0]), by_name);
	out = open_memstream(&text, ret_len);
	if (out == NULL)
		abort();
	for (size_t i = 0; i < n; i++) {
		fprintf(out, "%s%s=", i == 0 ? "" : "\n", pairs[i].name);
		fwrite(pairs[i].value.data, 1, pairs[i].value.len, out);
	}
	fclose(out);
	return text;
}

static void
read_payload(struct entry *e, struct slice payload)
{
	json_t *root = slice_is_null(payload) ? NULL : json_loadb(payload.data, payload.len, 0, NULL);
	const char *fate = json_string_value(json_object_get(root, "fate"));

	e->seq = (int32_t)json_integer_value(json_object_get(root, "seq"));
	e->doomed = fate != NULL && strcmp(fate, "rollback") == 0;
	json_decref(root);
}

static void
take(struct audit *a, const rd_kafka_message_t *m)
{
	struct entry e = {.row = 0}, *known;
	size_t headers_len;
	char *headers;

	a->messages++;
	if (!parse_id(topic_header(m, "id"), e.id)) {
		a->without_id++;
		example(a, NO_ID, rd_kafka_topic_name(m->rkt), NULL, m->offset);
		return;
	}
	if (a->count == a->cap)
		grow(a);
	headers = own_headers(m, &headers_len);
	e.content = content_of(topic_key(m), topic_header(m, "type"), topic_value(m), (struct slice){headers, headers_len});
	free(headers);
	e.key = key_of(a, rd_kafka_topic_name(m->rkt), topic_key(m), m->partition);
	known = find(a, e.id);
	if (known != NULL) {
		a->duplicates++;
		a->altered_copies += known->content != e.content;
		example(a, DUPLICATE, key_text(e.key), e.id, 0);
		return;
	}
	e.timestamp_ms = rd_kafka_message_timestamp(m, NULL);
	read_payload(&e, topic_value(m));
	a->slots[slot_of(a, e.id)] = (uint32_t)a->count + 1;
	a->entries[a->count++] = e;
}

int
audit_new(FILE *examples, struct audit **ret_audit, struct error *err)
{
	struct audit *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	grow(a);
	a->examples = examples;
	*ret_audit = a;
	return 0;
}

void
audit_free(struct audit **audit)
{
	struct audit *a = *audit;
	struct key *k, *next;

	if (a == NULL)
		return;
	HASH_ITER(hh, a->keys, k, next) {
		HASH_DEL(a->keys, k);
		free(k);
	}
	free(a->entries);
	free(a->slots);
	free(a);
	*audit = NULL;
}

int
audit_consume(struct audit *a, const struct audit_read *opt, struct error *err)
{
	struct topic_reader *reader __attribute__((cleanup(topic_reader_close))) = NULL;
	int64_t asked_us = 0, news_us = clock_mono_us();
	bool last = false; /* nothing more is to be waited for */

	if (topic_reader_open(opt->brokers, opt->topics, opt->topics_count, opt->appear_ms, &reader, err) == -1)
		return -1;
	for (;;) {
		rd_kafka_message_t *m = topic_reader_next(reader, 50);
		int64_t now_us = clock_mono_us();

		if (m != NULL) {
			take(a, m);
			rd_kafka_message_destroy(m);
			news_us = now_us;
		}
		if (last && !topic_reader_at_end(reader) && now_us - news_us > (int64_t)(opt->idle_ms + END_MS) * 2000)
			return error_set(err, ERR_RETRY, "the end of the topics was not reached in %d ms", opt->idle_ms);
		if (opt->expected >= 0 && !last)
			last = (int64_t)a->count >= opt->expected || now_us - news_us > (int64_t)opt->idle_ms * 1000;
		else if (!last && now_us - asked_us > 100000) {
			last = opt->until_told(opt->ctx, (int64_t)a->count, a->messages);
			asked_us = now_us;
		}
		if (last && topic_reader_at_end(reader) && now_us - news_us > END_MS * 1000)
			return 0;
	}
}

static void
judge_start(struct audit *a, struct audit_report *r)
{
	struct key *k, *next;

	*r = (struct audit_report){.messages = a->messages, .duplicates = a->duplicates, .altered = a->altered_copies,
		.without_id = a->without_id};
	HASH_ITER(hh, a->keys, k, next) {
		k->last = 0;
		r->keys++;
		if (k->split) {
			r->split_keys++;
			example(a, SPLIT, key_text(k), NULL, 0);
		}
	}
}

/* place: where the event stands among those of its key. */
static void
judge_order(struct audit *a, struct entry *e, int64_t place, struct audit_report *r)
{
	if (place < e->key->last) {
		r->out_of_order++;
		example(a, DISORDER, key_text(e->key), e->id, e->row);
	} else {
		e->key->last = place;
	}
}

static int64_t
binary_int64(const PGresult *res, int row, int column)
{
	const uint8_t *p = (const uint8_t *)PQgetvalue(res, row, column);
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return (int64_t)v;
}

static struct slice
binary_bytes(const PGresult *res, int row, int column)
{
	if (PQgetisnull(res, row, column))
		return SLICE_NULL;
	return (struct slice){PQgetvalue(res, row, column), (size_t)PQgetlength(res, row, column)};
}

static void
judge_row(struct audit *a, const PGresult *res, int row, struct audit_report *r)
{
	const uint8_t *id = (const uint8_t *)PQgetvalue(res, row, 0);
	uint64_t content = content_of(binary_bytes(res, row, 2), binary_bytes(res, row, 3), binary_bytes(res, row, 4),
	    binary_bytes(res, row, 5));
	int64_t row_id = binary_int64(res, row, 1), created_ms = binary_int64(res, row, 6);
	struct entry *e = find(a, id);

	r->committed++;
	if (e == NULL) {
		r->missing++;
		r->missing_settled += binary_int64(res, row, 7);
		example(a, MISSING, PQgetvalue(res, row, 2), id, row_id);
		return;
	}
	e->row = row_id;
	r->delivered++;
	r->compared++;
	if (e->content != content || llabs(e->timestamp_ms - created_ms) > 1) {
		r->altered++;
		example(a, ALTERED, key_text(e->key), id, row_id);
	}
}

static int
judge_all_rows(struct audit *a, PGconn *conn, const char *table, struct audit_report *r, struct error *err)
{
	int64_t bytea;
	int rows = 1;

	if (db_int(conn, &bytea, err,
	        "SELECT count(*) FROM pg_attribute WHERE attrelid = '%s'::regclass AND attname = 'payload'"
	        " AND atttypid = 'bytea'::regtype", table) == -1)
		return -1;
	if (db_exec(conn, err,
	        "BEGIN; DECLARE c NO SCROLL CURSOR FOR SELECT event_id, id::int8, aggregate_id::text, event_type::text, %s,"
	        " (SELECT string_agg(k || '=' || v, E'\\n' ORDER BY k COLLATE \"C\")"
	        "  FROM jsonb_each_text(headers::jsonb) h(k, v)),"
	        " coalesce(floor(extract(epoch FROM created_at) * 1000)::int8, -1), (sent_at IS NOT NULL)::int::int8"
	        " FROM %s",
	        bytea > 0 ? "payload" : "payload::text", table) == -1)
		return -1;
	while (rows > 0) {
		PGresult *res = PQexecParams(conn, "FETCH 10000 FROM c", 0, NULL, NULL, NULL, NULL, 1);

		if (PQresultStatus(res) != PGRES_TUPLES_OK) {
			(void)error_set(err, ERR_RETRY, "%s", PQresultErrorMessage(res));
			PQclear(res);
			return -1;
		}
		rows = PQntuples(res);
		for (int i = 0; i < rows; i++)
			judge_row(a, res, i, r);
		PQclear(res);
	}
	return 0;
}

int
audit_judge_rows(struct audit *a, const char *conninfo, const char *table, struct audit_report *ret_report,
                 struct error *err)
{
	PGconn *conn __attribute__((cleanup(db_close))) = db_open(conninfo, err);
	struct audit_report r;

	judge_start(a, &r);
	for (size_t i = 0; i < a->count; i++)
		a->entries[i].row = 0;
	if (conn == NULL || judge_all_rows(a, conn, table, &r, err) == -1)
		return -1;
	for (size_t i = 0; i < a->count; i++) {
		struct entry *e = &a->entries[i];

		if (e->row != 0) {
			judge_order(a, e, e->row, &r);
		} else {
			r.unknown++;
			example(a, UNKNOWN, key_text(e->key), e->id, 0);
		}
	}
	*ret_report = r;
	return 0;
}

struct account {
	UT_hash_handle hh;
	int64_t events; /* committed, so that its seq goes from 1 to this without a gap */
	int64_t seen;
	char key[];
};

static struct account *
load_accounts(PGconn *conn, struct error *err)
{
	PGresult *res __attribute__((cleanup(db_clear))) =
	    db_query(conn, err, "SELECT key, events FROM accounts WHERE events > 0");
	struct account *accounts = NULL;

	for (int i = 0; res != NULL && i < PQntuples(res); i++) {
		const char *key = PQgetvalue(res, i, 0);
		struct account *one = calloc(1, sizeof(*one) + strlen(key) + 1);

		if (one == NULL)
			abort();
		one->events = strtoll(PQgetvalue(res, i, 1), NULL, 10);
		strcpy(one->key, key);
		HASH_ADD_STR(accounts, key, one);
	}
	return accounts;
}

static void
judge_by_account(struct audit *a, struct account *accounts, struct entry *e, struct audit_report *r)
{
	struct account *account;

	HASH_FIND_STR(accounts, key_text(e->key), account);
	if (account == NULL || e->doomed || e->seq < 1 || e->seq > account->events) {
		r->unknown++;
		example(a, UNKNOWN, key_text(e->key), e->id, 0);
		return;
	}
	account->seen++;
	r->delivered++;
	judge_order(a, e, e->seq, r);
}

int
audit_judge_accounts(struct audit *a, const char *conninfo, struct audit_report *ret_report, struct error *err)
{
	PGconn *conn __attribute__((cleanup(db_close))) = db_open(conninfo, err);
	struct account *accounts = conn == NULL ? NULL : load_accounts(conn, err), *one, *next;
	struct audit_report r;

	if (accounts == NULL)
		return conn == NULL ? -1 : error_set(err, ERR_CONFIG, "there is no account with events");
	judge_start(a, &r);
	for (size_t i = 0; i < a->count; i++)
		judge_by_account(a, accounts, &a->entries[i], &r);
	HASH_ITER(hh, accounts, one, next) {
		r.committed += one->events;
		if (one->seen < one->events) {
			r.missing += one->events - one->seen;
			example(a, MISSING, one->key, NULL, 0);
		}
		/* a number that was given twice: one of its transactions never committed */
		if (one->seen > one->events) {
			r.unknown += one->seen - one->events;
			example(a, UNKNOWN, one->key, NULL, 0);
		}
		HASH_DEL(accounts, one);
		free(one);
	}
	*ret_report = r;
	return 0;
}

bool
audit_sound(const struct audit_report *r)
{
	return r->missing == 0 && r->unknown == 0 && r->out_of_order == 0 && r->split_keys == 0 && r->altered == 0 &&
	    r->without_id == 0;
}
