/* literal.c - in: a text; out: SQL that has it as its value. */
#include "source/literal.h"

#include <stddef.h>

void
literal_add_quoted(struct buf *sql, const char *text)
{
	buf_add_char(sql, '\'');
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\'' || *p == '\\')
			buf_add_char(sql, *p);
		buf_add_char(sql, *p);
	}
	buf_add_char(sql, '\'');
}

/* E'' reads backslashes alike whatever standard_conforming_strings says. */
void
literal_add(struct buf *sql, const char *text)
{
	if (text == NULL || *text == '\0') {
		buf_add_str(sql, "NULL");
		return;
	}
	buf_add_char(sql, 'E');
	literal_add_quoted(sql, text);
}
