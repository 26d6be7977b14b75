/* pause.c - the verbs pause and resume. In: arguments; out: lines, an exit status. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "admin/outbox.h"
#include "admin/pause.h"
#include "base/clock.h"
#include "ctl/verb.h"
#include "source/layout.h"

#define NOTICE_US 10000000
#define LOOK_MS 100
#define TOPIC_MAX_BYTES 249

static int
read_target(const struct arguments *args, struct pause_target *ret_target)
{
	if (args->lane != NULL && args->topic != NULL)
		return verb_misused(NULL, "--lane and --topic exclude each other");
	if (args->lane != NULL && strcmp(args->lane, "0") != 0 && verb_number(args->lane, 63) < 0)
		return verb_misused(NULL, "--lane: \"%s\" is no number from 0 to 63", args->lane);
	if (args->topic != NULL && (args->topic[0] == '\0' || strlen(args->topic) > TOPIC_MAX_BYTES))
		return verb_misused(NULL, "--topic: \"%s\" is no name of a topic", args->topic);
	if (args->lane != NULL)
		*ret_target = (struct pause_target){"lane", args->lane};
	else if (args->topic != NULL)
		*ret_target = (struct pause_target){"topic", args->topic};
	else
		*ret_target = (struct pause_target){"all", NULL};
	return EX_OK;
}

static int
wait_for_notice(const struct outbox *o)
{
	int64_t until_us = clock_mono_us() + NOTICE_US;
	struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
	struct pause_seen seen;
	struct error err;
	char since[64];

	if (pause_now(o->target.conn, since, sizeof(since), &err) != 0)
		return verb_fail(&err);
	for (;;) {
		if (pause_look(o->target.conn, &o->layout, since, &seen, &err) != 0)
			return verb_fail(&err);
		if (seen.behind == 0 || clock_mono_us() >= until_us)
			break;
		nanosleep(&pause, NULL);
	}
	if (seen.relays == 0)
		puts("no relay runs; whichever starts will know");
	else if (seen.behind == 0)
		printf("%d relay%s taken notice\n", seen.relays, seen.relays == 1 ? " has" : "s have");
	else
		printf("%d of %d relays were not seen to take notice within ten seconds: they are away, or this role may not see them\n",
		       seen.behind, seen.relays);
	return verb_finish(seen.behind == 0 ? EX_OK : EX_TEMPFAIL);
}

static int
run(const struct arguments *args, const struct config *cfg, bool begin)
{
	struct outbox o __attribute__((cleanup(outbox_close))) = OUTBOX_INIT;
	struct pause_target target;
	int status = read_target(args, &target), rc;
	struct error err;
	bool changed;

	if (status != EX_OK)
		return status;
	if (begin && (args->reason == NULL || args->reason[0] == '\0'))
		return verb_misused("--reason TEXT is for those who find the pause later", "--reason is missing");
	if (outbox_open(cfg, args->database, &o, &err) != 0)
		return verb_fail(&err);
	if (args->lane != NULL && verb_number(args->lane, 63) >= o.layout.lanes && begin)
		return verb_misused(NULL, "--lane: the outbox has lanes 0 to %d", o.layout.lanes - 1);
	rc = begin ? pause_begin(o.target.conn, &o.layout, &target, args->reason, &changed, &err)
	           : pause_end(o.target.conn, &o.layout, &target, &changed, &err);
	if (rc != 0)
		return verb_fail(&err);
	printf("%s%s%s %s %s\n", target.scope, target.value != NULL ? " " : "", target.value != NULL ? target.value : "",
	       changed ? "is" : begin ? "is already" : "was not", begin || !changed ? "paused" : "resumed");
	return changed ? wait_for_notice(&o) : verb_finish(EX_OK);
}

int
verb_pause(const struct arguments *args, const struct config *cfg)
{
	return run(args, cfg, true);
}

int
verb_resume(const struct arguments *args, const struct config *cfg)
{
	return run(args, cfg, false);
}
