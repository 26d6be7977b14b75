/* faults_brokers.c - what is done to brokers, one or all. */
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "chaos/faults_impl.h"
#include "support/servers.h"
#include "support/topic.h"

enum { STOP_MS = 15000, ERRAND_EVERY_MS = 200 };

static bool
hits(const struct stage *s, const struct blow *b, int node)
{
	enum fault f = b->strike->fault;

	return f == FAULT_BROKER_KILL_ALL || f == FAULT_BROKER_HANG_ALL ||
	    node == 1 + (int)(b->strike->draw % (uint64_t)s->opt.nodes);
}

/* How many of them ran. */
static int
signal_nodes(const struct stage *s, const struct blow *b, int number)
{
	int count = 0;

	for (int node = 1; node <= s->opt.nodes; node++) {
		pid_t pid = hits(s, b, node) ? servers_kafka_pid(node) : 0;

		if (pid > 0)
			count += kill(pid, number) == 0;
	}
	return count;
}

static int
signal_of(enum fault f)
{
	switch (f) {
	case FAULT_BROKER_STOP: return SIGTERM;
	case FAULT_BROKER_BLINK:
	case FAULT_BROKER_HANG:
	case FAULT_BROKER_HANG_ALL: return SIGSTOP;
	default: return SIGKILL;
	}
}

bool
broker_signal(struct stage *s, struct blow *b)
{
	return signal_nodes(s, b, signal_of(b->strike->fault)) > 0;
}

bool
broker_continue(struct stage *s, struct blow *b)
{
	(void)signal_nodes(s, b, SIGCONT);
	return true;
}

/* Waits for its end, then until it serves again: a slow machine is to see pauses too. */
bool
broker_up(struct stage *s, struct blow *b)
{
	bool one = b->strike->fault != FAULT_BROKER_KILL_ALL;
	struct error err;
	char log[512];

	if (b->step == 1)
		return !proc_running(&b->child);
	if (signal_nodes(s, b, 0) > 0) {
		if (clock_mono_us() - b->undoing_us > (int64_t)STOP_MS * 1000)
			(void)signal_nodes(s, b, SIGKILL);
		return false;
	}
	snprintf(log, sizeof(log), "%s/verbs.log", s->opt.keep);
	ENV_MUST(servers_kafka_begin(&b->child, log, "start", one ? 1 + (int)(b->strike->draw % (uint64_t)s->opt.nodes) : 0,
	                             &err), &err);
	b->step = 1;
	return false;
}

/* ---- a topic that wants more than there is ---- */

static void *
errand_main(void *arg)
{
	struct blow *b = arg;
	struct error err;

	while (topic_set(b->brokers, b->topic, "min.insync.replicas", b->value, &err) == -1)
		proc_sleep_ms(ERRAND_EVERY_MS);
	atomic_store(&b->errand_done, true);
	return NULL;
}

static void
send_errand(struct stage *s, struct blow *b, const char *value)
{
	b->topic = s->topics[0];
	b->brokers = s->env.kafka;
	b->value = value;
	atomic_store(&b->errand_done, false);
	b->errand_runs = pthread_create(&b->thread, NULL, errand_main, b) == 0;
}

static bool
errand_over(struct blow *b)
{
	if (b->errand_runs && !atomic_load(&b->errand_done))
		return false;
	if (b->errand_runs)
		pthread_join(b->thread, NULL);
	b->errand_runs = false;
	return true;
}

bool
broker_short(struct stage *s, struct blow *b)
{
	if (signal_nodes(s, b, 0) == 0)
		return false;
	send_errand(s, b, "3");
	return signal_nodes(s, b, SIGKILL) > 0;
}

/* With one copy less than wanted, until the setting is what it was; then the broker comes back too. */
bool
broker_enough(struct stage *s, struct blow *b)
{
	if (!errand_over(b))
		return false;
	if (b->undoing_us != 0 && b->value[0] == '3') {
		send_errand(s, b, "2");
		return false;
	}
	return broker_up(s, b);
}
