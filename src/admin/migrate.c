/* migrate.c - in: the version found, steps; out: the version wanted, or nothing changed at all. Knows no step's
 * content. */
#include "admin/migrate.h"

#include <stdio.h>
#include <stdlib.h>

#include "admin/conn.h"
#include "admin/texts.h"
#include "admin/turn.h"
#include "source/layout.h"

#define MIGRATE_TURN_WAIT_S 10

int
migrate_plan(int have, int want, const struct migration *steps, size_t count, size_t *ret_first, size_t *ret_count,
             struct error *err)
{
	size_t first = 0;

	if (have > want) {
		error_set(err, ERR_CONFIG, "schema \"pgoutbox\" was made by a newer pgoutboxctl (schema version %d, "
		                           "this one knows %d)", have,
		          want);
		return error_hint(err, "install the version of pgoutboxd that goes with it");
	}
	while (first < count && steps[first].version <= have)
		first++;
	for (int version = have + 1; version <= want; version++) {
		size_t i = first + (size_t)(version - have - 1);

		if (i < count && steps[i].version == version)
			continue;
		error_set(err, ERR_CONFIG, "this pgoutboxctl does not know how to bring schema \"pgoutbox\" from "
		                           "version %d to %d", have,
		          version);
		return error_hint(err, "migrate with an older release first");
	}
	*ret_first = first;
	*ret_count = (size_t)(want - have);
	return 0;
}

/* The row stays locked until the end, so that two never migrate at once. */
static int
read_version(PGconn *conn, int *ret_version, struct error *err)
{
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	if (conn_query(conn, "SELECT version FROM pgoutbox.meta FOR UPDATE", 0, NULL,
	               "could not read the version of schema \"pgoutbox\"",
	               &res, err) != 0)
		return -1;
	if (PQntuples(res) != 1) {
		error_set(err, ERR_CONFIG, "table \"pgoutbox.meta\" has %d rows", PQntuples(res));
		return error_hint(err, "it must have exactly one: restore it from a backup");
	}
	*ret_version = atoi(PQgetvalue(res, 0, 0));
	return 0;
}

static int
run(PGconn *conn, int want, const struct migration *steps, size_t count, struct migrate_result *ret_result,
    struct error *err)
{
	size_t first, todo;
	char text[128];
	int have = 0;

	if (read_version(conn, &have, err) != 0 || migrate_plan(have, want, steps, count, &first, &todo, err) != 0)
		return -1;
	for (size_t i = first; i < first + todo; i++) {
		snprintf(text, sizeof(text), "could not migrate schema \"pgoutbox\" to version %d", steps[i].version);
		if (conn_exec(conn, steps[i].sql, text, err) != 0)
			return -1;
	}
	snprintf(text, sizeof(text), "UPDATE pgoutbox.meta SET version = %d, migrated_at = now()", want);
	if (todo > 0 && conn_exec(conn, text, "could not note the version of schema \"pgoutbox\"", err) != 0)
		return -1;
	*ret_result = (struct migrate_result){.from = have, .to = want};
	return 0;
}

int
migrate_steps(PGconn *conn, int want, const struct migration *steps, size_t count, struct migrate_result *ret_result,
              struct error *err)
{
	struct migrate_result result = {0};
	int rc;

	if (turn_take(conn, MIGRATE_TURN_WAIT_S, err) != 0)
		return -1;
	rc = conn_exec(conn, "BEGIN; SET LOCAL lock_timeout = '5s'", "could not begin", err);
	if (rc == 0)
		rc = run(conn, want, steps, count, &result, err);
	if (rc == 0)
		rc = conn_exec(conn, "COMMIT", "could not commit", err);
	if (rc != 0)
		PQclear(PQexec(conn, "ROLLBACK"));
	turn_give(conn);
	if (rc == 0)
		*ret_result = result;
	return rc;
}

int
migrate_run(PGconn *conn, struct migrate_result *ret_result, struct error *err)
{
	const struct migration steps[] = {{2, text_schema_2}, {3, text_schema_3}};

	return migrate_steps(conn, LAYOUT_SCHEMA_VERSION, steps, sizeof(steps) / sizeof(steps[0]), ret_result, err);
}
