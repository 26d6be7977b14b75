/* text.h - names made fit for a message: printable ASCII only, bounded.
 *
 * Reasons end in logs and in a text column of the database, so no control byte, no NUL and no broken UTF-8
 * may come through from what a row holds.
 */
#ifndef PGOUTBOX_ROUTE_TEXT_H
#define PGOUTBOX_ROUTE_TEXT_H

#include "base/slice.h"

#define TEXT_SHOWN_SIZE 128

struct text_shown {
	char text[TEXT_SHOWN_SIZE];
};

/* Bytes other than printable ASCII, and " and \, come out as \xNN; a long name is cut and ends in "...". */
struct text_shown text_shown(struct slice name);

#endif
