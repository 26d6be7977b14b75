/* pausing.c - in: what is paused; out: word to pipes and holds, log lines, metrics. Knows no database. */
#include "relay/pausing.h"

#include <stdio.h>

void
pausing_done(struct pausing *p)
{
	pauses_done(&p->now);
}

static void
say_begun(const struct pausing *p, const struct pauses *look, const struct log *log)
{
	char name[PAUSE_NAME_SIZE];

	for (size_t i = 0; i < look->count; i++)
		if (!pauses_have(&p->now, look->list[i].id))
			log_write(log, LOG_NOTICE, "paused", "%s is paused by \"%s\": %s", pause_name(&look->list[i], name),
			          look->list[i].who, look->list[i].reason);
}

static void
say_ended(const struct pausing *p, const struct pauses *look, const struct log *log)
{
	char name[PAUSE_NAME_SIZE];

	for (size_t i = 0; i < p->now.count; i++)
		if (!pauses_have(look, p->now.list[i].id))
			log_write(log, LOG_NOTICE, "resumed", "%s is paused no more", pause_name(&p->now.list[i], name));
}

static void
hold_topics(const struct pausing *p, const struct pauses *look, struct holds *holds, int64_t now_us)
{
	for (size_t i = 0; i < p->now.count; i++)
		if (p->now.list[i].scope == PAUSE_TOPIC && !pauses_hold(look, p->now.list[i].topic))
			holds_resume(holds, p->now.list[i].topic);
	for (size_t i = 0; i < look->count; i++)
		if (look->list[i].scope == PAUSE_TOPIC)
			holds_pause(holds, look->list[i].topic, now_us);
}

static void
count(const struct pauses *look, struct metrics_scope *metrics)
{
	int64_t counts[PAUSE_SCOPES] = {0};

	for (size_t i = 0; i < look->count; i++)
		counts[look->list[i].scope]++;
	metrics_set_at(metrics, METRIC_PAUSED, METRIC_PAUSE_ALL, counts[PAUSE_ALL]);
	metrics_set_at(metrics, METRIC_PAUSED, METRIC_PAUSE_LANES, counts[PAUSE_LANE]);
	metrics_set_at(metrics, METRIC_PAUSED, METRIC_PAUSE_TOPICS, counts[PAUSE_TOPIC]);
}

static void
write_remark(struct pausing *p)
{
	char name[PAUSE_NAME_SIZE];
	size_t len = 0;

	p->remark[0] = '\0';
	for (size_t i = 0; i < p->now.count && len < sizeof(p->remark); i++)
		len += (size_t)snprintf(p->remark + len, sizeof(p->remark) - len, "%s%s is paused by \"%s\": %s",
		                        i > 0 ? "; " : "", pause_name(&p->now.list[i], name), p->now.list[i].who,
		                        p->now.list[i].reason);
}

void
pausing_look(struct pausing *p, struct pauses *look, struct holds *holds, const struct log *log,
             struct metrics_scope *metrics, int64_t now_us)
{
	say_begun(p, look, log);
	say_ended(p, look, log);
	hold_topics(p, look, holds, now_us);
	count(look, metrics);
	pauses_done(&p->now);
	p->now = *look;
	*look = PAUSES_NONE;
	write_remark(p);
}

void
pausing_tell(const struct pausing *p, const struct crew *c)
{
	for (int i = 0; i < c->count; i++)
		pipe_pause(c->pipes[i], pauses_stop(&p->now, i));
}
