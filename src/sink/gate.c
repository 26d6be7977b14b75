/* gate.c - see gate.h. In: messages and what became of them; out: which may go. */
#include "sink/gate.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sink/topics.h"

/* Brokers forget a producer's place after a day (producer.id.expiration.ms). */
#define OPEN_US 3600000000
#define ON_ITS_WAY (-1)
#define LOOK_FIRST_US 20000
#define LOOK_LAST_US 1000000

void
gate_init(struct gate *g, int64_t shut_until_us)
{
	*g = (struct gate){.shut_until_us = shut_until_us};
	g->end = &g->first;
}

void
waiting_free(struct waiting *w)
{
	free(w->reason);
	free(w);
}

void
gate_done(struct gate *g)
{
	struct waiting *w;

	while ((w = g->first) != NULL) {
		g->first = w->next;
		waiting_free(w);
	}
	free(g->until_us);
	free(g->scout);
}

static void
ripen(struct topic *t)
{
	t->gate.ripe = true;
	*t->ripe = true;
}

/* Where the number of partitions has changed, keys have moved: each is shut again. NULL: out of memory. */
static int64_t *
until_of(struct topic *t, int32_t partition)
{
	struct gate *g = &t->gate;
	int32_t partitions = t->partitions;

	if (partitions != g->partitions) {
		free(g->until_us);
		g->until_us = calloc((size_t)partitions, sizeof *g->until_us);
		g->partitions = g->until_us == NULL ? 0 : partitions;
		if (g->first != NULL)
			ripen(t);
	}
	return partition >= 0 && partition < g->partitions ? &g->until_us[partition] : NULL;
}

static bool
is_scout(const struct gate *g, struct slice key)
{
	return g->scout != NULL && key.len == g->scout_len && memcmp(g->scout, key.data, key.len) == 0;
}

/* The very first message goes to find the partitions: librdkafka tells them when it places it. */
static bool
send_scout(struct gate *g, struct slice key, int64_t now_us)
{
	g->scout = malloc(key.len + 1);
	if (g->scout == NULL)
		return true; /* without memory for it there is no gate */
	memcpy(g->scout, key.data, key.len);
	g->scout_len = key.len;
	g->look_us = LOOK_FIRST_US;
	g->look_due_us = now_us + LOOK_FIRST_US;
	return true;
}

/* Where it went, its partition has its first message. */
static void
find_scout(struct topic *t)
{
	struct gate *g = &t->gate;
	int64_t *until_us = until_of(t, topics_partition(t, (struct slice){g->scout, g->scout_len}));

	if (until_us != NULL)
		*until_us = ON_ITS_WAY;
	free(g->scout);
	g->scout = NULL;
}

bool
gate_admit(struct topic *t, struct slice key, int64_t now_us)
{
	struct gate *g = &t->gate;
	int32_t partition;
	int64_t *until_us;

	if (t->place == NULL || slice_is_null(key)) {
		g->loose = true;
		return true;
	}
	if (now_us < g->shut_until_us || g->scout != NULL)
		return false;
	partition = topics_partition(t, key);
	if (partition < 0)
		return send_scout(g, key, now_us);
	until_us = until_of(t, partition);
	if (until_us == NULL || now_us < *until_us)
		return true;
	if (*until_us == ON_ITS_WAY)
		return false;
	*until_us = ON_ITS_WAY;
	return true;
}

static size_t
copy_size(const struct message *m)
{
	size_t size = m->key.len + m->headers_count * sizeof *m->headers;

	for (size_t i = 0; i < m->headers_count; i++)
		size += strlen(m->headers[i].name) + 1 + m->headers[i].value.len;
	return size;
}

static struct slice
copy(char **to, struct slice s)
{
	struct slice copied = {*to, s.len};

	if (slice_is_null(s))
		return SLICE_NULL;
	memcpy(*to, s.data, s.len);
	*to += s.len;
	return copied;
}

int
gate_keep(struct topic *t, const struct message *m, void *opaque)
{
	struct waiting *w = malloc(sizeof *w + copy_size(m));
	struct header *headers;
	char *to;

	if (w == NULL)
		return -1;
	*w = (struct waiting){.opaque = opaque, .m = *m};
	headers = (struct header *)(w + 1);
	to = (char *)(headers + m->headers_count);
	w->m.topic = t->name;
	w->m.headers = headers;
	w->m.key = copy(&to, m->key);
	for (size_t i = 0; i < m->headers_count; i++) {
		headers[i].name = copy(&to, (struct slice){m->headers[i].name, strlen(m->headers[i].name) + 1}).data;
		headers[i].value = copy(&to, m->headers[i].value);
	}
	*t->gate.end = w;
	t->gate.end = &w->next;
	return 0;
}

bool
gate_was_first(const struct topic *t, int32_t partition, struct slice key)
{
	const struct gate *g = &t->gate;

	if (g->loose || slice_is_null(key))
		return false;
	return g->scout != NULL || (partition >= 0 && partition < g->partitions && g->until_us[partition] == ON_ITS_WAY);
}

/* Whether one that waits may not pass the one that failed. Where that is poison, its own key is meant. */
static bool
is_behind(const struct topic *t, const struct waiting *w, int32_t partition, struct slice key, enum send_class class)
{
	if (class == SEND_POISON)
		return slice_equal(w->m.key, key);
	return partition < 0 || topics_partition(t, w->m.key) == partition;
}

static void
fail_behind(struct topic *t, struct waiting *from, int32_t partition, struct slice key, enum send_class class)
{
	for (struct waiting *w = from; w != NULL; w = w->next)
		if (w->fate == SEND_OK && is_behind(t, w, partition, key, class))
			w->fate = class == SEND_POISON ? SEND_OUTAGE : class;
}

/* With nothing on its way, nothing is waited for. */
static void
forget(struct gate *g)
{
	for (int32_t i = 0; i < g->partitions; i++)
		if (g->until_us[i] == ON_ITS_WAY)
			g->until_us[i] = 0;
	free(g->scout);
	g->scout = NULL;
}

void
gate_reported(struct topic *t, int32_t partition, struct slice key, enum send_class class, int64_t now_us)
{
	struct gate *g = &t->gate;
	bool first = false;
	int64_t *until_us;

	if (t->place == NULL || slice_is_null(key))
		return;
	if (is_scout(g, key))
		find_scout(t);
	if (partition < 0)
		partition = topics_partition(t, key);
	until_us = until_of(t, partition);
	if (until_us != NULL) {
		first = *until_us == ON_ITS_WAY;
		if (first || class == SEND_OK || class == SEND_TOPIC)
			*until_us = class == SEND_OK ? now_us + OPEN_US : 0;
	}
	if (t->in_flight == 0)
		forget(g);
	if (g->first == NULL)
		return;
	if (class != SEND_OK)
		fail_behind(t, g->first, partition, key, class);
	if (first || class != SEND_OK || until_us == NULL || t->in_flight == 0)
		ripen(t);
}

void
gate_spoil(struct topic *t, struct waiting *w, enum send_class class, const char *reason)
{
	w->fate = class;
	w->reason = strdup(reason);
	fail_behind(t, w->next, topics_partition(t, w->m.key), w->m.key, class);
}

void
gate_limit_known(struct topic *t)
{
	t->gate.shut_until_us = 0;
	if (t->gate.first != NULL)
		ripen(t);
}

void
gate_fail(struct topic *t, enum send_class class)
{
	if (t->gate.first == NULL)
		return;
	fail_behind(t, t->gate.first, -1, SLICE_NULL, class);
	ripen(t);
}

int64_t
gate_tick(struct topic *t, int64_t now_us)
{
	struct gate *g = &t->gate;

	if (g->first == NULL)
		return CLOCK_NEVER;
	if (now_us < g->shut_until_us)
		return g->shut_until_us;
	if (g->shut_until_us != 0)
		gate_limit_known(t);
	if (g->scout == NULL)
		return CLOCK_NEVER;
	if (t->partitions > 0) {
		find_scout(t);
		ripen(t);
		return CLOCK_NEVER;
	}
	if (now_us >= g->look_due_us) {
		g->look_us = g->look_us * 2 < LOOK_LAST_US ? g->look_us * 2 : LOOK_LAST_US;
		g->look_due_us = now_us + g->look_us;
	}
	return g->look_due_us;
}

struct waiting *
gate_take(struct topic *t, int64_t now_us)
{
	struct gate *g = &t->gate;

	if (g->at == NULL)
		g->at = &g->first;
	for (struct waiting *w; (w = *g->at) != NULL; g->at = &w->next) {
		if (w->fate == SEND_OK && !gate_admit(t, w->m.key, now_us))
			continue;
		*g->at = w->next;
		if (g->end == &w->next)
			g->end = g->at;
		return w;
	}
	g->at = NULL;
	g->ripe = false;
	return NULL;
}
