/* suggest.c - a word in, the known word it was probably meant to be out. Knows no options. */
#include "config/suggest.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#define WORD_MAX 48 /* a longer word is no slip of the hand */

void
suggest_init(struct suggest *s, const char *word)
{
	*s = (struct suggest){word, NULL, SIZE_MAX};
}

static int
fold(char c)
{
	return c == '-' ? '_' : tolower((unsigned char)c);
}

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The fewest insertions, deletions, replacements and swaps of neighbours that make a of b, counting each place once. */
static size_t
distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *above = rows[1], *row = rows[2];

	for (size_t j = 0; j <= b_len; j++)
		above[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t *spare = before;

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			row[j] = above[j - 1] + (fold(a[i - 1]) != fold(b[j - 1]));
			row[j] = least(row[j], 1 + least(above[j], row[j - 1]));
			if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]))
				row[j] = least(row[j], before[j - 2] + 1);
		}
		before = above;
		above = row;
		row = spare;
	}
	return above[b_len];
}

void
suggest_offer(struct suggest *s, const char *candidate)
{
	size_t word_len = strlen(s->word);
	size_t len = strlen(candidate);
	size_t far = 1 + len / 4;
	size_t d;

	if (word_len > WORD_MAX || len > WORD_MAX || word_len > len + far || len > word_len + far)
		return;
	d = distance(s->word, word_len, candidate, len);
	/* A word that shares no letter with the candidate is not near, however short both are. */
	if (d > far || d >= len || d >= s->distance)
		return;
	s->best = candidate;
	s->distance = d;
}
