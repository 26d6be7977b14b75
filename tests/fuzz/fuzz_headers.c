/* libFuzzer target: any bytes as the JSON text of headers, and jansson as the second opinion.
 *
 * Each allocation of the arena is one of malloc's, of exactly the size asked for, so that the sanitizer sees a write
 * behind what headers_build() counted out.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "route/headers.h"

static void *allocated;

void *
arena_alloc(struct arena *a, size_t size)
{
	(void)a;
	if (allocated != NULL)
		abort(); /* headers_build() allocates once */
	allocated = malloc(size);
	return allocated;
}

static void
check_error(const struct error *err)
{
	if (err->kind != ERR_POISON || err->message[0] == '\0')
		abort();
	for (const char *p = err->message; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e)
			abort();
}

static void
check_headers(const struct header *headers, size_t count)
{
	volatile unsigned char sum = 0;

	if (count < 2 || count > HEADERS_MAX + 2)
		abort();
	for (size_t i = 0; i < count; i++) {
		if (i >= 2 && (strcmp(headers[i].name, "id") == 0 || strcmp(headers[i].name, "type") == 0))
			abort();
		for (size_t j = 0; j < headers[i].value.len; j++)
			sum = (unsigned char)(sum + (unsigned char)headers[i].value.data[j]);
	}
}

static const struct header *
find(const struct header *headers, size_t count, const char *name)
{
	while (count > 2)
		if (strcmp(headers[--count].name, name) == 0)
			return &headers[count];
	abort();
}

static void
compare_value(const struct header *h, const json_t *value)
{
	if (json_is_null(value) != slice_is_null(h->value))
		abort();
	if (json_is_string(value) &&
	    !slice_equal(h->value, (struct slice){json_string_value(value), json_string_length(value)}))
		abort();
	if (json_is_boolean(value) && !slice_equal(h->value, slice_from(json_is_true(value) ? "true" : "false")))
		abort();
}

static bool
refusable(const char *name, const json_t *value)
{
	return json_is_object(value) || json_is_array(value) || strcmp(name, "id") == 0 || strcmp(name, "type") == 0;
}

/* What jansson takes for a flat object, headers_build() must take too, and see the same in it. Not the other way round:
 * jansson refuses bad UTF-8 and numbers that it cannot hold. A NUL byte it overlooks here and there. */
static void
compare(const uint8_t *data, size_t size, const struct header *headers, size_t count)
{
	json_t *object = json_loadb((const char *)data, size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
	bool has_nul = memchr(data, '\0', size) != NULL;
	bool may_refuse = has_nul || !json_is_object(object) || json_object_size(object) > HEADERS_MAX;
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value) {
		may_refuse = may_refuse || refusable(name, value);
		if (headers != NULL)
			compare_value(find(headers, count, name), value);
	}
	if (headers == NULL && !may_refuse)
		abort();
	json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event ev = {
		.event_id = slice_from("e"),
		.event_type = slice_from("t"),
		.headers = {(const char *)data, size},
	};
	struct arena arena = ARENA_INIT;
	const struct header *headers = NULL;
	size_t count = 0;
	struct error err;

	if (headers_build(&ev, &arena, &headers, &count, &err) == 0)
		check_headers(headers, count);
	else
		check_error(&err);
	compare(data, size, headers, count);
	free(allocated);
	allocated = NULL;
	return 0;
}
