/* Tests of src/config/config_print_schema.c: it is JSON, and has each option where it stands. tests/options validates with it. */
#include <jansson.h>
#include <string.h>

#include "config/config.h"
#include "config/options.h"
#include "support/tap.h"

static json_t *
schema(void)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
	json_error_t error;
	json_t *root;

	config_print_schema(&text);
	root = json_loads(buf_str(&text), JSON_REJECT_DUPLICATES, &error);
	TAP_STR(root == NULL ? error.text : "", "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(root);
	return root;
}

static json_t *
member(json_t *object, const char *name)
{
	return json_object_get(json_object_get(object, "properties"), name);
}

static void
each_option_is_there(void)
{
	json_t *root = schema(), *entry = json_object_get(member(root, options_outboxes.name), "items");
	size_t entries = 0;

	TAP_INT(json_object_size(json_object_get(root, "properties")), options_sections_count + 1);
	for (size_t i = 0; i < options_count; i++) {
		const struct option *opt = &options_all[i];
		json_t *section = member(root, opt->section), *at = section;

		if (opt->group != NULL)
			at = member(section, opt->group);
		CU_ASSERT_TRUE(json_is_false(json_object_get(at, "additionalProperties")));
		at = member(at, opt->name);
		TAP_STR(json_string_value(json_object_get(at, "description")), opt->sentence);
		TAP_INT(json_object_get(at, "default") != NULL, !opt->required && opt->kind != OPTION_COLUMNS);
		if (opt->group != NULL || !options_stands_in(opt, options_outboxes.name, NULL))
			continue;
		CU_ASSERT_TRUE(json_equal(member(entry, opt->name), at));
		entries++;
	}
	TAP_INT(json_object_size(json_object_get(entry, "properties")), entries);
	json_decref(root);
}

static void
ranges_are_those_of_the_table(void)
{
	json_t *root = schema(), *rows = json_array_get(json_object_get(member(member(root, "outbox"), "batch_rows"), "anyOf"), 0);

	TAP_INT(json_integer_value(json_object_get(rows, "minimum")), 1);
	TAP_INT(json_integer_value(json_object_get(rows, "maximum")), 100000);
	TAP_STR(json_string_value(json_array_get(json_object_get(root, "required"), 0)), "database");
	TAP_STR(json_string_value(json_array_get(json_object_get(member(root, "kafka"), "required"), 0)), "brokers");
	json_decref(root);
}

int
main(void)
{
	tap_suite("config_print_schema");
	tap_test("each option is where it stands", each_option_is_there);
	tap_test("ranges and what is required", ranges_are_those_of_the_table);
	return tap_run();
}
