/* topic.c - see topic.h */
#include "route/topic.h"

#include <stdbool.h>

#include "route/text.h"

static const bool legal[256] = {
	['a' ... 'z'] = true,
	['A' ... 'Z'] = true,
	['0' ... '9'] = true,
	['.'] = true,
	['_'] = true,
	['-'] = true,
};

size_t
topic_bad_byte(struct slice name)
{
	size_t i = 0;

	while (i < name.len && legal[(unsigned char)name.data[i]])
		i++;
	return i;
}

static int
refuse_byte(struct slice name, size_t at, enum err_kind kind, struct error *err)
{
	error_set(err, kind, "topic \"%s\" is not a legal name: \"%s\" at byte %zu", text_shown(name).text,
	          text_shown((struct slice){name.data + at, 1}).text, at + 1);
	return error_hint(err, "a topic name consists of ASCII letters, digits, \".\", \"_\" and \"-\"");
}

int
topic_check(struct slice name, enum err_kind kind, struct error *err)
{
	if (name.len == 0)
		return error_set(err, kind, "topic name is empty");
	if (name.len > TOPIC_MAX) {
		error_set(err, kind, "topic \"%s\" is too long", text_shown(name).text);
		return error_hint(err, "a topic name has at most %d bytes", TOPIC_MAX);
	}
	size_t bad = topic_bad_byte(name);
	if (bad < name.len)
		return refuse_byte(name, bad, kind, err);
	if (slice_equal(name, slice_from(".")) || slice_equal(name, slice_from("..")))
		return error_set(err, kind, "topic \"%s\" is not a legal name", text_shown(name).text);
	return 0;
}
