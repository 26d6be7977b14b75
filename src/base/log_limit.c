/* log_limit.c - ids and times in; which entries may be written, and how many were not, out. Knows no log and no clock. */
#include "base/log_limit.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

struct bucket {
	const char *id; /* NULL = free, and so are those behind it */
	int64_t full_us; /* it is full again then */
	int64_t last_us;
	int64_t since_us; /* the first entry that was held back */
	int priority;
	uint64_t held_back;
	char text[LOG_LIMIT_TEXT_MAX + 1];
};

struct log_limit {
	pthread_mutex_t lock;
	struct bucket buckets[LOG_LIMIT_IDS];
};

static bool
ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static bool
is_exempt(const char *id)
{
	return strncmp(id, "state-", strlen("state-")) == 0 || ends_with(id, "-outage-begin") || ends_with(id, "-outage-end") ||
	       strcmp(id, "started") == 0 || strcmp(id, "stopping") == 0 || strcmp(id, "stopped") == 0;
}

/* NULL when there is no room for another id. */
static struct bucket *
find(struct log_limit *l, const char *id)
{
	for (struct bucket *b = l->buckets; b < l->buckets + LOG_LIMIT_IDS; b++) {
		if (b->id == NULL)
			b->id = id;
		if (b->id == id || strcmp(b->id, id) == 0)
			return b;
	}
	return NULL;
}

/* A bucket as the time at which it will be full: each entry moves that on by one refill. */
static bool
take_token(struct bucket *b, int64_t now_us)
{
	int64_t full_us = b->full_us > now_us ? b->full_us : now_us;

	if (full_us - now_us > (LOG_LIMIT_BURST - 1) * LOG_LIMIT_REFILL_US)
		return false;
	b->full_us = full_us + LOG_LIMIT_REFILL_US;
	return true;
}

static void
hold_back(struct bucket *b, int priority, const char *text, int64_t now_us)
{
	size_t len = strlen(text);

	if (b->held_back++ == 0) {
		b->since_us = now_us;
		b->priority = priority;
	}
	if (priority < b->priority)
		b->priority = priority;
	if (len > LOG_LIMIT_TEXT_MAX)
		len = utf8_whole(text, LOG_LIMIT_TEXT_MAX);
	memcpy(b->text, text, len);
	b->text[len] = '\0';
}

bool
log_limit_admit(struct log_limit *l, const char *id, int priority, const char *text, int64_t now_us)
{
	struct bucket *b;
	bool admitted = true;

	if (is_exempt(id))
		return true;
	pthread_mutex_lock(&l->lock);
	b = find(l, id);
	if (b != NULL) {
		b->last_us = now_us;
		admitted = take_token(b, now_us);
		if (!admitted)
			hold_back(b, priority, text, now_us);
	}
	pthread_mutex_unlock(&l->lock);
	return admitted;
}

static bool
is_due(const struct bucket *b, int64_t now_us)
{
	return now_us - b->last_us >= LOG_LIMIT_QUIET_US || now_us - b->since_us >= LOG_LIMIT_TELL_US;
}

bool
log_limit_take(struct log_limit *l, bool all, int64_t now_us, struct log_repeats *ret_repeats)
{
	bool found = false;

	pthread_mutex_lock(&l->lock);
	for (struct bucket *b = l->buckets; b < l->buckets + LOG_LIMIT_IDS && b->id != NULL && !found; b++) {
		if (b->held_back == 0 || !(all || is_due(b, now_us)))
			continue;
		*ret_repeats = (struct log_repeats){.id = b->id, .priority = b->priority, .count = b->held_back};
		strcpy(ret_repeats->text, b->text);
		b->held_back = 0;
		found = true;
	}
	pthread_mutex_unlock(&l->lock);
	return found;
}

int
log_limit_new(struct log_limit **ret_limit, struct error *err)
{
	struct log_limit *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	pthread_mutex_init(&l->lock, NULL);
	*ret_limit = l;
	return 0;
}

void
log_limit_free(struct log_limit *l)
{
	if (l == NULL)
		return;
	pthread_mutex_destroy(&l->lock);
	free(l);
}
