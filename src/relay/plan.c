/* plan.c - in: the configuration; out: options for source, route and sink. Knows no server. */
#include "relay/plan.h"

#include <stdlib.h>
#include <string.h>

#include "config/conninfo.h"
#include "config/options.h"
#include "source/bell.h"
#include "source/refusal.h"

static int
make_router(const struct config *cfg, struct router **ret_router, struct error *err)
{
	const char *columns[COL_COUNT];

	for (int i = 0; i < COL_COUNT; i++)
		columns[i] = config_column(cfg, (enum event_column)i);
	return router_new(cfg->kafka.topic, columns, ret_router, err);
}

static int
list_extra(struct plan *plan, struct error *err)
{
	size_t count = router_extra_count(plan->router);

	plan->extra = calloc(count + 1, sizeof(*plan->extra));
	if (plan->extra == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	for (size_t i = 0; i < count; i++)
		plan->extra[i] = router_extra_column(plan->router, i);
	return 0;
}

static int
list_properties(struct plan *plan, const struct config *cfg, struct error *err)
{
	const struct config_properties *lists[] = {&cfg->kafka.properties, &cfg->kafka.secrets};

	plan->properties = calloc(lists[0]->count + lists[1]->count + 1, sizeof(*plan->properties));
	if (plan->properties == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	for (size_t n = 0; n < 2; n++)
		for (size_t i = 0; i < lists[n]->count; i++)
			plan->properties[plan->properties_count++] =
				(struct producer_property){lists[n]->items[i].name, lists[n]->items[i].value};
	return 0;
}

static size_t
largest(const char *option)
{
	return (size_t)options_find("outbox", NULL, option)->max;
}

/* Promise 4 bounds what is in flight, so the producer's queue never refuses, whatever a reload makes of the limits. */
static void
plan_producer(struct plan *plan, const struct config *cfg)
{
	plan->producer = (struct producer_options){
		.brokers = cfg->kafka.brokers,
		.client_id = "pgoutboxd",
		.properties = plan->properties,
		.properties_count = plan->properties_count,
		.queue_messages = largest("batch_rows") * LANES_MAX,
		.queue_bytes = largest("batch_bytes") * LANES_MAX,
	};
}

struct session_options
plan_session(const struct config *cfg)
{
	return (struct session_options){
		.conninfo = cfg->database.conninfo,
		.password = cfg->database.password[0] != '\0' ? cfg->database.password : NULL,
		.sslpassword = cfg->database.sslpassword[0] != '\0' ? cfg->database.sslpassword : NULL,
		.connect_timeout_ms = cfg->database.connect_timeout_ms,
		.statement_timeout_ms = cfg->database.statement_timeout_ms,
		.session_timeout_ms = cfg->database.session_timeout_ms,
	};
}

static void
plan_table(struct plan *plan, const struct config *cfg)
{
	const struct outbox_config *outbox = &cfg->outbox;

	plan->request = (struct layout_request){
		.table = outbox->table,
		.extra = plan->extra,
		.extra_count = router_extra_count(plan->router),
		.settle_delete = outbox->settle == SETTLE_DELETE,
		.prune = outbox->settle == SETTLE_MARK && outbox->retention_ms != CONFIG_NEVER,
		.receipts = outbox->receipts,
	};
	for (int i = 0; i < COL_COUNT; i++)
		plan->request.columns[i] = config_column(cfg, (enum event_column)i);
	plan->statements = (struct statements_options){
		.settle_delete = outbox->settle == SETTLE_DELETE,
		.block_parked_keys = outbox->poison == POISON_BLOCK_KEY,
		.receipts = outbox->receipts,
		.batch_bytes = outbox->batch_bytes,
		.batch_rows = outbox->batch_rows,
		.extra_columns = plan->extra,
		.extra_count = router_extra_count(plan->router),
	};
}

int
plan_init(struct plan *plan, const struct config *cfg, struct error *err)
{
	if (make_router(cfg, &plan->router, err) != 0)
		return -1;
	plan->topic = strdup(cfg->kafka.topic);
	if (plan->topic == NULL)
		error_set(err, ERR_FATAL, "out of memory");
	if (plan->topic == NULL || list_extra(plan, err) != 0 || list_properties(plan, cfg, err) != 0) {
		plan_done(plan);
		return -1;
	}
	plan_producer(plan, cfg);
	plan->session = plan_session(cfg);
	plan_table(plan, cfg);
	return 0;
}

static bool
same_extra(const struct router *a, const struct router *b)
{
	if (router_extra_count(a) != router_extra_count(b))
		return false;
	for (size_t i = 0; i < router_extra_count(a); i++)
		if (strcmp(router_extra_column(a, i), router_extra_column(b, i)) != 0)
			return false;
	return true;
}

static int
other_columns(struct error *err)
{
	return error_set(err, ERR_CONFIG, "the topic is made of other columns than the relay reads");
}

void
plan_reload_limits(struct plan *plan, const struct config *cfg)
{
	plan->statements.batch_rows = cfg->outbox.batch_rows;
	plan->statements.batch_bytes = cfg->outbox.batch_bytes;
}

int
plan_route_differs(const struct plan *plan, const struct config *cfg, bool *ret_differs, struct error *err)
{
	struct router *router;
	bool fits;

	if (strcmp(plan->topic, cfg->kafka.topic) == 0) {
		*ret_differs = false;
		return 0;
	}
	if (make_router(cfg, &router, err) != 0)
		return -1;
	fits = same_extra(plan->router, router);
	router_free(router);
	if (!fits)
		return other_columns(err);
	*ret_differs = true;
	return 0;
}

int
plan_reload_route(struct plan *plan, const struct config *cfg, struct error *err)
{
	char *topic = strdup(cfg->kafka.topic);
	struct router *router;

	if (topic == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	if (make_router(cfg, &router, err) != 0) {
		free(topic);
		return -1;
	}
	if (!same_extra(plan->router, router)) {
		router_free(router);
		free(topic);
		return other_columns(err);
	}
	for (size_t i = 0; i < router_extra_count(router); i++)
		plan->extra[i] = router_extra_column(router, i);
	router_free(plan->router);
	free(plan->topic);
	plan->router = router;
	plan->topic = topic;
	return 0;
}

void
plan_done(struct plan *plan)
{
	router_free(plan->router);
	free(plan->topic);
	free(plan->extra);
	free(plan->properties);
	*plan = (struct plan){.router = NULL};
}

/* map is how the configuration names the list: "kafka.properties". */
static void
check_properties(const struct config *cfg, const struct config_properties *list, const char *map,
                 struct config_problems *problems)
{
	struct error err;

	for (size_t i = 0; i < list->count; i++) {
		struct buf path __attribute__((cleanup(buf_done))) = BUF_INIT;

		if (producer_check_property(list->items[i].name, list->items[i].value, &err) == 0)
			continue;
		buf_printf(&path, "%s.%s", map, list->items[i].name);
		config_complain_error(cfg, buf_str(&path), problems, CONFIG_ERROR, &err);
	}
}

static void
check_topic(const struct config *cfg, struct config_problems *problems)
{
	struct router *router;
	struct error err;

	if (make_router(cfg, &router, &err) != 0)
		config_complain_error(cfg, "kafka.topic", problems, CONFIG_ERROR, &err);
	else
		router_free(router);
}

void
plan_check_config(const struct config *cfg, struct config_problems *problems)
{
	const char *conninfo = cfg->database.conninfo;
	struct error err;

	if (refusal_check_conninfo(conninfo, conninfo_has_password(conninfo), &err) != 0)
		config_complain_error(cfg, "database.conninfo", problems, CONFIG_ERROR, &err);
	for (size_t i = 0; i < config_outboxes(cfg); i++)
		check_topic(config_outbox(cfg, i), problems);
	check_properties(cfg, &cfg->kafka.properties, "kafka.properties", problems);
	check_properties(cfg, &cfg->kafka.secrets, "kafka.property_files", problems);
}
