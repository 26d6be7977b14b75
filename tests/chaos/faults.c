/* faults.c - what is done to relays and to their ways, and the table of everything that is done. */
#include "chaos/faults.h"

#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "chaos/faults_impl.h"

enum { TERM_MS = 30000 };

static struct proc *
relay_of(struct stage *s, const struct blow *b)
{
	return &s->env.daemons[b->target];
}

static bool
relay_kill(struct stage *s, struct blow *b)
{
	s->relays[b->target].away = true;
	proc_kill(relay_of(s, b));
	return true;
}

static bool
relay_term(struct stage *s, struct blow *b)
{
	s->relays[b->target].away = true;
	proc_signal(relay_of(s, b), SIGTERM);
	return true;
}

/* However it was told to stop: it runs again. */
static bool
relay_start(struct stage *s, struct blow *b)
{
	struct proc *p = relay_of(s, b);

	if (proc_running(p)) {
		if (clock_mono_us() - b->undoing_us < (int64_t)TERM_MS * 1000)
			return false;
		stage_note(s, "RELAY %d does not stop", b->target);
		proc_kill(p);
	}
	/* SIGTERM itself ends one that has not come to listen to signals yet */
	if (b->strike->fault == FAULT_RELAY_TERM && p->status != 0 && p->status != SIGTERM) {
		s->relays[b->target].bad_ends++;
		stage_note(s, "RELAY %d ended with status %#x when asked to stop", b->target, (unsigned int)p->status);
	}
	stage_relay_start(s, b->target);
	return true;
}

static bool
relay_stop(struct stage *s, struct blow *b)
{
	proc_stop(relay_of(s, b));
	return true;
}

static bool
relay_continue(struct stage *s, struct blow *b)
{
	proc_continue(relay_of(s, b));
	return true;
}

/* Not before it listens to signals, which is before it answers anybody. */
static bool
relay_reload(struct stage *s, struct blow *b)
{
	char *body;
	int status = env_get(&s->env, b->target, "/livez", &body);

	free(body);
	if (status == 0)
		return false;
	proc_signal(relay_of(s, b), SIGHUP);
	return true;
}

static bool
nothing_to_undo(struct stage *s, struct blow *b)
{
	(void)s;
	(void)b;
	return true;
}

/* ---- ways ---- */

/* The one to PostgreSQL; or one, or all, to the brokers. */
static int
ways_of(struct stage *s, const struct blow *b, struct proxy *ret_ways[NODES_MAX])
{
	struct relay_place *r = &s->relays[b->target];

	if (plan_fault_group(b->strike->fault) == GROUP_PGNET) {
		ret_ways[0] = r->postgres;
		return 1;
	}
	if (b->strike->draw % 2 == 0) {
		ret_ways[0] = r->kafka[b->strike->draw / 2 % (uint64_t)s->opt.nodes];
		return 1;
	}
	for (int node = 0; node < s->opt.nodes; node++)
		ret_ways[node] = r->kafka[node];
	return s->opt.nodes;
}

static enum proxy_mode
mode_of(enum fault f)
{
	switch (f) {
	case FAULT_PGNET_REFUSE:
	case FAULT_KNET_REFUSE: return PROXY_REFUSE;
	case FAULT_PGNET_DELAY:
	case FAULT_KNET_DELAY: return PROXY_DELAY;
	case FAULT_PGNET_THROTTLE:
	case FAULT_KNET_THROTTLE: return PROXY_THROTTLE;
	case FAULT_PGNET_STALL:
	case FAULT_KNET_STALL: return PROXY_BLACKHOLE;
	case FAULT_PGNET_DROP:
	case FAULT_KNET_DROP: return PROXY_DROP;
	case FAULT_PGNET_ONE_WAY:
	case FAULT_KNET_ONE_WAY: return PROXY_ONE_WAY;
	default: return PROXY_PASS;
	}
}

static bool
way_worse(struct stage *s, struct blow *b)
{
	struct proxy *ways[NODES_MAX];
	uint64_t draw = b->strike->draw >> 8;
	int count = ways_of(s, b, ways);

	for (int i = 0; i < count; i++) {
		proxy_set_delay(ways[i], 20 + (int)(draw % 300), (int)(draw / 512 % 200));
		proxy_set_rate(ways[i], 4000 + (int64_t)(draw % 60000));
		proxy_set_mode(ways[i], mode_of(b->strike->fault));
	}
	return true;
}

static bool
way_better(struct stage *s, struct blow *b)
{
	struct proxy *ways[NODES_MAX];
	int count = ways_of(s, b, ways);
	enum proxy_mode was = mode_of(b->strike->fault);

	for (int i = 0; i < count; i++) {
		if (was == PROXY_ONE_WAY)
			proxy_reset_all(ways[i]);
		proxy_cut_after(ways[i], PROXY_BOTH, -1);
		proxy_set_mode(ways[i], PROXY_PASS);
	}
	return true;
}

static bool
way_reset(struct stage *s, struct blow *b)
{
	struct proxy *ways[NODES_MAX];
	int count = ways_of(s, b, ways);

	for (int i = 0; i < count; i++)
		proxy_reset_all(ways[i]);
	return true;
}

static bool
way_cut(struct stage *s, struct blow *b)
{
	struct proxy *ways[NODES_MAX];
	uint64_t draw = b->strike->draw >> 8;
	int count = ways_of(s, b, ways);

	for (int i = 0; i < count; i++)
		proxy_cut_after(ways[i], (enum proxy_way)(1 + draw % 3), (int64_t)(draw / 4 % 20000));
	return true;
}

/* ---- the table ---- */

struct deed {
	bool (*begin)(struct stage *s, struct blow *b);
	bool (*end)(struct stage *s, struct blow *b);
};

static const struct deed deeds[FAULTS] = {
    [FAULT_RELAY_KILL] = {relay_kill, relay_start},
    [FAULT_RELAY_TERM] = {relay_term, relay_start},
    [FAULT_RELAY_BLINK] = {relay_stop, relay_continue},
    [FAULT_RELAY_HANG] = {relay_stop, relay_continue},
    [FAULT_RELAY_RELOAD] = {relay_reload, nothing_to_undo},
    [FAULT_POSTGRES_CRASH] = {postgres_down, postgres_up},
    [FAULT_POSTGRES_KILL] = {postgres_down, postgres_up},
    [FAULT_POSTGRES_RESTART] = {postgres_down, postgres_up},
    [FAULT_SQL_TERMINATE] = {sessions_terminate, nothing_to_undo},
    [FAULT_SQL_READ_ONLY] = {read_only_begin, read_only_end},
    [FAULT_SQL_CROWD] = {crowd_begin, crowd_end},
    [FAULT_SQL_LOCK] = {lock_begin, session_end},
    [FAULT_SQL_LOCK_ALL] = {lock_begin, session_end},
    [FAULT_VISIT_LATE] = {late_begin, late_end},
    [FAULT_VISIT_SNAPSHOT] = {snapshot_begin, session_end},
    [FAULT_PGNET_RESET] = {way_reset, nothing_to_undo},
    [FAULT_PGNET_CUT] = {way_cut, way_better},
    [FAULT_PGNET_REFUSE] = {way_worse, way_better},
    [FAULT_PGNET_DELAY] = {way_worse, way_better},
    [FAULT_PGNET_THROTTLE] = {way_worse, way_better},
    [FAULT_PGNET_STALL] = {way_worse, way_better},
    [FAULT_PGNET_DROP] = {way_worse, way_better},
    [FAULT_PGNET_ONE_WAY] = {way_worse, way_better},
    [FAULT_KNET_RESET] = {way_reset, nothing_to_undo},
    [FAULT_KNET_CUT] = {way_cut, way_better},
    [FAULT_KNET_REFUSE] = {way_worse, way_better},
    [FAULT_KNET_DELAY] = {way_worse, way_better},
    [FAULT_KNET_THROTTLE] = {way_worse, way_better},
    [FAULT_KNET_STALL] = {way_worse, way_better},
    [FAULT_KNET_DROP] = {way_worse, way_better},
    [FAULT_KNET_ONE_WAY] = {way_worse, way_better},
    [FAULT_BROKER_KILL] = {broker_signal, broker_up},
    [FAULT_BROKER_STOP] = {broker_signal, broker_up},
    [FAULT_BROKER_BLINK] = {broker_signal, broker_continue},
    [FAULT_BROKER_HANG] = {broker_signal, broker_continue},
    [FAULT_BROKER_KILL_ALL] = {broker_signal, broker_up},
    [FAULT_BROKER_HANG_ALL] = {broker_signal, broker_continue},
    [FAULT_BROKER_SHORT] = {broker_short, broker_enough},
};

bool
fault_begin(struct stage *s, struct blow *b)
{
	return deeds[b->strike->fault].begin(s, b);
}

bool
fault_end(struct stage *s, struct blow *b)
{
	if (b->undoing_us == 0)
		b->undoing_us = clock_mono_us();
	return deeds[b->strike->fault].end(s, b);
}
