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

static int
connect_target(const struct config *cfg, const char *database, struct target *t, struct error *err)
{
	if (database != NULL)
		return conn_open(database, NULL, NULL, &t->conn, err);
	return conn_open(cfg->database.conninfo, cfg->database.password, cfg->database.sslpassword, &t->conn, err);
}

int
target_open(const struct config *cfg, const char *database, const char *role, struct target *ret_target,
            struct error *err)
{
	struct target t = TARGET_INIT;

	if (plan_init(&t.plan, cfg, err) != 0)
		return error_prefix(err, "kafka.topic");
	if (find_role(cfg, role, &t, err) != 0 || connect_target(cfg, database, &t, err) != 0) {
		target_close(&t);
		return -1;
	}
	t.request = t.plan.request;
	t.request.role = t.role;
	*ret_target = t;
	return 0;
}

void
target_close(struct target *t)
{
	conn_close(&t->conn);
	plan_done(&t->plan);
	free(t->role);
	*t = TARGET_INIT;
}
