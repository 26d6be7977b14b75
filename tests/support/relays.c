/* relays.c - see relays.h. */
#include "support/relays.h"

#include "base/clock.h"
#include "support/tap.h"

enum { PATIENCE_MS = 10000, KEYS = 64 };

static bool
is_even(const struct env *env, const int *daemons, int count, int lanes)
{
	int sum = 0;

	for (int i = 0; i < count; i++) {
		int n = (int)env_metric(env, daemons[i], "pgoutbox_lanes_owned");

		if (n < lanes / count || n > (lanes + count - 1) / count)
			return false;
		sum += n;
	}
	return sum == lanes;
}

int64_t
relays_wait_even(const struct env *env, const int *daemons, int count, int lanes)
{
	int64_t start_us = clock_mono_us();
	bool even;

	while (!(even = is_even(env, daemons, count, lanes)) &&
	       clock_mono_us() - start_us < (int64_t)PATIENCE_MS * 1000)
		proc_sleep_ms(20);
	for (int i = 0; i < count && !even; i++)
		tap_diag("daemon %d owns %g lanes", daemons[i], env_metric(env, daemons[i], "pgoutbox_lanes_owned"));
	CU_ASSERT_FATAL(even);
	return (clock_mono_us() - start_us) / 1000;
}

void
relays_start(struct env *env, int i, const struct env_config *cfg)
{
	env_daemon_start(env, i, cfg);
	env_daemon_ready(env, i, 60000);
}

int64_t
relays_serve(struct env *env, const char *name, int64_t since_us, int timeout_ms)
{
	env_exec(env,
	    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	    " SELECT 'account', '%s-' || n, 'made', '{}' FROM generate_series(1, %d) n", name, KEYS);
	env_wait_int(env, 0, timeout_ms,
	    "SELECT count(*) FROM outbox_events WHERE aggregate_id LIKE '%s-%%' AND sent_at IS NULL", name);
	return (clock_mono_us() - since_us) / 1000;
}
