/* plan.c - in: the configuration; out: options for source, route and sink. Knows no server. */
#include "relay/plan.h"

#include <stdlib.h>

#include "source/bell.h"

static int
make_router(const struct config *cfg, struct router **ret_router, struct error *err)
{
	const char *columns[COL_COUNT];

	for (int i = 0; i < COL_COUNT; i++)
		columns[i] = cfg->outbox.columns[i];
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
	const struct config_properties *from = &cfg->kafka.properties;

	plan->properties = calloc(from->count + 1, sizeof(*plan->properties));
	if (plan->properties == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	for (size_t i = 0; i < from->count; i++)
		plan->properties[i] = (struct producer_property){from->items[i].name, from->items[i].value};
	return 0;
}

/* Promise 4 bounds what is in flight, so the producer's queue never refuses. */
static void
plan_producer(struct plan *plan, const struct config *cfg)
{
	plan->producer = (struct producer_options){
		.brokers = cfg->kafka.brokers,
		.client_id = "pgoutboxd",
		.properties = plan->properties,
		.properties_count = cfg->kafka.properties.count,
		.queue_messages = (size_t)cfg->outbox.batch_rows * LANES_MAX,
		.queue_bytes = (size_t)cfg->outbox.batch_bytes * LANES_MAX,
	};
}

static void
plan_session(struct plan *plan, const struct config *cfg)
{
	plan->session = (struct session_options){
		.conninfo = cfg->database.conninfo,
		.password = cfg->database.password[0] != '\0' ? cfg->database.password : NULL,
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
	};
	for (int i = 0; i < COL_COUNT; i++)
		plan->request.columns[i] = outbox->columns[i];
	plan->statements = (struct statements_options){
		.settle_delete = outbox->settle == SETTLE_DELETE,
		.block_parked_keys = outbox->poison == POISON_BLOCK_KEY,
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
	if (list_extra(plan, err) != 0 || list_properties(plan, cfg, err) != 0) {
		plan_done(plan);
		return -1;
	}
	plan_producer(plan, cfg);
	plan_session(plan, cfg);
	plan_table(plan, cfg);
	return 0;
}

void
plan_done(struct plan *plan)
{
	router_free(plan->router);
	free(plan->extra);
	free(plan->properties);
	*plan = (struct plan){.router = NULL};
}

void
plan_check_config(const struct config *cfg, struct config_problems *problems)
{
	struct router *router;
	struct error err;

	if (make_router(cfg, &router, &err) != 0)
		config_complain_error(cfg, "kafka.topic", problems, CONFIG_ERROR, &err);
	else
		router_free(router);
	for (size_t i = 0; i < cfg->kafka.properties.count; i++) {
		const struct config_property *p = &cfg->kafka.properties.items[i];
		struct buf path __attribute__((cleanup(buf_done))) = BUF_INIT;

		if (producer_check_property(p->name, p->value, &err) == 0)
			continue;
		buf_printf(&path, "kafka.properties.%s", p->name);
		config_complain_error(cfg, buf_str(&path), problems, CONFIG_ERROR, &err);
	}
}
