/* Tests of src/config/config_print_man.c: every option is there, and nothing of its text is taken for a macro. */
#include <string.h>

#include "../../../src/config/config_print_man.c"

#include "support/tap.h"

static size_t
count(const char *text, const char *part)
{
	size_t n = 0;

	for (; (text = strstr(text, part)) != NULL; text++)
		n++;
	return n;
}

static void
test_complete(void)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;
	char item[128];

	config_print_man(&out);
	TAP_INT(count(buf_str(&out), "\n.It Cm "), options_count);
	TAP_INT(count(buf_str(&out), ".Ss "), options_sections_count + 1); /* and the list */
	TAP_INT(count(buf_str(&out), "\n.Bl "), count(buf_str(&out), "\n.El\n"));
	for (size_t i = 0; i < options_count; i++) {
		(void)snprintf(item, sizeof(item), "\n.It Cm %s : Ar %s\n", options_all[i].name,
		               argument(&options_all[i]));
		TAP_HAS(buf_str(&out), item);
	}
	TAP_HAS(buf_str(&out), "The most events that one lane claims at a time.\nDefault: 1000.\n"
	                       "Allowed: 1..100000 rows.\n");
}

static void
sentences(const char *text, const char *expected)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	print_sentences(text, &out);
	TAP_STR(buf_str(&out), expected);
}

static void
test_text(void)
{
	sentences("One. Two: x, y.", "One.\nTwo: x, y.\n");
	sentences(".Sh is no macro. 'tis", "\\&.Sh is no macro.\n\\&'tis\n");
	sentences("C:\\x \\fBbold", "C:\\ex \\efBbold\n");
	sentences("From 1..9 on.", "From 1..9 on.\n");
	sentences("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa .b c",
	          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n\\&.b c\n");
}

static void
test_lines(void)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	config_print_man(&out);
	for (const char *p = buf_str(&out); *p != '\0'; p += strcspn(p, "\n") + 1) {
		size_t len = strcspn(p, "\n");

		CU_ASSERT(len > 0 && len <= 80);
		CU_ASSERT(p[len - 1] != ' ');
		CU_ASSERT(p[0] != '.' || strncmp(p, ".It ", 4) == 0 || strncmp(p, ".Bl ", 4) == 0 ||
		          strncmp(p, ".El", 3) == 0 || strncmp(p, ".Ss ", 4) == 0);
	}
}

int
main(void)
{
	tap_suite("config_print_man");
	tap_test("every section and option", test_complete);
	tap_test("sentences become lines without macros", test_text);
	tap_test("lines as mandoc likes them", test_lines);
	return tap_run();
}
