/* news.c - what is to be told in, a copy and its JSON out. */
#include "hook/news.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

static const char *const kinds[] = {
	[WEBHOOK_STARTED] = "started",           [WEBHOOK_STOPPED] = "stopped",
	[WEBHOOK_OUTAGE_BEGIN] = "outage-begin", [WEBHOOK_OUTAGE_END] = "outage-end",
	[WEBHOOK_PARKED] = "parked",             [WEBHOOK_RELOAD_FAILED] = "reload-failed",
};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == WEBHOOK_KINDS, "each kind has a name");

static void
copy(char *dest, size_t size, const char *text)
{
	size_t len = text != NULL ? strnlen(text, size - 1) : 0;

	len = len > 0 ? utf8_whole(text, len) : 0;
	if (len > 0)
		memcpy(dest, text, len);
	dest[len] = '\0';
}

/* Only to tell news apart: the signature covers it, so it may be guessed. */
static void
draw_id(char ret_id[static 33])
{
	uint64_t number[2];

	if (getrandom(number, sizeof(number), GRND_NONBLOCK) != (ssize_t)sizeof(number)) {
		number[0] = (uint64_t)clock_wall_us();
		number[1] = (uint64_t)clock_mono_us();
	}
	snprintf(ret_id, 33, "%016" PRIx64 "%016" PRIx64, number[0], number[1]);
}

void
news_make(const struct webhook_news *from, struct news *ret_news)
{
	*ret_news = (struct news){.kind = from->kind, .time_us = clock_wall_us(), .side = from->side, .duration_ms = from->duration_ms,
	                          .backlog = from->backlog, .count = from->count};
	draw_id(ret_news->id);
	copy(ret_news->outbox, sizeof(ret_news->outbox), from->outbox);
	copy(ret_news->reason, sizeof(ret_news->reason), from->reason);
}

static void
add_text(struct buf *out, const char *name, const char *text)
{
	size_t len = strlen(text);

	buf_printf(out, "%s\"%s\":\"", out->len > 1 ? "," : "", name);
	for (size_t i = 0, size; i < len; i += size) {
		size = utf8_char(text + i, len - i);
		if (size == 0) {
			buf_add_str(out, "\\ufffd");
			size = 1;
		} else if ((unsigned char)text[i] < 0x20 || text[i] == '"' || text[i] == '\\') {
			buf_printf(out, "\\u%04x", (unsigned)(unsigned char)text[i]);
		} else {
			buf_add(out, text + i, size);
		}
	}
	buf_add_str(out, "\"");
}

static void
add_text_if(struct buf *out, const char *name, const char *text)
{
	if (text != NULL && text[0] != '\0')
		add_text(out, name, text);
}

static void
add_number(struct buf *out, const char *name, int64_t number)
{
	buf_printf(out, ",\"%s\":%" PRId64, name, number);
}

static void
add_time(struct buf *out, int64_t time_us)
{
	time_t seconds = (time_t)(time_us / 1000000);
	char date[32], text[40];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%03dZ", date, (int)(time_us / 1000 % 1000));
	add_text(out, "time", text);
}

void
news_print(const struct news *n, const char *version, struct buf *out)
{
	char host[256] = "";

	(void)gethostname(host, sizeof(host) - 1);
	buf_add_str(out, "{");
	add_text(out, "id", n->id);
	add_text(out, "event", kinds[n->kind]);
	add_time(out, n->time_us);
	add_text_if(out, "host", host);
	add_text_if(out, "version", version);
	add_text_if(out, "outbox", n->outbox);
	add_text_if(out, "side", n->side);
	add_text_if(out, "reason", n->reason);
	if (n->kind == WEBHOOK_OUTAGE_END)
		add_number(out, "duration_ms", n->duration_ms);
	if (n->kind == WEBHOOK_OUTAGE_BEGIN || n->kind == WEBHOOK_OUTAGE_END)
		add_number(out, "backlog", n->backlog);
	if (n->kind == WEBHOOK_PARKED)
		add_number(out, "count", n->count);
	buf_add_str(out, "}");
}
