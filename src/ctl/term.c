/* term.c - in: a stream; out: what it can show. Writes nothing. */
#include "ctl/term.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool
term_is_live(FILE *f)
{
	const char *name = getenv("TERM");

	return name != NULL && name[0] != '\0' && strcmp(name, "dumb") != 0 && isatty(fileno(f));
}

bool
term_has_colour(FILE *f)
{
	const char *no = getenv("NO_COLOR");

	return (no == NULL || no[0] == '\0') && term_is_live(f);
}

void
term_size(FILE *f, int *ret_columns, int *ret_lines)
{
	struct winsize size;

	if (ioctl(fileno(f), TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
		size = (struct winsize){.ws_col = 80, .ws_row = 24};
	*ret_columns = size.ws_col;
	*ret_lines = size.ws_row;
}
