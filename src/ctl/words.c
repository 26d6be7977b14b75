/* words.c - in: numbers; out: short texts. */
#include "ctl/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define S INT64_C(1000000)

char *
words_duration(char *text, int64_t us)
{
	static const struct {
		int64_t below, unit;
		const char *name;
	} steps[] = {{120 * S, S, "s"}, {7200 * S, 60 * S, "min"}, {172800 * S, 3600 * S, "h"}, {INT64_MAX, 86400 * S, "d"}};
	size_t i = 0;

	while (us >= steps[i].below && i < 3)
		i++;
	snprintf(text, WORDS_SIZE, "%" PRId64 " %s", us < 0 ? 0 : us / steps[i].unit, steps[i].name);
	return text;
}

char *
words_latency(char *text, double seconds)
{
	if (seconds < 0)
		snprintf(text, WORDS_SIZE, "-");
	else if (seconds < 1)
		snprintf(text, WORDS_SIZE, "%.*f ms", seconds < 0.1 ? 1 : 0, seconds * 1e3);
	else if (seconds < 120)
		snprintf(text, WORDS_SIZE, "%.1f s", seconds);
	else
		words_duration(text, (int64_t)(seconds * 1e6));
	return text;
}

char *
words_bytes(char *text, int64_t bytes)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	size_t i = 0;

	for (; bytes >= 10240 && i < 4; i++)
		bytes = (bytes + 512) / 1024;
	snprintf(text, WORDS_SIZE, "%" PRId64 " %s", bytes, units[i]);
	return text;
}

char *
words_rate(char *text, double per_second)
{
	if (per_second < 0)
		snprintf(text, WORDS_SIZE, "-");
	else
		snprintf(text, WORDS_SIZE, "%.*f/s", per_second < 10 ? 1 : 0, per_second);
	return text;
}

char *
words_time(char *text, int64_t us)
{
	time_t s = (time_t)(us / S);
	struct tm tm;

	if (gmtime_r(&s, &tm) == NULL || strftime(text, WORDS_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(text, WORDS_SIZE, "-");
	return text;
}
