/* target.c - in: a configuration; out: a connection, and the question to ask about its outbox. Asks nothing itself. */
#include "admin/target.h"

#include <stdlib.h>
#include <string.h>

#include "admin/conn.h"

static int
find_role(const struct config *cfg, const char *role, struct target *t, struct error *err)
{
	if (role == NULL)
		return conn_user(cfg->database.conninfo, &t->role, err);
	t->role = strdup(role);
	return t->role != NULL ? 0 : error_set(err, ERR_RETRY, "out of memory");
}

/* The topic template may name columns beyond those that the relay knows. */
static int
find_columns(const struct config *cfg, struct target *t, struct error *err)
{
	struct layout_request *rq = &t->request;

	for (int i = 0; i < COL_COUNT; i++)
		rq->columns[i] = cfg->outbox.columns[i];
	if (router_new(cfg->kafka.topic, rq->columns, &t->router, err) != 0)
		return error_prefix(err, "kafka.topic");
	rq->extra_count = router_extra_count(t->router);
	rq->extra = t->extra = calloc(rq->extra_count + 1, sizeof(*t->extra));
	if (t->extra == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	for (size_t i = 0; i < rq->extra_count; i++)
		t->extra[i] = router_extra_column(t->router, i);
	return 0;
}

static int
connect_target(const struct config *cfg, const char *database, struct target *t, struct error *err)
{
	if (database != NULL)
		return conn_open(database, NULL, &t->conn, err);
	return conn_open(cfg->database.conninfo, cfg->database.password, &t->conn, err);
}

int
target_open(const struct config *cfg, const char *database, const char *role, struct target *ret_target,
            struct error *err)
{
	struct target t = {
		.request = {
			.table = cfg->outbox.table,
			.settle_delete = cfg->outbox.settle == SETTLE_DELETE,
			.prune = cfg->outbox.settle == SETTLE_MARK && cfg->outbox.retention_ms != CONFIG_NEVER,
		},
	};

	if (find_role(cfg, role, &t, err) != 0 || find_columns(cfg, &t, err) != 0 ||
	    connect_target(cfg, database, &t, err) != 0) {
		target_close(&t);
		return -1;
	}
	t.request.role = t.role;
	*ret_target = t;
	return 0;
}

void
target_close(struct target *t)
{
	conn_close(&t->conn);
	router_free(t->router);
	free(t->extra);
	free(t->role);
	*t = TARGET_INIT;
}
