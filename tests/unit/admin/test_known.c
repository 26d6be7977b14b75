/* test_known.c - which table is taken for which tool's, and what is said of those that are none. */
#include "admin/known.h"

#include <stdlib.h>
#include <string.h>

#include "support/tap.h"

enum { ROOM = 24 };

struct sample {
	struct known_column columns[ROOM];
	struct known_table table;
	char types[ROOM][64];
};

/* The columns of a layout, each of the first type that it may have. */
static void
sample_add(struct sample *s, const struct known_layout *layout)
{
	for (size_t i = 0; i < KNOWN_COLUMNS_MAX && layout->columns[i].name != NULL; i++) {
		size_t n = s->table.count;

		if (known_has_column(&s->table, layout->columns[i].name))
			continue;
		snprintf(s->types[n], sizeof(s->types[n]), "%.*s", (int)strcspn(layout->columns[i].types, "|"),
		         layout->columns[i].types);
		s->columns[n] = (struct known_column){layout->columns[i].name, s->types[n]};
		s->table.count++;
	}
}

static void
sample_begin(struct sample *s, const char *layout)
{
	*s = (struct sample){.table = {.relation = "public.t", .columns = s->columns}};
	sample_add(s, known_find(layout));
}

static struct known_column *
column(struct sample *s, const char *name)
{
	for (size_t i = 0; i < s->table.count; i++)
		if (strcmp(s->columns[i].name, name) == 0)
			return &s->columns[i];
	CU_FAIL_FATAL("no such column");
	return NULL;
}

static void
expect_none(const struct sample *s, const char *message, const char *hint)
{
	const struct known_layout *layout = NULL;
	struct error err = {0};

	TAP_INT(known_recognise(&s->table, &layout, &err), -1);
	CU_ASSERT_PTR_NULL(layout);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_HAS(err.message, message);
	TAP_HAS(err.hint, hint);
}

static void
each_is_recognised(void)
{
	for (size_t i = 0; i < known_layouts_count; i++) {
		const struct known_layout *layout = NULL;
		struct sample s;
		struct error err;

		sample_begin(&s, known_layouts[i].name);
		TAP_INT(known_recognise(&s.table, &layout, &err), 0);
		CU_ASSERT_PTR_EQUAL(layout, &known_layouts[i]);
		CU_ASSERT_PTR_EQUAL(known_find(known_layouts[i].name), layout);
		TAP_INT(known_judge(layout, &s.table, &err), 0);
	}
	CU_ASSERT_PTR_NULL(known_find("Debezium"));
}

static void
further_columns_and_other_types_serve(void)
{
	const struct known_layout *layout = NULL;
	struct sample s;
	struct error err;

	sample_begin(&s, "debezium");
	column(&s, "payload")->types = "character varying";
	column(&s, "id")->types = "text";
	s.columns[s.table.count++] = (struct known_column){"tracingspancontext", "xml"};
	TAP_INT(known_recognise(&s.table, &layout, &err), 0);
	TAP_STR(layout->name, "debezium");
}

static void
types_that_do_not_serve(void)
{
	struct sample s;

	sample_begin(&s, "debezium");
	column(&s, "id")->types = "bigint";
	expect_none(&s, "column \"id\" of table \"public.t\" has type bigint, where layout \"debezium\" has uuid/text/character "
	                "varying", "outbox.columns");
	/* no part of a type's name is a type */
	column(&s, "id")->types = "uui";
	expect_none(&s, "has type uui", "outbox.columns");
	column(&s, "id")->types = "uuid[]";
	expect_none(&s, "has type uuid[]", "outbox.columns");
}

static void
none_and_several(void)
{
	struct sample s;

	sample_begin(&s, "goharvest");
	column(&s, "leader_id")->name = "leader";
	expect_none(&s, "has no layout that is known (debezium, open-outbox, goharvest, eventuate-tram)", "outbox.columns");
	sample_begin(&s, "debezium");
	sample_add(&s, known_find("open-outbox"));
	expect_none(&s, "fits two layouts, \"debezium\" and \"open-outbox\"", "name the right one: pgoutboxctl adopt");
}

static void
a_variant_without_ids(void)
{
	struct sample s;

	sample_begin(&s, "eventuate-tram");
	s.columns[s.table.count++] = (struct known_column){"dbid", "bigint"};
	expect_none(&s, "has column \"dbid\": this variant of layout \"eventuate-tram\" cannot be relayed", "generate ids");
}

static void
a_named_one_lacks_a_column(void)
{
	struct sample s;
	struct error err = {0};

	sample_begin(&s, "debezium");
	TAP_INT(known_judge(known_find("goharvest"), &s.table, &err), -1);
	TAP_HAS(err.message, "table \"public.t\" has no column \"create_time\", which layout \"goharvest\" has");
}

/* Every name that a mapping has is a column of the layout, or is added. */
static void
mappings_name_what_is_there(void)
{
	for (size_t i = 0; i < known_layouts_count; i++) {
		const struct known_layout *layout = &known_layouts[i];
		struct sample s;

		sample_begin(&s, layout->name);
		for (size_t a = 0; a < KNOWN_ADDED_MAX && layout->added[a].name != NULL; a++)
			s.columns[s.table.count++] = (struct known_column){layout->added[a].name, "any"};
		for (int col = 0; col < COL_RECEIPTS; col++) {
			CU_ASSERT_PTR_NOT_NULL_FATAL(layout->map[col]);
			CU_ASSERT(layout->map[col][0] == '\0' || known_has_column(&s.table, layout->map[col]));
		}
		CU_ASSERT((layout->map[COL_SENT_AT][0] != '\0') != layout->settle_delete);
		CU_ASSERT((layout->leftover == NULL) == (layout->leftover_what == NULL));
		CU_ASSERT((layout->leftover == NULL) == (layout->leftover_hint == NULL));
		/* what would have to be put into an order is kept out */
		CU_ASSERT(layout->leftover != NULL || strcmp(layout->map[COL_ID], "pgoutbox_id") != 0);
	}
}

int
main(void)
{
	tap_suite("known");
	tap_test("each layout is recognised by its columns", each_is_recognised);
	tap_test("further columns and other types serve", further_columns_and_other_types_serve);
	tap_test("a type that does not serve is named", types_that_do_not_serve);
	tap_test("nothing is guessed where none fits, or several do", none_and_several);
	tap_test("a variant that cannot be relayed is refused", a_variant_without_ids);
	tap_test("a layout that was named must fit", a_named_one_lacks_a_column);
	tap_test("mappings name what is there", mappings_name_what_is_there);
	return tap_run();
}
