/* screen.h - a terminal that is drawn on again and again, and given back as it was: on "q", on signals, when the program stops for a
 * while (Ctrl-Z). Elsewhere, a file or a pipe, there is nothing to draw on, and only the waiting is left. */
#ifndef PGOUTBOX_CTL_SCREEN_H
#define PGOUTBOX_CTL_SCREEN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <termios.h>

struct screen {
	FILE *out;
	bool live;  /* out is a terminal */
	int signals; /* a descriptor that tells of them, -1 = as they are by default */
	int keys;    /* standard input where it is a terminal, else -1 */
	struct termios saved;
};

enum screen_event {
	SCREEN_TIME,    /* it is time */
	SCREEN_CHANGED, /* the size, or the program was stopped and goes on: draw anew */
	SCREEN_QUIT,
};

/* Where out is no terminal, nothing is changed and signals end the program as ever. */
struct screen screen_open(FILE *out);
void screen_close(struct screen *s); /* for cleanup attributes too */

/* Waits until a time of clock_mono_us(), or until something happens. */
enum screen_event screen_wait(struct screen *s, int64_t until_us);

/* Draws the lines from the top, each cut at the width; what does not fit below is left out. The colour, an escape sequence or "",
 * is that of one line. For live ones only. */
void screen_show(struct screen *s, const char *text, int coloured_line, const char *colour);

#endif
