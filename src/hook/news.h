/* news.h - a piece of news as it waits, and as JSON. Internal to this room. */
#ifndef PGOUTBOX_HOOK_NEWS_H
#define PGOUTBOX_HOOK_NEWS_H

#include "base/buf.h"
#include "hook/webhook.h"

struct news {
	enum webhook_kind kind;
	char id[33];
	int64_t time_us; /* by the wall clock */
	const char *side;
	int64_t duration_ms, backlog, count;
	char outbox[LOG_OUTBOX_MAX + 1]; /* "" = none */
	char reason[512];
};

void news_make(const struct webhook_news *from, struct news *ret_news);

/* One object. version: of the program. */
void news_print(const struct news *n, const char *version, struct buf *out);

#endif
