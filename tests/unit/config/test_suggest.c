/* Tests of src/config/suggest.c: what is near to a word, and what is not. */
#include <string.h>

#include "config/suggest.h"
#include "support/tap.h"

static const char *
nearest(const char *word, const char *const *candidates)
{
	struct suggest s;

	suggest_init(&s, word);
	for (; *candidates != NULL; candidates++)
		suggest_offer(&s, *candidates);
	return s.best;
}

static const char *const words[] = {"batch_rows", "batch_bytes", "poll_min", "poll_max", "lanes",
                                    "id", "m", "a_b_c_d", NULL};

static void
test_slips(void)
{
	TAP_STR(nearest("batch_row", words), "batch_rows");
	TAP_STR(nearest("batch-rows", words), "batch_rows");
	TAP_STR(nearest("BatchRows", words), "batch_rows");
	TAP_STR(nearest("btach_bytes", words), "batch_bytes");
	TAP_STR(nearest("lane", words), "lanes");
	TAP_STR(nearest("lnaes", words), "lanes");
	TAP_STR(nearest("lanez", words), "lanes");
	TAP_STR(nearest("lan", words), "lanes");
	/* Without counting a swap as one slip these two would be strangers, without folding the next one. */
	TAP_STR(nearest("di", words), "id");
	TAP_STR(nearest("lnase", words), "lanes");
	TAP_STR(nearest("A-B-C-D", words), "a_b_c_d");
	TAP_STR(nearest("ID", words), "id");
	TAP_STR(nearest("poll_mim", words), "poll_min");
	TAP_STR(nearest("poll_mx", words), "poll_max");
}

static void
test_strangers(void)
{
	char endless[4096];

	TAP_STR(nearest("retention", words), NULL);
	TAP_STR(nearest("", words), NULL);
	TAP_STR(nearest("xy", words), NULL);
	TAP_STR(nearest("x", words), NULL);
	TAP_STR(nearest("batch", words), NULL);
	TAP_STR(nearest("lxxxs", words), NULL);
	memset(endless, 'a', sizeof(endless));
	endless[sizeof(endless) - 1] = '\0';
	TAP_STR(nearest(endless, words), NULL);
}

static void
test_nearest_wins(void)
{
	static const char *const alike[] = {"sent_ab", "sent_at", "sent_xt", NULL};

	TAP_STR(nearest("sent_at", alike), "sent_at");
	TAP_STR(nearest("sent_a", alike), "sent_ab");
}

int
main(void)
{
	tap_suite("suggest");
	tap_test("slips of the hand are recognised", test_slips);
	tap_test("strangers are not", test_strangers);
	tap_test("the nearest wins, the first of equals", test_nearest_wins);
	return tap_run();
}
