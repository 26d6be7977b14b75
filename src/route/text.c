/* text.c - see text.h */
#include "route/text.h"

#define ESCAPE_LEN 4 /* \xNN */
#define MARK_SIZE 4  /* "..." and its NUL */

static size_t
put_byte(char *dst, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
		dst[0] = (char)c;
		return 1;
	}
	dst[0] = '\\';
	dst[1] = 'x';
	dst[2] = hex[c >> 4];
	dst[3] = hex[c & 15];
	return ESCAPE_LEN;
}

struct text_shown
text_shown(struct slice name)
{
	struct text_shown shown;
	size_t n = 0;

	for (size_t i = 0; i < name.len; i++) {
		if (n + ESCAPE_LEN + MARK_SIZE > sizeof shown.text) {
			memcpy(shown.text + n, "...", MARK_SIZE);
			return shown;
		}
		n += put_byte(shown.text + n, (unsigned char)name.data[i]);
	}
	shown.text[n] = '\0';
	return shown;
}
