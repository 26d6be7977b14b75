/* topic_sql.c - in: kafka.topic; out: an SQL expression. */
#include "admin/topic_sql.h"

#include "admin/script.h"
#include "route/template.h"

int
topic_sql(const struct layout *lo, const char *topic_template, struct buf *sql, struct error *err)
{
	struct template t __attribute__((cleanup(template_done))) = TEMPLATE_INIT;

	if (template_parse(topic_template, &t, err) != 0)
		return -1;
	buf_add_str(sql, "coalesce(");
	if (lo->columns[COL_TOPIC].quoted != NULL)
		buf_printf(sql, "t.%s::text, ", lo->columns[COL_TOPIC].quoted);
	for (size_t i = 0; i < t.count; i++) {
		buf_add_str(sql, i > 0 ? " || " : "");
		if (t.parts[i].is_column) {
			buf_add_str(sql, "t.");
			script_add_identifier(sql, t.parts[i].text);
			buf_add_str(sql, "::text");
		} else {
			script_add_literal(sql, t.parts[i].text);
			buf_add_str(sql, "::text");
		}
	}
	buf_add_str(sql, ")");
	return 0;
}
