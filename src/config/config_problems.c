/* config_problems.c - complaints in, a list in the order of the file out. Neither prints nor decides. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

#define KEPT_MAX 50

/* What concerns the whole file comes last, below the places that can be looked up. */
static bool
comes_after(const struct config_problem *p, unsigned line, unsigned column)
{
	if (p->line == 0 || line == 0)
		return p->line == 0 && line != 0;
	return p->line > line || (p->line == line && p->column > column);
}

static int
insert(struct config_problems *problems, const struct config_problem *p)
{
	size_t at = problems->count;
	struct config_problem *items;

	if (problems->count >= KEPT_MAX)
		return -1;
	items = realloc(problems->items, (problems->count + 1) * sizeof(*items));
	if (items == NULL)
		return -1;
	problems->items = items;
	while (at > 0 && comes_after(&items[at - 1], p->line, p->column))
		at--;
	memmove(items + at + 1, items + at, (problems->count - at) * sizeof(*items));
	items[at] = *p;
	problems->count++;
	return 0;
}

/* What stands in the section outbox is of several outboxes, and wrong only once. */
static bool
was_said(const struct config_problems *problems, const char *line_text)
{
	for (size_t i = 0; i < problems->count; i++)
		if (strcmp(problems->items[i].line_text, line_text) == 0)
			return true;
	return false;
}

void
config_problems_add(struct config_problems *problems, enum config_level level, const char *file, unsigned line,
                    unsigned column, const char *fmt, ...)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config_problem p = {.level = level, .line = line, .column = column};
	char message[1280];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	buf_add_str(&text, file);
	if (line > 0)
		buf_printf(&text, ":%u:%u", line, column);
	buf_printf(&text, ": %s%s", level == CONFIG_WARNING ? "warning: " : "", message);
	p.line_text = buf_take(&text);
	if (p.line_text != NULL && was_said(problems, p.line_text)) {
		free(p.line_text);
		return;
	}
	if (level == CONFIG_ERROR)
		problems->errors++;
	if (p.line_text == NULL || insert(problems, &p) < 0) {
		free(p.line_text);
		problems->dropped++;
	}
}

void
config_problems_print(const struct config_problems *problems, struct buf *out)
{
	for (size_t i = 0; i < problems->count; i++)
		buf_printf(out, "%s\n", problems->items[i].line_text);
	if (problems->dropped > 0)
		buf_printf(out, "and %zu more\n", problems->dropped);
}

void
config_problems_done(struct config_problems *problems)
{
	for (size_t i = 0; i < problems->count; i++)
		free(problems->items[i].line_text);
	free(problems->items);
	*problems = CONFIG_PROBLEMS_INIT;
}
