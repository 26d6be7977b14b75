/* utf8.c - bytes in, lengths of characters out. */
#include "base/utf8.h"

/* What a lead byte promises: how many bytes, and the range of the second one, which is where overlong forms, surrogates
 * and what lies beyond U+10FFFF are told apart. */
struct lead {
	unsigned char first, last;
	unsigned char size;
	unsigned char second_min, second_max;
};

static const struct lead leads[] = {
	{0x00, 0x7f, 1, 0x00, 0x00},
	{0xc2, 0xdf, 2, 0x80, 0xbf},
	{0xe0, 0xe0, 3, 0xa0, 0xbf},
	{0xe1, 0xec, 3, 0x80, 0xbf},
	{0xed, 0xed, 3, 0x80, 0x9f},
	{0xee, 0xef, 3, 0x80, 0xbf},
	{0xf0, 0xf0, 4, 0x90, 0xbf},
	{0xf1, 0xf3, 4, 0x80, 0xbf},
	{0xf4, 0xf4, 4, 0x80, 0x8f},
};

static const struct lead *
find_lead(unsigned char byte)
{
	for (size_t i = 0; i < sizeof leads / sizeof leads[0]; i++) {
		if (byte >= leads[i].first && byte <= leads[i].last)
			return &leads[i];
	}
	return NULL;
}

/* How many of the len bytes at s fit what the lead promises, up to its size. */
static size_t
matching(const struct lead *lead, const unsigned char *s, size_t len)
{
	size_t n = 1;

	if (lead->size > 1 && len > 1 && s[1] >= lead->second_min && s[1] <= lead->second_max)
		n++;
	while (n > 1 && n < lead->size && n < len && (s[n] & 0xc0) == 0x80)
		n++;
	return n;
}

size_t
utf8_char(const char *s, size_t len)
{
	const unsigned char *bytes = (const unsigned char *)s;
	const struct lead *lead = len == 0 ? NULL : find_lead(bytes[0]);

	if (lead == NULL || matching(lead, bytes, len) < lead->size)
		return 0;
	return lead->size;
}

size_t
utf8_whole(const char *s, size_t len)
{
	const unsigned char *bytes = (const unsigned char *)s;

	for (size_t back = 1; back <= 3 && back <= len; back++) {
		const struct lead *lead = find_lead(bytes[len - back]);

		if (lead != NULL && lead->size > back && matching(lead, bytes + len - back, back) == back)
			return len - back;
	}
	return len;
}
