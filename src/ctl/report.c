/* report.c - in: values; out: JSON. Knows nothing of what they say. */
#include "ctl/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/table.h"
#include "ctl/verb.h"

void
report_put(json_t **object, const char *name, json_t *value)
{
	if (json_object_set_new(*object, name, value) == 0)
		return;
	json_decref(*object);
	*object = NULL;
}

json_t *
report_text(const char *text)
{
	struct buf harmless __attribute__((cleanup(buf_done))) = BUF_INIT;
	json_t *value = text == NULL ? json_null() : json_string(text);

	if (value != NULL)
		return value;
	table_add_harmless(&harmless, text);
	return buf_failed(&harmless) ? NULL : json_string(buf_str(&harmless));
}

json_t *
report_number(const char *text)
{
	return text == NULL ? json_null() : json_integer(strtoll(text, NULL, 10));
}

int
report_print(json_t **object, int status)
{
	return report_print_with(object, NULL, NULL, status);
}

int
report_print_with(json_t **object, const char *name, const char *json, int status)
{
	char *text = *object == NULL ? NULL : json_dumps(*object, JSON_INDENT(2));
	struct error err;
	size_t len;

	json_decref(*object);
	*object = NULL;
	if (text == NULL) {
		error_set(&err, ERR_RETRY, "out of memory");
		return verb_fail(&err);
	}
	len = strlen(text);
	if (name == NULL)
		puts(text);
	else /* the object ends with a newline and a brace */
		printf("%.*s,\n  \"%s\": %s\n}\n", (int)len - 2, text, name, json);
	free(text);
	return verb_finish(status);
}
