/* Tests of src/ctl/outboxes.c: which verb runs for which outbox. */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "ctl/outboxes.h"
#include "support/tap.h"

static char done[256];
static int statuses[4], calls;

static int
record(const char *verb, const struct config *cfg)
{
	size_t len = strlen(done);

	snprintf(done + len, sizeof(done) - len, "%s %s;", verb, cfg->outbox.table);
	return statuses[calls++];
}

#define VERB(name) \
	int verb_##name(const struct arguments *args, const struct config *cfg) { (void)args; return record(#name, cfg); }
VERB(init)
VERB(migrate)
VERB(check)
VERB(status)
VERB(parked_list)

int
verb_misused(const char *hint, const char *fmt, ...)
{
	(void)fmt;
	snprintf(done, sizeof(done), "%s", hint);
	return EX_USAGE;
}

static int
run(int (*verb)(const struct arguments *, const struct config *), const char *list, const char *outbox)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	struct arguments args = {.file = "f", .outbox = outbox, .json = true};
	struct verb v = {.name = "v", .run = verb};
	struct config cfg = {0};
	int status;

	buf_printf(&text, "database: {conninfo: dbname=app}\nkafka: {brokers: 'a:1'}\n%s", list);
	TAP_INT_FATAL(config_parse("f", slice_from(buf_str(&text)), &cfg, &problems), 0);
	done[0] = '\0';
	calls = 0;
	status = outboxes_run(&v, &args, &cfg);
	config_done(&cfg);
	config_problems_done(&problems);
	return status;
}

#define TWO "outboxes: [{table: a}, {table: B.c}]\n"

static void
the_only_one_needs_no_name(void)
{
	memset(statuses, 0, sizeof(statuses));
	TAP_INT(run(verb_parked_list, "", NULL), EX_OK);
	TAP_STR(done, "parked_list outbox_events;");
	TAP_INT(run(verb_check, "", NULL), EX_OK);
	TAP_STR(done, "check outbox_events;");
	TAP_INT(run(verb_check, "", "Outbox_Events"), EX_OK);
	TAP_STR(done, "check outbox_events;");
}

static void
one_of_several_is_named(void)
{
	memset(statuses, 0, sizeof(statuses));
	TAP_INT(run(verb_parked_list, TWO, NULL), EX_USAGE);
	TAP_STR(done, "name one with --outbox: \"a\", \"B.c\"");
	TAP_INT(run(verb_parked_list, TWO, "b.C"), EX_OK);
	TAP_STR(done, "parked_list B.c;");
	TAP_INT(run(verb_check, TWO, "c"), EX_USAGE);
	TAP_STR(done, "there is \"a\", \"B.c\"");
}

static void
some_verbs_work_on_all(void)
{
	memset(statuses, 0, sizeof(statuses));
	TAP_INT(run(verb_init, TWO, NULL), EX_OK);
	TAP_STR(done, "init a;init B.c;");
	TAP_INT(run(verb_status, TWO, NULL), EX_OK);
	TAP_STR(done, "status a;status B.c;");
	TAP_INT(run(verb_migrate, TWO, NULL), EX_OK);
	TAP_STR(done, "migrate a;");
	statuses[0] = EX_CONFIG;
	statuses[1] = EX_TEMPFAIL;
	TAP_INT(run(verb_check, TWO, NULL), EX_CONFIG);
	TAP_STR(done, "check a;check B.c;");
	statuses[0] = EX_OK;
	TAP_INT(run(verb_check, TWO, NULL), EX_TEMPFAIL);
}

int
main(void)
{
	tap_suite("ctl_outboxes");
	tap_test("the only one needs no name", the_only_one_needs_no_name);
	tap_test("one of several is named", one_of_several_is_named);
	tap_test("some verbs work on all", some_verbs_work_on_all);
	return tap_run();
}
