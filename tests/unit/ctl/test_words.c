/* test_words.c - numbers for people, at the edges where the unit changes. */
#include "ctl/words.h"

#include "support/tap.h"

#define S INT64_C(1000000)

static void
test_durations(void)
{
	char text[WORDS_SIZE];

	TAP_STR(words_duration(text, -5), "0 s");
	TAP_STR(words_duration(text, 120 * S - 1), "119 s");
	TAP_STR(words_duration(text, 120 * S), "2 min");
	TAP_STR(words_duration(text, 7200 * S - 1), "119 min");
	TAP_STR(words_duration(text, 7200 * S), "2 h");
	TAP_STR(words_duration(text, 172800 * S), "2 d");
	TAP_STR(words_duration(text, INT64_MAX), "106751991 d");
	TAP_STR(words_latency(text, -1), "-");
	TAP_STR(words_latency(text, 0.00123), "1.2 ms");
	TAP_STR(words_latency(text, 0.25), "250 ms");
	TAP_STR(words_latency(text, 2.5), "2.5 s");
	TAP_STR(words_latency(text, 7200), "2 h");
}

static void
test_others(void)
{
	char text[WORDS_SIZE];

	TAP_STR(words_bytes(text, 0), "0 B");
	TAP_STR(words_bytes(text, 10239), "10239 B");
	TAP_STR(words_bytes(text, 10240), "10 kB");
	TAP_STR(words_bytes(text, INT64_C(5) << 40), "5120 GB");
	TAP_STR(words_rate(text, -1), "-");
	TAP_STR(words_rate(text, 0), "0.0/s");
	TAP_STR(words_rate(text, 1234.6), "1235/s");
	TAP_STR(words_time(text, INT64_C(1795000000) * S), "2026-11-18T11:06:40Z");
}

int
main(void)
{
	tap_suite("words");
	tap_test("durations", test_durations);
	tap_test("sizes, rates, times", test_others);
	return tap_run();
}
