/* uuid.h - uuids as text: what uuid_out() makes of the sixteen bytes that uuid_send() gives. */
#ifndef PGOUTBOX_BASE_UUID_H
#define PGOUTBOX_BASE_UUID_H

#include <stddef.h>

#define UUID_LEN 16
#define UUID_TEXT_LEN 36

/* No NUL follows the text. */
static inline void
uuid_text(const char *raw, char ret_text[UUID_TEXT_LEN])
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < UUID_LEN; i++) {
		unsigned char c = (unsigned char)raw[i];

		if (i == 4 || i == 6 || i == 8 || i == 10)
			*ret_text++ = '-';
		*ret_text++ = hex[c >> 4];
		*ret_text++ = hex[c & 15];
	}
}

#endif
