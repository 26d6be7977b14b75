/* libFuzzer target: any bytes as a topic template, then an event routed by it with columns from the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "route/router.h"
#include "route/topic.h"

static const char *const columns[COL_COUNT] = {
	[COL_ID] = "id", [COL_EVENT_ID] = "e", [COL_AGGREGATE_TYPE] = "a", [COL_AGGREGATE_ID] = "k", [COL_EVENT_TYPE] = "t",
	[COL_PAYLOAD] = "p",
};

static void
route(const struct router *r, struct slice value)
{
	size_t count = router_extra_count(r);
	struct slice *extra = calloc(count + 1, sizeof *extra);
	struct event ev = {
		.id = -1,
		.event_id = value,
		.aggregate_type = value,
		.key = value,
		.event_type = value,
		.extra = extra,
	};
	struct arena arena = ARENA_INIT;
	struct message msg;
	struct error err;

	for (size_t i = 0; i < count; i++)
		extra[i] = value;
	if (router_route(r, &ev, &arena, &msg, &err) == 0) {
		if (topic_check(slice_from(msg.topic), ERR_POISON, &err) != 0)
			abort();
	} else if (err.kind != ERR_POISON) {
		abort();
	}
	arena_done(&arena);
	free(extra);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *template = malloc(size + 1);
	struct router *r;
	struct error err;

	memcpy(template, data, size);
	template[size] = '\0';
	if (router_new(template, columns, &r, &err) == 0) {
		route(r, (struct slice){template, size});
		route(r, slice_from("x"));
		route(r, SLICE_NULL);
		router_free(r);
	} else if (err.kind != ERR_CONFIG) {
		abort();
	}
	free(template);
	return 0;
}
