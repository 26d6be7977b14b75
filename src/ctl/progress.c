/* progress.c - in: numbers and time; out: a bar or lines. Knows nothing of what goes on. */
#include "ctl/progress.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "ctl/term.h"

#define QUIET_US 500000
#define LIVE_US 200000
#define PLAIN_US 10000000
#define RATE_US 1000000   /* between two looks at the rate */
#define MEMORY_US 15000000.0 /* how much time the rate remembers, roughly */
#define BAR_MIN 10
#define BAR_MAX 40

struct progress
progress_begin(FILE *out, const char *what, const char *unit, int64_t total)
{
	int64_t now_us = clock_mono_us();

	return (struct progress){
		.out = out,
		.what = what,
		.unit = unit,
		.total = total,
		.live = term_is_live(out),
		.begun_us = now_us,
		.next_us = now_us + QUIET_US,
		.last_us = now_us,
		.rate = -1,
	};
}

static void
judge_rate(struct progress *p, int64_t now_us)
{
	int64_t passed_us = now_us - p->last_us;
	double latest, weight;

	if (passed_us < RATE_US)
		return;
	latest = (double)(p->done - p->last_done) * 1e6 / (double)passed_us;
	if (latest < 0)
		latest = 0;
	weight = p->rate < 0 ? 1 : (double)passed_us / ((double)passed_us + MEMORY_US);
	p->rate = (p->rate < 0 ? 0 : p->rate) * (1 - weight) + latest * weight;
	p->last_us = now_us;
	p->last_done = p->done;
}

static void
add_time_left(struct buf *b, const struct progress *p)
{
	int64_t s;

	if (p->total < 0 || p->rate <= 0 || p->done >= p->total)
		return;
	s = (int64_t)((double)(p->total - p->done) / p->rate) + 1;
	if (s < 120)
		buf_printf(b, ", %" PRId64 " s left", s);
	else if (s < 7200)
		buf_printf(b, ", %" PRId64 " min left", s / 60);
	else if (s < 360000)
		buf_printf(b, ", %" PRId64 " h left", s / 3600);
}

static int
percent(const struct progress *p)
{
	if (p->done >= p->total)
		return 100;
	return (int)(p->done <= 0 ? 0 : (double)p->done * 100 / (double)p->total);
}

/* "12 of 40 events, 3/s, 10 s left" */
static void
add_words(struct buf *b, const struct progress *p)
{
	buf_printf(b, "%" PRId64, p->done);
	if (p->total >= 0)
		buf_printf(b, " of %" PRId64, p->total);
	buf_printf(b, " %s", p->unit);
	if (p->rate >= 10)
		buf_printf(b, ", %.0f/s", p->rate);
	else if (p->rate >= 0)
		buf_printf(b, ", %.1f/s", p->rate);
	add_time_left(b, p);
}

static void
draw_bar(struct progress *p)
{
	struct buf words __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf line __attribute__((cleanup(buf_done))) = BUF_INIT;
	int columns, lines, width;

	term_size(p->out, &columns, &lines);
	add_words(&words, p);
	buf_printf(&line, "%s ", p->what);
	/* Around the bar are two brackets, the percentage and blanks. The last column stays free, so that nothing wraps. */
	width = columns - 1 - (int)(line.len + words.len) - (int)sizeof("[] 100% ") + 1;
	if (width > BAR_MAX)
		width = BAR_MAX;
	if (p->total >= 0 && width >= BAR_MIN) {
		buf_add_char(&line, '[');
		for (int i = 0; i < width; i++)
			buf_add_char(&line, i * 100 < percent(p) * width ? '#' : '.');
		buf_printf(&line, "] %d%% ", percent(p));
	}
	buf_add_str(&line, buf_str(&words));
	fprintf(p->out, "\r\033[K%.*s", columns > 1 ? columns - 1 : 1, buf_str(&line));
	fflush(p->out);
	p->shown = true;
}

static void
print_line(struct progress *p)
{
	struct buf line __attribute__((cleanup(buf_done))) = BUF_INIT;

	buf_printf(&line, "%s: ", p->what);
	if (p->total >= 0)
		buf_printf(&line, "%d%%, ", percent(p));
	add_words(&line, p);
	fprintf(p->out, "%s\n", buf_str(&line));
	fflush(p->out);
	p->shown = true;
}

void
progress_to(struct progress *p, int64_t done)
{
	int64_t now_us = clock_mono_us();

	p->done = done;
	judge_rate(p, now_us);
	if (now_us < p->next_us)
		return;
	p->next_us = now_us + (p->live ? LIVE_US : PLAIN_US);
	if (p->live)
		draw_bar(p);
	else
		print_line(p);
}

void
progress_total(struct progress *p, int64_t total)
{
	p->total = total;
}

void
progress_clear(struct progress *p)
{
	if (!p->live || !p->shown)
		return;
	fputs("\r\033[K", p->out);
	fflush(p->out);
	p->shown = false;
}

void
progress_end(struct progress *p)
{
	if (!p->live && p->shown)
		print_line(p);
	progress_clear(p);
}
