/* health.c - states and reasons in, a verdict out. Must not know how a check is made, nor who asks. */
#include "serve/health.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct check {
	enum health_state state;
	int64_t since_us; /* of the first state in a row that was not HEALTH_OK */
	char reason[201];
};

struct outbox {
	char *table;
	struct check checks[HEALTH_CHECKS];
};

struct health {
	const struct loop *loop;
	int64_t loop_stall_us;
	int64_t outage_threshold_us;
	pthread_mutex_t lock; /* guards the checks; held for copies in memory only */
	size_t outboxes_count;
	struct outbox outboxes[];
};

static const char *const check_names[HEALTH_CHECKS] = {
	[HEALTH_POSTGRESQL] = "postgresql",
	[HEALTH_KAFKA] = "kafka",
	[HEALTH_SCHEMA] = "schema",
	[HEALTH_LANES] = "lanes",
	[HEALTH_PROGRESS] = "progress",
};

static int
outbox_init(struct outbox *o, const char *table, int64_t now_us)
{
	o->table = strdup(table);
	if (o->table == NULL)
		return -1;
	for (enum health_check c = 0; c < HEALTH_CHECKS; c++)
		o->checks[c] = (struct check){.state = HEALTH_FAILED, .since_us = now_us, .reason = "starting"};
	return 0;
}

int
health_new(const struct health_options *opt, struct health **ret_health, struct error *err)
{
	int64_t now_us = clock_mono_us();
	struct health *h = calloc(1, sizeof(*h) + opt->outboxes_count * sizeof(struct outbox));
	if (h == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	h->loop = opt->loop;
	h->loop_stall_us = opt->loop_stall_us;
	h->outage_threshold_us = opt->outage_threshold_us;
	h->outboxes_count = opt->outboxes_count;
	pthread_mutex_init(&h->lock, NULL);
	for (size_t i = 0; i < h->outboxes_count; i++) {
		if (outbox_init(&h->outboxes[i], opt->outboxes[i], now_us) < 0) {
			health_free(h);
			return error_set(err, ERR_FATAL, "out of memory");
		}
	}
	*ret_health = h;
	return 0;
}

void
health_free(struct health *h)
{
	if (h == NULL)
		return;
	for (size_t i = 0; i < h->outboxes_count; i++)
		free(h->outboxes[i].table);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

void
health_set(struct health *h, size_t outbox, enum health_check check, enum health_state state, const char *reason,
           int64_t now_us)
{
	assert(outbox < h->outboxes_count && check < HEALTH_CHECKS && (state == HEALTH_OK || reason != NULL));
	struct check *c = &h->outboxes[outbox].checks[check];
	pthread_mutex_lock(&h->lock);
	if (c->state == HEALTH_OK && state != HEALTH_OK)
		c->since_us = now_us;
	c->state = state;
	snprintf(c->reason, sizeof(c->reason), "%s", reason != NULL ? reason : "");
	for (char *byte = c->reason; *byte != '\0'; byte++) {
		if ((unsigned char)*byte < 0x20 || *byte == 0x7f)
			*byte = ' ';
	}
	pthread_mutex_unlock(&h->lock);
}

/* out may be NULL: then only the verdict is wanted. */
static void
add_line(struct buf *out, bool ok, const char *table, const char *name, const char *text)
{
	if (out == NULL)
		return;
	buf_printf(out, "[%c]%s%s%s%s", ok ? '+' : '-', table == NULL ? "" : table, table == NULL ? "" : "/", name,
	           ok ? " ok" : "");
	if (text[0] != '\0')
		buf_printf(out, "%s%s", ok ? ", but " : ": ", text);
	buf_add_char(out, '\n');
}

static bool
check_loop(const struct health *h, bool verbose, int64_t now_us, struct buf *out)
{
	int64_t age_us = now_us - loop_last_turn_us(h->loop);
	bool ok = age_us <= h->loop_stall_us;
	char text[64] = "";
	if (!ok)
		snprintf(text, sizeof(text), "has not turned for %" PRId64 " s", age_us / 1000000);
	if (verbose || !ok)
		add_line(out, ok, NULL, "loop", text);
	return ok;
}

static bool
check_one(const struct health *h, const struct check *c, const char *table, const char *name, bool verbose,
          int64_t now_us, struct buf *out)
{
	int64_t lasts_us = now_us - c->since_us;
	bool ok = c->state == HEALTH_OK || (c->state == HEALTH_OUTAGE && lasts_us < h->outage_threshold_us);
	char text[sizeof(c->reason) + 64] = "";
	if (c->state != HEALTH_OK)
		snprintf(text, sizeof(text), "%s, for %" PRId64 " s", c->reason, lasts_us / 1000000);
	else
		snprintf(text, sizeof(text), "%s", c->reason);
	if (verbose || !ok)
		add_line(out, ok, table, name, text);
	return ok;
}

static void
add_verdict(struct buf *out, const char *question, bool ok)
{
	if (out != NULL)
		buf_printf(out, "%s: %s\n", question, ok ? "yes" : "no");
}

bool
health_live(struct health *h, bool verbose, int64_t now_us, struct buf *out)
{
	bool ok = check_loop(h, verbose, now_us, out);
	add_verdict(out, "live", ok);
	return ok;
}

bool
health_ready(struct health *h, bool verbose, int64_t now_us, struct buf *out)
{
	bool ok = check_loop(h, verbose, now_us, out);
	pthread_mutex_lock(&h->lock);
	for (size_t i = 0; i < h->outboxes_count; i++) {
		const struct outbox *o = &h->outboxes[i];
		const char *table = h->outboxes_count > 1 ? o->table : NULL;
		for (enum health_check c = 0; c < HEALTH_CHECKS; c++)
			ok = check_one(h, &o->checks[c], table, check_names[c], verbose, now_us, out) && ok;
	}
	pthread_mutex_unlock(&h->lock);
	add_verdict(out, "ready", ok);
	return ok;
}
