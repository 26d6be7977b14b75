/* utf8.h - where characters begin and end (RFC 3629). Reads bytes of any kind, never beyond len. */
#ifndef PGOUTBOX_BASE_UTF8_H
#define PGOUTBOX_BASE_UTF8_H

#include <stddef.h>

/* Bytes of the well-formed character that s begins with, 1 to 4; 0 when there is none (or len is 0). */
size_t utf8_char(const char *s, size_t len);

/* len, less what is left at the end of a character that was cut there. */
size_t utf8_whole(const char *s, size_t len);

#endif
