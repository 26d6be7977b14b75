/* options.c - options.def, turned into tables. Nothing flows here. */
#include "config/options.h"

#include <string.h>

#include "config/config.h"
#include "config/conninfo.h"
#include "config/syntax.h"

#define MILLISECONDS(n) (INT64_C(n))
#define SECONDS(n) (INT64_C(n) * 1000)
#define MINUTES(n) (INT64_C(n) * 60 * 1000)
#define HOURS(n) (INT64_C(n) * 60 * 60 * 1000)
#define DAYS(n) (INT64_C(n) * 24 * 60 * 60 * 1000)
#define KIB(n) (INT64_C(n) << 10)
#define GIB(n) (INT64_C(n) << 30)

#define RANGE(low, high) .min = (low), .max = (high),
#define NEVER .never = true,
#define NEEDED .needed = true,
#define REQUIRED(text) .required = true, .needed = true, .example = (text),
#define COMMAS .commas = true,
#define TEMPLATE .template = true,
#define CHECK(function) .check = (function),
#define CHOICES(list) .choices = (list),
#define SECRET true
#define PUBLIC false

/* The loader writes a choice through an int. */
_Static_assert(sizeof(enum settle_mode) == sizeof(int) && sizeof(enum poison_policy) == sizeof(int) &&
               sizeof(enum log_format) == sizeof(int), "an enum of the configuration is as wide as an int");

const struct choice options_settle[] = {{"mark", SETTLE_MARK}, {"delete", SETTLE_DELETE}, {NULL, 0}};
const struct choice options_poison[] = {{"block_key", POISON_BLOCK_KEY}, {"skip", POISON_SKIP}, {NULL, 0}};
const struct choice options_level[] = {
	{"debug", LOG_DEBUG},     {"info", LOG_INFO}, {"notice", LOG_NOTICE},
	{"warning", LOG_WARNING}, {"error", LOG_ERR}, {NULL, 0}};
const struct choice options_format[] = {{"logfmt", LOG_FORMAT_LOGFMT}, {"json", LOG_FORMAT_JSON}, {NULL, 0}};

/* The row of the map declares an array; an offset wants a member. */
#define FIELD_OFFSET(section_, field_) offsetof(struct section_##_config, field_)
#define OFFSET_STRING FIELD_OFFSET
#define OFFSET_INTEGER FIELD_OFFSET
#define OFFSET_DURATION FIELD_OFFSET
#define OFFSET_SIZE FIELD_OFFSET
#define OFFSET_BOOLEAN FIELD_OFFSET
#define OFFSET_CHOICE FIELD_OFFSET
#define OFFSET_COLUMNS(section_, field_) offsetof(struct section_##_config, columns)
#define OFFSET_PROPERTIES FIELD_OFFSET

const struct option options_all[] = {
#define OPTION(section_, name_, kind_, type_, field_, limits_, default_, unit_, when_, secrecy_, sentence_) \
	{.section = #section_, .name = #name_, .kind = OPTION_##kind_, .offset = OFFSET_##kind_(section_, field_), \
	 limits_ .fallback = (default_), .unit = (unit_), .when = OPTION_##when_, .secret = (secrecy_), \
	 .sentence = (sentence_)},
#define COLUMN(section_, name_, index_, need_, sentence_) \
	{.section = #section_, .group = "columns", .name = #name_, .kind = OPTION_STRING, \
	 .offset = offsetof(struct section_##_config, columns[index_]), need_ .check = syntax_column, \
	 .fallback = #name_, .unit = "", .when = OPTION_RESTART, .sentence = (sentence_)},
#include "config/options.def"
};
const size_t options_count = sizeof(options_all) / sizeof(options_all[0]);

const struct section options_sections[] = {
#define SECTION(name_, sentence_) {.name = #name_, .offset = offsetof(struct config, name_), .sentence = (sentence_)},
#include "config/options.def"
};
const size_t options_sections_count = sizeof(options_sections) / sizeof(options_sections[0]);

const struct section options_outboxes = {
#define LIST(name_, sentence_) .name = #name_, .sentence = (sentence_),
#include "config/options.def"
};

/* An entry of the list: an option of the section outbox, or the topic. */
static bool
stands_in_entry(const struct option *opt, const char *group)
{
	if (group == NULL && strcmp(opt->section, "kafka") == 0 && strcmp(opt->name, "topic") == 0)
		return true;
	return options_stands_in(opt, "outbox", group);
}

bool
options_stands_in(const struct option *opt, const char *section, const char *group)
{
	if (strcmp(section, options_outboxes.name) == 0)
		return stands_in_entry(opt, group);
	if (strcmp(opt->section, section) != 0 || (opt->group == NULL) != (group == NULL))
		return false;
	return group == NULL || strcmp(opt->group, group) == 0;
}

const struct option *
options_find(const char *section, const char *group, const char *name)
{
	for (size_t i = 0; i < options_count; i++)
		if (options_stands_in(&options_all[i], section, group) && strcmp(options_all[i].name, name) == 0)
			return &options_all[i];
	return NULL;
}

const struct section *
options_find_section(const char *name)
{
	for (size_t i = 0; i < options_sections_count; i++)
		if (strcmp(options_sections[i].name, name) == 0)
			return &options_sections[i];
	return NULL;
}
