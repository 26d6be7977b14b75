/* adopt.c - the verb for a table that another outbox tool made. In: arguments; out: lines for the configuration, with
 * all that is said about them as YAML comments, or SQL; an exit status. */
#include "admin/adopt.h"

#include <stdio.h>
#include <sysexits.h>

#include "admin/target.h"
#include "config/expand.h"
#include "config/quote.h"
#include "ctl/verb.h"

static const char *const column_options[COL_RECEIPTS] = {
	[COL_ID] = "id",
	[COL_EVENT_ID] = "event_id",
	[COL_AGGREGATE_TYPE] = "aggregate_type",
	[COL_AGGREGATE_ID] = "aggregate_id",
	[COL_EVENT_TYPE] = "event_type",
	[COL_PAYLOAD] = "payload",
	[COL_HEADERS] = "headers",
	[COL_TOPIC] = "topic",
	[COL_CREATED_AT] = "created_at",
	[COL_SENT_AT] = "sent_at",
};

static void
add_comments(const struct adopt_plan *plan, struct buf *out)
{
	const struct known_layout *layout = plan->layout;

	buf_printf(out, "# table %s has layout \"%s\", that of %s\n", plan->relation, layout->name, layout->tool);
	for (size_t i = 0; i < KNOWN_ADDED_MAX; i++)
		if (plan->lacks[i])
			buf_printf(out, "# it lacks %s: %s\n", layout->added[i].name, layout->added[i].reason);
	for (size_t i = 0; i < KNOWN_NOTES_MAX && layout->notes[i] != NULL; i++)
		buf_printf(out, "# note: %s\n", layout->notes[i]);
}

static void
add_line(struct buf *out, const char *indent, const char *name, const char *value)
{
	buf_printf(out, "%s%s: ", indent, name);
	quote_yaml(out, value);
	buf_add_char(out, '\n');
}

/* Variables are expanded in all values but that of the topic. */
static void
add_table(struct buf *out, const char *indent, const char *table)
{
	struct buf escaped __attribute__((cleanup(buf_done))) = BUF_INIT;

	expand_escape(table, &escaped);
	add_line(out, indent, "table", buf_str(&escaped));
	out->failed |= buf_failed(&escaped);
}

/* As the section outbox, or as one entry of the list where there are several. */
static void
add_configuration(const struct known_layout *layout, const char *table, bool several, struct buf *out)
{
	const char *indent = several ? "    " : "  ";

	buf_add_str(out, several ? "outboxes:\n" : "outbox:\n");
	add_table(out, several ? "  - " : "  ", table);
	if (several)
		add_line(out, indent, "topic", layout->topic);
	buf_printf(out, "%ssettle: %s\n%scolumns:\n", indent, layout->settle_delete ? "delete" : "mark", indent);
	for (int col = 0; col < COL_RECEIPTS; col++)
		add_line(out, several ? "      " : "    ", column_options[col], layout->map[col]);
	if (several)
		return;
	buf_add_str(out, "kafka:\n");
	add_line(out, "  ", "topic", layout->topic);
}

static void
add_ending(const struct adopt_plan *plan, bool done, struct buf *out)
{
	if (done)
		buf_add_str(out, "# what the table lacked was added: put the lines above into the configuration, then "
		                 "run \"pgoutboxctl init\"\n");
	else if (plan->lacks_count == 0)
		buf_add_str(out, "# the table has all it needs: put the lines above into the configuration, then run "
		                 "\"pgoutboxctl init\"\n");
	else if (plan->leftover)
		buf_printf(out, "# nothing was changed, and nothing can be yet: the table holds %s\n# %s\n",
		           plan->layout->leftover_what, plan->layout->leftover_hint);
	else
		buf_add_str(out, "# nothing was changed: --print-sql shows what --yes does; the table is rewritten, "
		                 "and shut meanwhile\n");
}

static int
print_text(const struct buf *out)
{
	struct error err;

	if (buf_failed(out)) {
		error_set(&err, ERR_RETRY, "out of memory");
		return verb_fail(&err);
	}
	fputs(buf_str(out), stdout);
	return verb_finish(EX_OK);
}

int
verb_adopt(const struct arguments *args, const struct config *cfg)
{
	struct target target __attribute__((cleanup(target_close))) = TARGET_INIT;
	struct adopt_plan plan __attribute__((cleanup(adopt_plan_done))) = ADOPT_PLAN_INIT;
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;
	const char *layout = args->operands_count > 0 ? args->operands[0] : NULL;
	bool act = args->yes && !args->print_sql;
	struct error err;

	if (args->operands_count > 1)
		return verb_misused("name one layout, or none to have it recognised", "adopt takes no \"%s\"",
		                    args->operands[1]);
	if (target_open(cfg, args->database, NULL, &target, &err) != 0 ||
	    adopt_make_plan(target.conn, cfg->outbox.table, layout, &plan, &err) != 0 ||
	    (act && adopt_run(target.conn, &plan, &err) != 0))
		return verb_fail(&err);
	if (args->print_sql) {
		adopt_script(&plan, &out);
		return print_text(&out);
	}
	add_comments(&plan, &out);
	add_configuration(plan.layout, cfg->outbox.table, args->outbox != NULL, &out);
	add_ending(&plan, act && plan.lacks_count > 0, &out);
	return print_text(&out);
}
