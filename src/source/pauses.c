/* pauses.c - in: rows of pgoutbox.pause; out: a list, and answers about it. Knows neither relays nor pipes. */
#include "source/pauses.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IN_LANES, IN_ID, IN_SCOPE, IN_VALUE, IN_WHO, IN_REASON };

void
pauses_text(uint32_t relation_oid, struct buf *sql)
{
	buf_printf(sql,
	           "SELECT o.lanes, p.id, p.scope, p.value, p.paused_by, p.reason FROM pgoutbox.outbox o"
	           " LEFT JOIN pgoutbox.pause p ON p.relation = o.relation AND p.resumed_at IS NULL"
	           " WHERE o.relation = %" PRIu32 " ORDER BY p.id",
	           relation_oid);
}

static bool
read_one(const PGresult *res, int row, struct pause *ret_pause)
{
	static const char *const scopes[PAUSE_SCOPES] = {"all", "lane", "topic"};
	const char *scope = PQgetvalue(res, row, IN_SCOPE);
	struct pause p = {.id = strtoll(PQgetvalue(res, row, IN_ID), NULL, 10)};

	while (p.scope < PAUSE_SCOPES && strcmp(scope, scopes[p.scope]) != 0)
		p.scope++;
	if (p.scope == PAUSE_SCOPES)
		return false;
	p.lane = p.scope == PAUSE_LANE ? atoi(PQgetvalue(res, row, IN_VALUE)) : -1;
	snprintf(p.topic, sizeof(p.topic), "%s", p.scope == PAUSE_TOPIC ? PQgetvalue(res, row, IN_VALUE) : "");
	snprintf(p.who, sizeof(p.who), "%s", PQgetvalue(res, row, IN_WHO));
	snprintf(p.reason, sizeof(p.reason), "%s", PQgetvalue(res, row, IN_REASON));
	*ret_pause = p;
	return true;
}

bool
pauses_read(const PGresult *res, struct pauses *ret_pauses, int *ret_lanes)
{
	struct pauses p = PAUSES_NONE;
	int rows = PQntuples(res);

	p.list = calloc((size_t)rows + 1, sizeof(*p.list));
	if (p.list == NULL)
		return false;
	for (int row = 0; row < rows; row++) {
		if (PQgetisnull(res, row, IN_ID))
			continue;
		if (!read_one(res, row, &p.list[p.count])) {
			pauses_done(&p);
			return false;
		}
		p.count++;
	}
	*ret_lanes = rows > 0 ? atoi(PQgetvalue(res, 0, IN_LANES)) : 0;
	*ret_pauses = p;
	return true;
}

void
pauses_done(struct pauses *p)
{
	free(p->list);
	*p = PAUSES_NONE;
}

bool
pauses_have(const struct pauses *p, int64_t id)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->list[i].id == id)
			return true;
	return false;
}

bool
pauses_stop(const struct pauses *p, int lane)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->list[i].scope == PAUSE_ALL || (p->list[i].scope == PAUSE_LANE && p->list[i].lane == lane))
			return true;
	return false;
}

bool
pauses_hold(const struct pauses *p, const char *topic)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->list[i].scope == PAUSE_TOPIC && strcmp(p->list[i].topic, topic) == 0)
			return true;
	return false;
}

const char *
pause_name(const struct pause *p, char out[PAUSE_NAME_SIZE])
{
	if (p->scope == PAUSE_LANE)
		snprintf(out, PAUSE_NAME_SIZE, "lane %d", p->lane);
	else if (p->scope == PAUSE_TOPIC)
		snprintf(out, PAUSE_NAME_SIZE, "topic \"%s\"", p->topic);
	else
		snprintf(out, PAUSE_NAME_SIZE, "all");
	return out;
}
