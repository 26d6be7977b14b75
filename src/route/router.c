/* router.c - event -> message: the topic from the row or the template, the headers, the rest borrowed.
 *
 * All that can be known of the template is judged in router_new(), so that no event is parked for a mistake in the
 * configuration that a person can see at once.
 */
#include "route/router.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "route/headers.h"
#include "route/template.h"
#include "route/text.h"
#include "route/topic.h"

#define ID_TEXT_SIZE 21 /* "-9223372036854775808" and its NUL */

struct router {
	struct template topic; /* a column's slot: enum event_column, or COL_COUNT + its index in extra */
	const char **extra;    /* point into the template */
	size_t extra_count;
};

/* Why a topic cannot be made of a column. */
static const char *const unusable[COL_COUNT] = {
	[COL_PAYLOAD] = "a payload is not part of a name",
	[COL_HEADERS] = "headers are not part of a name",
	[COL_TOPIC] = "the template is used only where that column is NULL",
	[COL_CREATED_AT] = "no topic name may hold a time's spaces and colons",
	[COL_SENT_AT] = "that column is NULL in every unsent event",
	[COL_SENT_PARTITION] = "that column is NULL in every unsent event",
	[COL_SENT_OFFSET] = "that column is NULL in every unsent event",
};

/* ---- router_new ---- */

static size_t
extra_slot(struct router *r, const char *column)
{
	size_t i = 0;

	while (i < r->extra_count && strcmp(r->extra[i], column) != 0)
		i++;
	if (i == r->extra_count)
		r->extra[r->extra_count++] = column;
	return COL_COUNT + i;
}

static int
bind_column(struct router *r, struct template_part *part, const char *const column_names[COL_COUNT], struct error *err)
{
	size_t found = COL_COUNT;

	for (size_t col = 0; col < COL_COUNT; col++) {
		if (column_names[col] == NULL || strcmp(column_names[col], part->text) != 0)
			continue;
		if (found != COL_COUNT) {
			error_set(err, ERR_CONFIG, "topic template names column \"%s\", which is mapped twice", part->text);
			return error_hint(err, "map each column of the table once");
		}
		found = col;
	}
	if (found < COL_COUNT && unusable[found] != NULL) {
		error_set(err, ERR_CONFIG, "topic template cannot use column \"%s\"", part->text);
		return error_hint(err, "%s", unusable[found]);
	}
	part->slot = found < COL_COUNT ? found : extra_slot(r, part->text);
	return 0;
}

static int
check_literal(const struct template_part *part, struct error *err)
{
	struct slice text = {part->text, part->len};
	size_t bad = topic_bad_byte(text);

	if (bad == text.len)
		return 0;
	error_set(err, ERR_CONFIG, "topic template has \"%s\" in its text",
	          text_shown((struct slice){text.data + bad, 1}).text);
	return error_hint(err, "a topic name consists of ASCII letters, digits, \".\", \"_\" and \"-\"");
}

/* Columns may all come out empty, so the literals alone must fit; without a column they are the whole name. */
static int
check_template(const struct template *t, struct error *err)
{
	size_t literal_len = 0;

	if (t->count == 0)
		return error_set(err, ERR_CONFIG, "topic template is empty");
	if (t->count == 1 && !t->parts[0].is_column)
		return topic_check((struct slice){t->parts[0].text, t->parts[0].len}, ERR_CONFIG, err);
	for (size_t i = 0; i < t->count; i++) {
		if (t->parts[i].is_column)
			continue;
		if (check_literal(&t->parts[i], err) != 0)
			return -1;
		literal_len += t->parts[i].len;
	}
	if (literal_len > TOPIC_MAX)
		return error_set(err, ERR_CONFIG, "topic template has %zu bytes of text, a topic name has at most %d",
		                 literal_len, TOPIC_MAX);
	return 0;
}

static int
router_bind(struct router *r, const char *const column_names[COL_COUNT], struct error *err)
{
	if (check_template(&r->topic, err) != 0)
		return -1;
	r->extra = calloc(r->topic.count, sizeof *r->extra);
	if (r->extra == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	for (size_t i = 0; i < r->topic.count; i++)
		if (r->topic.parts[i].is_column && bind_column(r, &r->topic.parts[i], column_names, err) != 0)
			return -1;
	return 0;
}

int
router_new(const char *topic_template, const char *const column_names[COL_COUNT], struct router **ret_router,
           struct error *err)
{
	struct router *r = calloc(1, sizeof *r);

	if (r == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	if (template_parse(topic_template, &r->topic, err) != 0 || router_bind(r, column_names, err) != 0) {
		router_free(r);
		return -1;
	}
	*ret_router = r;
	return 0;
}

void
router_free(struct router *r)
{
	if (r == NULL)
		return;
	template_done(&r->topic);
	free(r->extra);
	free(r);
}

size_t
router_extra_count(const struct router *r)
{
	return r->extra_count;
}

const char *
router_extra_column(const struct router *r, size_t i)
{
	return r->extra[i];
}

/* ---- router_route ---- */

static struct slice
id_text(const struct event *ev, char text[ID_TEXT_SIZE])
{
	int len = snprintf(text, ID_TEXT_SIZE, "%" PRId64, ev->id);

	return (struct slice){text, (size_t)len};
}

static struct slice
part_value(const struct template_part *part, const struct event *ev, char id[ID_TEXT_SIZE])
{
	if (!part->is_column)
		return (struct slice){part->text, part->len};
	switch (part->slot) {
	case COL_ID:
		return id_text(ev, id);
	case COL_EVENT_ID:
		return ev->event_id;
	case COL_AGGREGATE_TYPE:
		return ev->aggregate_type;
	case COL_AGGREGATE_ID:
		return ev->key;
	case COL_EVENT_TYPE:
		return ev->event_type;
	default:
		return ev->extra[part->slot - COL_COUNT];
	}
}

/* A name longer than Kafka allows is cut one byte behind the limit, where topic_check() still sees it is too long. */
static int
expand(const struct template *t, const struct event *ev, char name[TOPIC_MAX + 1], size_t *ret_len, struct error *err)
{
	char id[ID_TEXT_SIZE];
	size_t len = 0;

	for (size_t i = 0; i < t->count; i++) {
		struct slice value = part_value(&t->parts[i], ev, id);
		if (slice_is_null(value)) {
			error_set(err, ERR_POISON, "column \"%s\" is NULL, and the topic is made of it", t->parts[i].text);
			return error_hint(err, "fill the column, or name a topic in the row");
		}
		size_t room = TOPIC_MAX + 1 - len;
		size_t n = value.len < room ? value.len : room;
		memcpy(name + len, value.data, n);
		len += n;
	}
	*ret_len = len;
	return 0;
}

static int
route_topic(const struct router *r, const struct event *ev, struct arena *arena, const char **ret_topic,
            struct error *err)
{
	char name[TOPIC_MAX + 1];
	struct slice topic = ev->topic;

	if (slice_is_null(topic)) {
		topic.data = name;
		if (expand(&r->topic, ev, name, &topic.len, err) != 0)
			return -1;
	}
	if (topic_check(topic, ERR_POISON, err) != 0)
		return -1;
	*ret_topic = arena_copy(arena, topic);
	if (*ret_topic == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	return 0;
}

int
router_route(const struct router *r, const struct event *ev, struct arena *arena, struct message *ret_msg,
             struct error *err)
{
	struct message msg = {
		.key = ev->key,
		.value = ev->payload,
		.timestamp_ms = ev->created_at_ms > 0 ? ev->created_at_ms : 0, /* Kafka knows no time before 1970 */
	};

	if (route_topic(r, ev, arena, &msg.topic, err) != 0)
		return -1;
	if (headers_build(ev, arena, &msg.headers, &msg.headers_count, err) != 0)
		return -1;
	*ret_msg = msg;
	return 0;
}
