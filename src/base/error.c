/* error.c - a failed call's kind and words in, struct error out.
 *
 * Nothing here can fail: too long a text is cut, at the start of a character where it is UTF-8.
 */
#include "base/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/utf8.h"

/* Through a copy, because an argument may be part of the text that is replaced. */
static void __attribute__((format(printf, 3, 0)))
format_into(char *dest, size_t size, const char *fmt, va_list args)
{
	char text[sizeof((struct error *)NULL)->message];

	assert(size <= sizeof text);
	if (vsnprintf(text, size, fmt, args) < 0)
		text[0] = '\0';
	text[utf8_whole(text, strlen(text))] = '\0';
	strcpy(dest, text);
}

int
(error_set)(struct error *err, enum err_kind kind, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	format_into(err->message, sizeof err->message, fmt, args);
	va_end(args);
	err->kind = kind;
	err->hint[0] = '\0';
	return -1;
}

int
(error_hint)(struct error *err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	format_into(err->hint, sizeof err->hint, fmt, args);
	va_end(args);
	return -1;
}

int
(error_prefix)(struct error *err, const char *fmt, ...)
{
	char text[sizeof err->message];
	char context[sizeof err->message];
	va_list args;

	va_start(args, fmt);
	format_into(context, sizeof context, fmt, args);
	va_end(args);
	if (snprintf(text, sizeof text, "%s: %s", context, err->message) < 0)
		text[0] = '\0';
	text[utf8_whole(text, strlen(text))] = '\0';
	strcpy(err->message, text);
	return -1;
}

int
error_exit_status(enum err_kind kind)
{
	switch (kind) {
	case ERR_CONFIG:
		return EX_CONFIG;
	case ERR_RETRY:
		return EX_TEMPFAIL;
	case ERR_POISON:
	case ERR_FATAL:
		break;
	}
	return EX_SOFTWARE;
}

const char *
error_kind_name(enum err_kind kind)
{
	switch (kind) {
	case ERR_CONFIG:
		return "config";
	case ERR_RETRY:
		return "retry";
	case ERR_POISON:
		return "poison";
	case ERR_FATAL:
		return "fatal";
	}
	assert(false);
	return "unknown";
}
