/* suggest.h - "did you mean": the nearest of some known words. */
#ifndef PGOUTBOX_CONFIG_SUGGEST_H
#define PGOUTBOX_CONFIG_SUGGEST_H

#include <stddef.h>

struct suggest {
	const char *word;
	const char *best; /* NULL = none is near enough */
	size_t distance;  /* of best */
};

void suggest_init(struct suggest *s, const char *word);

/* Takes candidate as the best when it is near to the word, and nearer than what was offered before. Letters' case does
 * not count, and '-' is as good as '_'. */
void suggest_offer(struct suggest *s, const char *candidate);

#endif
