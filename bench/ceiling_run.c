/* ceiling_run.c - in: a backlog; out: rate and cost of claiming and settling it, or of producing it, and nothing else. */
#include "bench/ceiling_run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/inspect.h"
#include "base/clock.h"
#include "bench/cpu.h"
#include "relay/plan.h"
#include "serve/loop.h"
#include "sink/producer.h"
#include "source/bell.h"
#include "source/lane.h"
#include "support/db.h"

#define RESERVE_SHARE 16   /* of a batch: what a claim of the relay's leaves free */
#define WARM_MESSAGES 64   /* enough to reach each partition */
#define STALL_US 120000000

/* The configuration as the daemon would read it, and what becomes of it. */
struct setup {
	struct config cfg;
	struct plan plan;
	struct loop *loop;
};

static void
set_up(struct world *w, struct setup *s)
{
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	struct error err;

	*s = (struct setup){.loop = NULL};
	if (config_load(world_config(w, 0), plan_check_config, &s->cfg, &problems) != 0)
		say_die("%s", problems.count > 0 ? problems.items[0].line_text : "the configuration is wrong");
	config_problems_done(&problems);
	say_must(plan_init(&s->plan, &s->cfg, &err), &err, "plan");
	say_must(loop_new(&s->loop, &err), &err, "loop");
}

static void
tear_down(struct setup *s)
{
	loop_free(s->loop);
	plan_done(&s->plan);
	config_done(&s->cfg);
}

static void
judge(struct world *w, const struct world_usage *start, int64_t own_us, int64_t events, struct ceiling_result *ret_result)
{
	struct world_usage end = world_usage(w);

	*ret_result = (struct ceiling_result){
		.events_per_s = (double)events * 1e6 / (double)(end.mono_us - start->mono_us),
		.postgres_us = (double)(end.postgres_us - start->postgres_us) / (double)events,
		.broker_us = (double)(end.broker_us - start->broker_us) / (double)events,
		.own_us = (double)(cpu_of_family(getpid()) - own_us) / (double)events,
	};
}

/* --- the database alone --- */

struct claims {
	struct lane *lanes[LANES_MAX];
	struct batch *batches[LANES_MAX]; /* in settling */
	int count, ready, ended;
	int64_t rows;
	int64_t settled;
	bool begun;
};

static void
on_owned(void *ctx, struct lane *l)
{
	(void)ctx;
	(void)l;
}

static void
on_refused(void *ctx, struct lane *l)
{
	(void)ctx;
	say_die("lane %d is somebody else's", lane_number(l));
}

static void
on_lost(void *ctx, struct lane *l, const struct error *err)
{
	(void)ctx;
	say_die("lane %d: %s", lane_number(l), err->message);
}

static void
acknowledge(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++) {
		b->slots[i].topic = "nowhere"; /* a receipt of a deleted row names it */
		batch_move(&b->slots[i], EV_SENT);
		batch_move(&b->slots[i], EV_ACKED);
	}
}

static void
claim(struct claims *c, struct lane *l)
{
	struct lane_turn turn = {.settle = c->batches[lane_number(l)], .claim_rows = c->rows};

	lane_turn(l, &turn, clock_mono_us());
}

/* An empty claim leaves a transaction open, which the last turn ends. */
static void
on_turned(void *ctx, struct lane *l, const struct lane_result *r)
{
	struct claims *c = ctx;
	struct batch **own = &c->batches[lane_number(l)];

	if (!c->begun) {
		c->ready++;
		return;
	}
	if (r->settled) {
		c->settled += (int64_t)r->settled_rows;
		batch_free(*own);
		*own = NULL;
	}
	if (r->claimed != NULL) {
		*own = r->claimed;
		acknowledge(*own);
		claim(c, l);
	} else if (r->more || r->blocked) {
		claim(c, l);
	} else if (lane_state(l) == LANE_HOLDING) {
		lane_turn(l, &(struct lane_turn){.claim_rows = 0}, clock_mono_us());
	} else {
		c->ended++;
	}
}

static void
turn_until(struct setup *s, const int *counter, int wanted, const int64_t *progress)
{
	int64_t moved_us = clock_mono_us(), last = *progress;
	struct error err;

	while (*counter < wanted) {
		say_must(loop_once(s->loop, 100000, &err), &err, "loop");
		if (*progress != last) {
			last = *progress;
			moved_us = clock_mono_us();
		} else if (clock_mono_us() - moved_us > STALL_US)
			say_die("the lanes do not move");
	}
}

static void
open_lanes(struct setup *s, struct claims *c, const struct lane_shared *shared)
{
	struct lane_events events = {.owned = on_owned, .refused = on_refused, .turned = on_turned, .lost = on_lost, .ctx = c};
	struct error err;

	c->count = shared->layout->lanes;
	c->rows = s->cfg.outbox.batch_rows - s->cfg.outbox.batch_rows / RESERVE_SHARE;
	for (int i = 0; i < c->count; i++) {
		c->lanes[i] = lane_new(shared, i, &events);
		if (c->lanes[i] == NULL)
			say_die("out of memory");
		say_must(loop_add(s->loop, lane_watch(c->lanes[i]), &err), &err, "loop");
		lane_open(c->lanes[i]);
	}
	turn_until(s, &c->ready, c->count, &c->settled);
}

static void
ask_layout(struct world *w, struct setup *s, struct layout *ret_layout, struct statements *ret_statements)
{
	struct error err;
	PGconn *conn = db_open(w->conninfo, &err);

	say_must(conn == NULL ? -1 : 0, &err, "connect");
	say_must(inspect(conn, &s->plan.request, ret_layout, &err), &err, "inspect");
	say_must(statements_make(ret_layout, &s->plan.statements, ret_statements, &err), &err, "statements");
	db_close(&conn);
}

static int64_t
wal_position(struct world *w)
{
	return world_int(w, "SELECT (pg_current_wal_insert_lsn() - '0/0')::int8");
}

void
ceiling_statements(const struct drain_options *opt, struct ceiling_result *ret_result)
{
	struct claims c = {.count = 0};
	struct layout layout = LAYOUT_INIT;
	struct statements statements;
	struct world_usage start;
	struct setup s;
	struct world w;
	int64_t own_us, lsn;

	world_begin(&w, &opt->world);
	if (opt->sent.events > 0)
		world_fill(&w, &opt->sent);
	world_fill(&w, &opt->fill);
	if (opt->before != NULL)
		opt->before(&w, opt->ctx);
	world_write_out();
	set_up(&w, &s);
	ask_layout(&w, &s, &layout, &statements);
	open_lanes(&s, &c, &(struct lane_shared){&s.plan.session, &layout, &statements, &s.plan.statements});
	lsn = wal_position(&w);
	own_us = cpu_of_family(getpid());
	start = world_usage(&w);
	c.begun = true;
	for (int i = 0; i < c.count; i++)
		claim(&c, c.lanes[i]);
	turn_until(&s, &c.ended, c.count, &c.settled);
	judge(&w, &start, own_us, c.settled, ret_result);
	ret_result->wal_bytes = (double)(wal_position(&w) - lsn) / (double)c.settled;
	if (c.settled != opt->fill.events)
		say_die("%" PRId64 " of %" PRId64 " events were settled", c.settled, opt->fill.events);
	for (int i = 0; i < c.count; i++)
		lane_free(c.lanes[i]);
	statements_done(&statements);
	layout_done(&layout);
	tear_down(&s);
	if (opt->after != NULL)
		(void)opt->after(&w, opt->ctx);
	world_end(&w);
}

/* --- Kafka alone --- */

struct sending {
	struct producer *producer;
	char topic[64];
	char *payload;
	int payload_bytes;
	int64_t keys;
	int64_t sent, acknowledged;
};

static void
on_report(void *ctx, const struct report *r)
{
	struct sending *p = ctx;

	if (r->class != SEND_OK)
		say_die("Kafka refused a message: %s", r->reason);
	p->acknowledged++;
}

static void
on_reachable(void *ctx, bool up, const char *reason)
{
	(void)ctx;
	if (!up)
		say_die("Kafka is away: %s", reason);
}

static void
on_fatal(void *ctx, const char *reason)
{
	(void)ctx;
	say_die("the producer failed: %s", reason);
}

static void
on_log(void *ctx, int priority, const char *text)
{
	(void)ctx;
	(void)priority;
	say_progress("librdkafka: %s", text);
}

static void
send_one(struct sending *p)
{
	char key[32], id[40];
	struct header headers[] = {{"id", {id, 36}}, {"type", slice_from("changed")}};
	struct message m = {.topic = p->topic, .value = {p->payload, (size_t)p->payload_bytes}, .headers = headers, .headers_count = 2};
	enum send_class class;
	struct error err;

	snprintf(key, sizeof(key), "key-%" PRId64, p->sent * 7919 % p->keys);
	snprintf(id, sizeof(id), "%08x-0000-4000-8000-%012" PRIx64, (unsigned)p->keys, p->sent);
	m.key = slice_from(key);
	m.timestamp_ms = clock_wall_us() / 1000;
	say_must(producer_send(p->producer, &m, p, &class, &err), &err, "send");
	p->sent++;
}

static void
send_until(struct setup *s, struct sending *p, int64_t wanted, size_t window)
{
	int64_t moved_us = clock_mono_us(), last = -1;
	struct error err;

	while (p->acknowledged < wanted) {
		while (p->sent < wanted && producer_in_flight(p->producer) < window)
			send_one(p);
		say_must(loop_once(s->loop, 100000, &err), &err, "loop");
		if (p->acknowledged != last) {
			last = p->acknowledged;
			moved_us = clock_mono_us();
		} else if (clock_mono_us() - moved_us > STALL_US)
			say_die("Kafka does not acknowledge");
	}
}

static void
fill_payload(struct sending *p)
{
	unsigned x = 1;

	p->payload = malloc((size_t)p->payload_bytes);
	if (p->payload == NULL)
		say_die("out of memory");
	for (int i = 0; i < p->payload_bytes; i++) {
		x = x * 1103515245U + 12345U;
		p->payload[i] = "0123456789abcdef"[x >> 16 & 15];
	}
}

void
ceiling_producer(const struct drain_options *opt, struct ceiling_result *ret_result)
{
	struct producer_events events = {.report = on_report, .reachable = on_reachable, .fatal = on_fatal, .log = on_log};
	struct sending p = {.payload_bytes = opt->fill.payload_bytes, .keys = opt->fill.keys};
	struct world_usage start;
	struct setup s;
	struct world w;
	struct error err;
	size_t window;
	int64_t own_us;

	world_begin(&w, &opt->world);
	set_up(&w, &s);
	snprintf(p.topic, sizeof(p.topic), "%s", w.name);
	fill_payload(&p);
	events.ctx = &p;
	say_must(producer_new(&s.plan.producer, &events, &p.producer, &err), &err, "producer");
	say_must(loop_add(s.loop, producer_watch(p.producer), &err), &err, "loop");
	producer_warm_topic(p.producer, p.topic);
	window = s.plan.producer.queue_messages / 2;
	if (window * (size_t)p.payload_bytes > s.plan.producer.queue_bytes / 4)
		window = s.plan.producer.queue_bytes / 4 / (size_t)p.payload_bytes + 1;
	send_until(&s, &p, WARM_MESSAGES, window);
	own_us = cpu_of_family(getpid());
	start = world_usage(&w);
	send_until(&s, &p, WARM_MESSAGES + opt->fill.events, window);
	judge(&w, &start, own_us, opt->fill.events, ret_result);
	if (world_topic_messages(&w) != p.sent)
		say_die("%" PRId64 " messages were sent, %" PRId64 " are in the topic", p.sent, world_topic_messages(&w));
	producer_free(p.producer);
	free(p.payload);
	tear_down(&s);
	world_end(&w);
}

void
ceiling_say(const struct say *say, const struct ceiling_result *r)
{
	say_figure(say, "events_per_s", r->events_per_s);
	say_figure(say, "postgres_us_per_event", r->postgres_us);
	say_figure(say, "broker_us_per_event", r->broker_us);
	say_figure(say, "own_us_per_event", r->own_us);
	if (r->wal_bytes > 0)
		say_figure(say, "wal_bytes_per_event", r->wal_bytes);
}
