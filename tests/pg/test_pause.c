/* test_pause.c - the verbs pause and resume, with no relay about. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "support/proc.h"
#include "support/sandbox.h"
#include "support/tap.h"

static char config_path[] = "/tmp/pgoutbox-pause.XXXXXX";
static char database[256];

static void
expect(int status, const char *text, const char *a, const char *b, const char *c)
{
	const char *argv[] = {"./pgoutboxctl", "-c", config_path, database, a, b, c, NULL};
	char *output = NULL;

	TAP_INT(proc_run(argv, 30000, &output), status);
	TAP_HAS(output, text);
	free(output);
}

static void
test_pause(void)
{
	SANDBOX(sb);
	FILE *f = fopen(config_path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fprintf(f, "database:\n  conninfo: \"%s\"\nkafka:\n  brokers: \"localhost:1\"\n", sb.role);
	TAP_INT(fclose(f), 0);
	snprintf(database, sizeof(database), "--database=%s", sb.super);
	expect(EX_OK, "done", "init", NULL, NULL);
	expect(EX_USAGE, "--reason is missing", "pause", NULL, NULL);
	expect(EX_USAGE, "lanes 0 to 3", "pause", "--lane=4", "--reason=r");
	expect(EX_USAGE, "exclude each other", "resume", "--lane=1", "--topic=t");
	expect(EX_OK, "lane 1 is paused\nno relay runs", "pause", "--lane=1", "--reason=repair");
	expect(EX_OK, "lane 1 is already paused", "pause", "--lane=1", "--reason=again");
	expect(EX_OK, "all is paused", "pause", "--reason=r", NULL);
	expect(EX_OK, "topic t is paused", "pause", "--topic=t", "--reason=r");
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.pause WHERE resumed_at IS NULL AND paused_by = session_user"), 3);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.audit WHERE verb = 'pause' AND detail ="
	                           " '{\"scope\": \"lane\", \"value\": \"1\", \"reason\": \"repair\"}'"), 1);
	expect(EX_OK, "all is resumed", "resume", NULL, NULL);
	expect(EX_OK, "all was not paused", "resume", NULL, NULL);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.pause WHERE resumed_by = session_user AND scope = 'all'"), 1);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.audit"), 4);
	expect(EX_OK, "topic t is resumed", "resume", "--topic=t", NULL);
}

int
main(void)
{
	int rc;

	close(mkstemp(config_path));
	tap_suite("pause");
	tap_test("pause and resume, told once, audited", test_pause);
	rc = tap_run();
	unlink(config_path);
	return rc;
}
