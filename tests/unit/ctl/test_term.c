/* test_term.c - terminals, real ones by a pseudo-terminal, and what is none. */
#include "ctl/term.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "support/tap.h"

/* The near end of a new pseudo-terminal; *ret_master is the far one. NULL where there are none. */
static FILE *
open_terminal(int *ret_master)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
		return NULL;
	*ret_master = master;
	return fopen(ptsname(master), "r+");
}

static void
test_terminal(void)
{
	int master = -1, columns, lines;
	FILE *f = open_terminal(&master);

	if (f == NULL) {
		tap_skip("there are no pseudo-terminals");
		return;
	}
	setenv("TERM", "xterm", 1);
	unsetenv("NO_COLOR");
	CU_ASSERT(term_is_live(f) && term_has_colour(f));
	setenv("NO_COLOR", "1", 1);
	CU_ASSERT(term_is_live(f) && !term_has_colour(f));
	setenv("NO_COLOR", "", 1);
	CU_ASSERT(term_has_colour(f));
	setenv("TERM", "dumb", 1);
	CU_ASSERT(!term_is_live(f) && !term_has_colour(f));
	unsetenv("TERM");
	CU_ASSERT(!term_is_live(f));
	TAP_INT(ioctl(master, TIOCSWINSZ, &(struct winsize){.ws_row = 50, .ws_col = 132}), 0);
	term_size(f, &columns, &lines);
	TAP_INT(columns, 132);
	TAP_INT(lines, 50);
	fclose(f);
	close(master);
}

static void
test_file(void)
{
	FILE *f = tmpfile();
	int columns = 0, lines = 0;

	setenv("TERM", "xterm", 1);
	CU_ASSERT(!term_is_live(f) && !term_has_colour(f));
	term_size(f, &columns, &lines);
	TAP_INT(columns, 80);
	TAP_INT(lines, 24);
	fclose(f);
}

int
main(void)
{
	tap_suite("term");
	tap_test("a terminal", test_terminal);
	tap_test("a file", test_file);
	return tap_run();
}
