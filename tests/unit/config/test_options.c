/* Tests of src/config/options.c: each row makes sense, and the table covers the structs. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/options.h"
#include "config/value.h"
#include "support/tap.h"

static void
complain(const struct option *opt, const char *what)
{
	tap_diag("%s.%s", opt->section, opt->name);
	TAP_STR(what, "right");
}

static void
test_rows(void)
{
	for (size_t i = 0; i < options_count; i++) {
		const struct option *opt = &options_all[i];
		size_t len = strlen(opt->sentence);

		if (options_find_section(opt->section) == NULL)
			complain(opt, "section");
		if (options_find(opt->section, opt->group, opt->name) != opt)
			complain(opt, "found");
		if (len < 10 || opt->sentence[len - 1] != '.' || !isupper(opt->sentence[0]))
			complain(opt, "sentence");
		if (strchr(opt->sentence, '\n') != NULL || strstr(opt->sentence, "  ") != NULL)
			complain(opt, "blanks of the sentence");
		if (opt->required && (opt->example == NULL || !opt->needed || opt->fallback[0] != '\0'))
			complain(opt, "required");
		if (opt->kind == OPTION_CHOICE && opt->choices == NULL)
			complain(opt, "choices");
		if (opt->kind == OPTION_DURATION && strcmp(opt->unit, "ms") != 0)
			complain(opt, "unit");
		if (opt->kind == OPTION_SIZE && strcmp(opt->unit, "bytes") != 0)
			complain(opt, "unit");
		if ((opt->kind == OPTION_INTEGER || opt->kind == OPTION_DURATION || opt->kind == OPTION_SIZE) &&
		    opt->min >= opt->max)
			complain(opt, "range");
	}
}

/* Room for any of the structs, so that one value can be tried at a time. */
union any_section {
	struct database_config database;
	struct outbox_config outbox;
	struct kafka_config kafka;
	struct http_config http;
	struct log_config log;
};

static void
tries(const struct option *opt, const char *text)
{
	union any_section at = {0};
	struct error err = {0};

	if (value_set(opt, &at, text, &err) < 0) {
		tap_diag("%s", err.message);
		complain(opt, text);
	}
	if (opt->kind == OPTION_STRING)
		free(*(char **)(void *)((char *)&at + opt->offset));
}

static void
test_defaults_and_examples(void)
{
	for (size_t i = 0; i < options_count; i++) {
		const struct option *opt = &options_all[i];

		if (opt->kind == OPTION_COLUMNS || opt->kind == OPTION_PROPERTIES)
			continue;
		tries(opt, opt->required ? opt->example : opt->fallback);
	}
}

/* Bytes of one option's field. */
static size_t
field_size(const struct option *opt)
{
	switch (opt->kind) {
	case OPTION_STRING:
		return sizeof(char *);
	case OPTION_INTEGER:
	case OPTION_DURATION:
	case OPTION_SIZE:
		return sizeof(int64_t);
	case OPTION_BOOLEAN:
		return sizeof(bool);
	case OPTION_CHOICE:
		return sizeof(int);
	case OPTION_PROPERTIES:
		return sizeof(struct config_properties);
	case OPTION_COLUMNS:
		break;
	}
	return 0;
}

static void
test_fields_are_apart(void)
{
	for (size_t i = 0; i < options_count; i++)
		for (size_t j = i + 1; j < options_count; j++) {
			const struct option *a = &options_all[i], *b = &options_all[j];

			if (strcmp(a->section, b->section) != 0 || field_size(a) == 0 || field_size(b) == 0)
				continue;
			if (a->offset + field_size(a) > b->offset && b->offset + field_size(b) > a->offset)
				complain(a, b->name);
		}
}

static void
test_columns(void)
{
	size_t count = 0;

	for (size_t i = 0; i < options_count; i++)
		if (options_stands_in(&options_all[i], "outbox", "columns"))
			count++;
	TAP_INT(count, COL_COUNT);
	TAP_INT(options_find("outbox", "columns", "sent_at")->offset,
	        offsetof(struct outbox_config, columns) + COL_SENT_AT * sizeof(char *));
}

static void
test_lookup(void)
{
	CU_ASSERT_PTR_NULL(options_find("outbox", NULL, "id"));
	CU_ASSERT_PTR_NULL(options_find("outbox", "columns", "lanes"));
	CU_ASSERT_PTR_NULL(options_find("kafka", NULL, "lanes"));
	CU_ASSERT_PTR_NULL(options_find_section("columns"));
	CU_ASSERT_PTR_NULL(options_find_section(""));
	CU_ASSERT_PTR_NOT_NULL(options_find("outbox", NULL, "lanes"));
	CU_ASSERT(!options_stands_in(options_find("outbox", NULL, "columns"), "outbox", "columns"));
}

/* What a reload may change is a promise to operators. */
static void
test_reload(void)
{
	static const char *const names[] = {
		"batch_rows", "batch_bytes", "retention", "hold_max", "poll_min",
		"poll_max", "stop_timeout", "topic", "level"};
	size_t found = 0;

	for (size_t i = 0; i < options_count; i++) {
		bool expected = false;

		for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++)
			expected |= options_all[i].group == NULL && strcmp(options_all[i].name, names[n]) == 0;
		if ((options_all[i].when == OPTION_RELOAD) != expected)
			complain(&options_all[i], "reload");
		found += expected;
	}
	TAP_INT(found, sizeof(names) / sizeof(names[0]));
}

int
main(void)
{
	tap_suite("options");
	tap_test("each row is sound", test_rows);
	tap_test("defaults and examples pass their own checks", test_defaults_and_examples);
	tap_test("no two options share a field", test_fields_are_apart);
	tap_test("every column has its option", test_columns);
	tap_test("look-ups keep to their section and group", test_lookup);
	tap_test("what a reload can change", test_reload);
	return tap_run();
}
