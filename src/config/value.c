/* value.c - the text of a scalar in, a field of struct config out, and the way back. Knows neither YAML nor files. */
#include "config/value.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/quote.h"
#include "config/suggest.h"

struct unit {
	const char *name;
	int64_t factor;
};

/* From the largest: the first that divides a value prints it. */
static const struct unit duration_units[] = {
	{"d", 24 * 60 * 60 * 1000}, {"h", 60 * 60 * 1000}, {"m", 60 * 1000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};
static const struct unit size_units[] = {
	{"GiB", INT64_C(1) << 30}, {"MiB", INT64_C(1) << 20}, {"KiB", INT64_C(1) << 10}, {"B", 1}, {NULL, 0}};

static const struct unit *
units_of(const struct option *opt)
{
	return opt->kind == OPTION_SIZE ? size_units : duration_units;
}

static void *
field(const struct option *opt, void *section)
{
	return (char *)section + opt->offset;
}

static const void *
const_field(const struct option *opt, const void *section)
{
	return (const char *)section + opt->offset;
}

static int
refuse(struct error *err, const char *text, const char *what)
{
	struct buf value __attribute__((cleanup(buf_done))) = BUF_INIT;

	quote_value(&value, text);
	return error_set(err, ERR_CONFIG, "%s %s", buf_str(&value), what);
}

static void
print_scaled(const struct unit *units, int64_t value, struct buf *out)
{
	const struct unit *u = units;

	while (u[1].name != NULL && (value == 0 || value % u->factor != 0))
		u++;
	buf_printf(out, "%" PRId64 "%s", value / u->factor, u->name);
}

static void
print_bound(const struct option *opt, int64_t value, struct buf *out)
{
	if (opt->kind == OPTION_INTEGER)
		buf_printf(out, "%" PRId64, value);
	else
		print_scaled(units_of(opt), value, out);
}

static void
print_choices(const struct option *opt, struct buf *out)
{
	for (const struct choice *c = opt->choices; c->name != NULL; c++)
		buf_printf(out, "%s%s", c == opt->choices ? "" : c[1].name == NULL ? " or " : ", ", c->name);
}

void
value_print_range(const struct option *opt, struct buf *out)
{
	if (opt->kind == OPTION_CHOICE) {
		print_choices(opt, out);
	} else if (opt->kind == OPTION_BOOLEAN) {
		buf_add_str(out, "true or false");
	} else if (opt->kind == OPTION_INTEGER || opt->kind == OPTION_DURATION || opt->kind == OPTION_SIZE) {
		print_bound(opt, opt->min, out);
		buf_add_str(out, "..");
		print_bound(opt, opt->max, out);
		if (opt->kind == OPTION_INTEGER)
			buf_printf(out, " %s", opt->unit);
		if (opt->never)
			buf_add_str(out, " or never");
	}
}

void
value_print_facts(const struct option *opt, struct buf *out)
{
	struct buf range __attribute__((cleanup(buf_done))) = BUF_INIT;
	const char *gap = out->len > 0 ? " " : "";

	value_print_range(opt, &range);
	if (range.len > 0) {
		buf_printf(out, "%sAllowed: %s.", gap, buf_str(&range));
		gap = " ";
	}
	if (opt->required)
		buf_printf(out, "%sRequired, for example \"%s\".", gap, opt->example);
}

/* text is a number already, perhaps too long a one, so that it is shown as it stands. */
static int
outside(const struct option *opt, const char *text, struct error *err)
{
	struct buf range __attribute__((cleanup(buf_done))) = BUF_INIT;

	value_print_range(opt, &range);
	return error_set(err, ERR_CONFIG, "%.40s%s is outside %s", text, strlen(text) > 40 ? "..." : "",
	                 buf_str(&range));
}

/* How many decimal digits text begins with, and their value; INT64_MAX stands for all that is larger. */
static size_t
parse_digits(const char *text, int64_t *ret_value)
{
	int64_t value = 0;
	size_t len = strspn(text, "0123456789");

	for (size_t i = 0; i < len; i++)
		if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, text[i] - '0', &value)) {
			value = INT64_MAX;
			break;
		}
	*ret_value = value;
	return len;
}

static int
set_integer(const struct option *opt, int64_t *number, const char *text, struct error *err)
{
	bool negative = text[0] == '-';
	const char *digits = text + negative;
	int64_t value;
	size_t len = parse_digits(digits, &value);

	if (len == 0 || digits[len] != '\0')
		return refuse(err, text, "is not a whole number");
	if (digits[0] == '0' && len > 1)
		return refuse(err, text, "has a leading zero");
	if (negative || value < opt->min || value > opt->max)
		return outside(opt, text, err);
	*number = value;
	return 0;
}

static const struct unit *
find_unit(const struct unit *units, const char *name)
{
	for (; units->name != NULL; units++)
		if (strcmp(units->name, name) == 0)
			return units;
	return NULL;
}

/* The len digits that text begins with stand in front of no unit. */
static int
unit_missing(const struct option *opt, const char *text, int len, struct error *err)
{
	struct buf hint __attribute__((cleanup(buf_done))) = BUF_INIT;

	for (const struct unit *u = units_of(opt); u->name != NULL; u++) {
		if (u != units_of(opt))
			buf_add_str(&hint, u[1].name == NULL ? " or " : ", ");
		buf_printf(&hint, "%.*s%s", len, text, u->name);
	}
	error_set(err, ERR_CONFIG, "%.40s has no unit", text);
	return error_hint(err, "write %s", buf_str(&hint));
}

static int
unit_unknown(const struct option *opt, const char *text, int len, struct error *err)
{
	const char *name = text + len + strspn(text + len, " ");
	struct suggest near;

	refuse(err, text, "has a unit that is not known here");
	suggest_init(&near, name);
	for (const struct unit *u = units_of(opt); u->name != NULL; u++)
		suggest_offer(&near, u->name);
	if (near.best != NULL)
		return error_hint(err, "did you mean \"%.*s%s\"?", len, text, near.best);
	return error_hint(err, "the units are %s",
	                  opt->kind == OPTION_SIZE ? "B, KiB, MiB or GiB" : "ms, s, m, h or d");
}

static int
not_scaled(const struct option *opt, const char *text, struct error *err)
{
	if (opt->kind == OPTION_SIZE) {
		refuse(err, text, "is not a size");
		return error_hint(err, "write a whole number and B, KiB, MiB or GiB, for example %s", opt->fallback);
	}
	refuse(err, text, "is not a duration");
	return error_hint(err, "write a whole number and ms, s, m, h or d, for example %s", opt->fallback);
}

static int
set_scaled(const struct option *opt, int64_t *number, const char *text, struct error *err)
{
	const struct unit *unit;
	int64_t value;
	size_t len = parse_digits(text, &value);

	if (opt->never && strcmp(text, "never") == 0) {
		*number = CONFIG_NEVER;
		return 0;
	}
	if (len == 0 || text[len] == '.')
		return not_scaled(opt, text, err);
	unit = find_unit(units_of(opt), text + len);
	if (unit == NULL && text[len] == '\0')
		return unit_missing(opt, text, len > 20 ? 20 : (int)len, err);
	if (unit == NULL)
		return unit_unknown(opt, text, len > 20 ? 20 : (int)len, err);
	if (__builtin_mul_overflow(value, unit->factor, &value) || value < opt->min || value > opt->max)
		return outside(opt, text, err);
	*number = value;
	return 0;
}

static int
set_boolean(bool *flag, const char *text, struct error *err)
{
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
		refuse(err, text, "is neither true nor false");
		return -1;
	}
	*flag = text[0] == 't';
	return 0;
}

static int
set_choice(const struct option *opt, int *chosen, const char *text, struct error *err)
{
	struct buf range __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf message __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct suggest near;

	suggest_init(&near, text);
	for (const struct choice *c = opt->choices; c->name != NULL; c++) {
		if (strcmp(c->name, text) == 0) {
			*chosen = c->value;
			return 0;
		}
		suggest_offer(&near, c->name);
	}
	print_choices(opt, &range);
	buf_printf(&message, "is not %s", buf_str(&range));
	refuse(err, text, buf_str(&message));
	if (near.best != NULL)
		error_hint(err, "did you mean \"%s\"?", near.best);
	return -1;
}

static int
set_string(const struct option *opt, char **string, const char *text, struct error *err)
{
	char *copy;

	if (text[0] == '\0' && opt->needed) {
		error_set(err, ERR_CONFIG, "must not be empty");
		if (opt->example != NULL)
			error_hint(err, "for example \"%s\"", opt->example);
		return -1;
	}
	if (opt->check != NULL && opt->check(text, err) < 0)
		return -1;
	copy = strdup(text);
	if (copy == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	free(*string);
	*string = copy;
	return 0;
}

int
value_set(const struct option *opt, void *section, const char *text, struct error *err)
{
	switch (opt->kind) {
	case OPTION_STRING:
		return set_string(opt, field(opt, section), text, err);
	case OPTION_INTEGER:
		return set_integer(opt, field(opt, section), text, err);
	case OPTION_DURATION:
	case OPTION_SIZE:
		return set_scaled(opt, field(opt, section), text, err);
	case OPTION_BOOLEAN:
		return set_boolean(field(opt, section), text, err);
	case OPTION_CHOICE:
		return set_choice(opt, field(opt, section), text, err);
	case OPTION_COLUMNS:
	case OPTION_PROPERTIES:
		break;
	}
	return error_set(err, ERR_CONFIG, "takes options below it, not a value");
}

static const char *
choice_name(const struct option *opt, int value)
{
	for (const struct choice *c = opt->choices; c->name != NULL; c++)
		if (c->value == value)
			return c->name;
	return "";
}

void
value_print(const struct option *opt, const void *section, struct buf *out)
{
	const void *at = const_field(opt, section);

	switch (opt->kind) {
	case OPTION_STRING:
		buf_add_str(out, *(char *const *)at);
		break;
	case OPTION_INTEGER:
		buf_printf(out, "%" PRId64, *(const int64_t *)at);
		break;
	case OPTION_DURATION:
	case OPTION_SIZE:
		if (opt->never && *(const int64_t *)at == CONFIG_NEVER)
			buf_add_str(out, "never");
		else
			print_scaled(units_of(opt), *(const int64_t *)at, out);
		break;
	case OPTION_BOOLEAN:
		buf_add_str(out, *(const bool *)at ? "true" : "false");
		break;
	case OPTION_CHOICE:
		buf_add_str(out, choice_name(opt, *(const int *)at));
		break;
	case OPTION_COLUMNS:
	case OPTION_PROPERTIES:
		break;
	}
}
