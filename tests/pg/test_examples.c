/* test_examples.c - the SQL of the manual pages and of the documents, as people copy it: each example runs, and each of
 * its statements finds something to do.
 *
 * An example stands in a manual page behind the line .\" sql, in a document in a block ```sql.
 */
#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "support/kit.h"
#include "support/proc.h"
#include "support/sandbox.h"
#include "support/tap.h"

static const char *const files[] = {
	"README.md",
	"docs/concepts.md",
	"docs/configuration.md",
	"docs/install.md",
	"docs/kits.md",
	"docs/operations.md",
	"docs/quickstart.md",
	"docs/troubleshooting.md",
	"man/pgoutbox.7",
	"man/pgoutboxctl.8",
	"man/pgoutboxd.8",
	"man/pgoutboxd.yaml.5",
};

static const char *const kits[] = {
	"kit-idempotency.sql",
	"kit-inbox.sql",
	"kit-ledger.sql",
	"kit-machine.sql",
	"kit-outbox.sql",
	"kit-reconcile.sql",
};

enum { EXAMPLES_MAX = 100 };

struct example {
	char where[80]; /* file:line */
	struct buf text;
};

static struct example examples[EXAMPLES_MAX];
static size_t examples_count;

/* As mdoc(7) has it: "\e" for a backslash, "\&" for nothing. */
static void
add_line(struct buf *text, const char *line)
{
	for (; *line != '\0'; line++) {
		if (line[0] == '\\' && line[1] == 'e') {
			buf_add_str(text, "\\");
			line++;
		} else if (line[0] == '\\' && line[1] == '&') {
			line++;
		} else {
			buf_add(text, line, 1);
		}
	}
}

static void
read_file(const char *name)
{
	const char *top = getenv("srcdir");
	char path[512], line[512];
	bool wanted = false, inside = false;

	snprintf(path, sizeof(path), "%s/%s", top != NULL ? top : ".", name);
	FILE *f = fopen(path, "r");
	if (f == NULL)
		tap_diag("%s cannot be read", path);
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	for (int number = 1; fgets(line, sizeof(line), f) != NULL; number++) {
		if (strcmp(line, ".Ed\n") == 0 || strcmp(line, "```\n") == 0)
			inside = false;
		if (inside)
			add_line(&examples[examples_count - 1].text, line);
		if (strcmp(line, "```sql\n") == 0 || (wanted && strncmp(line, ".Bd ", 4) == 0)) {
			CU_ASSERT_FATAL(examples_count < EXAMPLES_MAX);
			struct example *e = &examples[examples_count++];
			snprintf(e->where, sizeof(e->where), "%s:%d", name, number + 1);
			e->text = BUF_INIT;
			inside = true;
		}
		wanted = strcmp(line, ".\\\" sql\n") == 0;
	}
	fclose(f);
}

/* The table that init made, an event that is parked as number 1 and one behind it, one that was sent long ago; and what
 * the application has, one transaction of which is open. The examples make tables of their own in the schema "example". */
static void
prepare(PGconn *db, PGconn *application)
{
	sandbox_exec(application, "ROLLBACK");
	sandbox_exec(db, "SET client_min_messages = warning;"
	             "DROP SCHEMA IF EXISTS example, shop CASCADE; CREATE SCHEMA example; CREATE SCHEMA shop;"
	             "DROP TABLE IF EXISTS public.account, public.handled;"
	             "TRUNCATE public.outbox_events, pgoutbox.parked RESTART IDENTITY;"
	             "CREATE TABLE public.account (id bigint PRIMARY KEY, balance numeric NOT NULL);"
	             "CREATE TABLE public.handled (event_id uuid PRIMARY KEY);"
	             "INSERT INTO account VALUES (4711, 1000), (4712, 0);"
	             "INSERT INTO public.outbox_events (aggregate_type, aggregate_id, event_type, payload, sent_at) VALUES"
	             " ('account', '4711', 'opened', '{}', now()), ('account', '4711', 'closed', '{}', NULL),"
	             " ('account', '4711', 'opened', '{}', now() - interval '30 days');"
	             "INSERT INTO pgoutbox.parked (relation, event_row, key, topic, reason, event)"
	             " SELECT 'public.outbox_events'::regclass, id, aggregate_id, 'account', 'too large', to_jsonb(o)"
	             " FROM public.outbox_events o WHERE id = 1;"
	             "SET search_path = example, public");
	sandbox_exec(application, "BEGIN; LOCK TABLE public.outbox_events IN ROW SHARE MODE");
}

static void
run(PGconn *db, const struct example *e)
{
	const char *text = buf_str(&e->text);
	const char *const id[] = {"7bf9cd9d-074e-4470-9401-d92c6167d89c"};
	PGresult *res;
	int sent, results = 0;

	sent = strstr(text, "$1") != NULL ? PQsendQueryParams(db, text, 1, NULL, id, NULL, NULL, 0) : PQsendQuery(db, text);
	TAP_INT_FATAL(sent, 1);
	while ((res = PQgetResult(db)) != NULL) {
		ExecStatusType status = PQresultStatus(res);
		bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

		results++;
		if (!good)
			tap_diag("%s: %s", e->where, PQresultErrorMessage(res));
		else if (strcmp(PQcmdTuples(res), "0") == 0)
			tap_diag("%s: statement %d does nothing: %s", e->where, results, PQcmdStatus(res));
		CU_ASSERT(good && strcmp(PQcmdTuples(res), "0") != 0);
		PQclear(res);
	}
	CU_ASSERT(results > 0);
	if (PQtransactionStatus(db) != PQTRANS_IDLE)
		tap_diag("%s: leaves its transaction open", e->where);
	TAP_INT_FATAL(PQtransactionStatus(db), PQTRANS_IDLE);
}

static void
install(const struct sandbox *sb)
{
	char path[] = "/tmp/pgoutbox-examples.XXXXXX", database[256];
	const char *const argv[] = {"./pgoutboxctl", "-c", path, "init", database, NULL};
	char *output = NULL;
	int fd = mkstemp(path);

	CU_ASSERT_FATAL(fd >= 0);
	FILE *f = fdopen(fd, "w");
	fprintf(f, "database:\n  conninfo: \"%s\"\nkafka:\n  brokers: \"localhost:1\"\n", sb->role);
	fclose(f);
	snprintf(database, sizeof(database), "--database=%s", sb->super);
	int status = proc_run(argv, 30000, &output);
	if (status != 0)
		tap_diag("%s", output);
	free(output);
	unlink(path);
	TAP_INT_FATAL(status, 0);
	sandbox_exec(sb->db, "DO 'BEGIN CREATE ROLE operator; EXCEPTION WHEN duplicate_object THEN END'");
}

static void
every_example_runs(void)
{
	SANDBOX(sb);

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		read_file(files[i]);
	CU_ASSERT_FATAL(examples_count >= 10);
	install(&sb);
	for (size_t i = 0; i < sizeof(kits) / sizeof(kits[0]); i++)
		kit_install(&sb, kits[i]);
	PGconn *application = sandbox_open(sb.super);
	sandbox_exec(application, "SET client_min_messages = error");
	for (size_t i = 0; i < examples_count; i++) {
		prepare(sb.db, application);
		run(sb.db, &examples[i]);
		buf_done(&examples[i].text);
	}
	PQfinish(application);
}

/* What is shown as the table is the one that init makes. */
static void
the_table_is_the_one_of_init(void)
{
	SANDBOX(sb);

	install(&sb);
	examples_count = 0;
	read_file("man/pgoutbox.7");
	CU_ASSERT_FATAL(examples_count > 0);
	TAP_HAS_FATAL(buf_str(&examples[0].text), "CREATE TABLE outbox_events");
	PGconn *application = sandbox_open(sb.super);
	prepare(sb.db, application);
	PQfinish(application);
	run(sb.db, &examples[0]);
#define COLUMNS(schema)                                                                                                            \
	"SELECT column_name, data_type, is_nullable, column_default, identity_generation, ordinal_position"                        \
	" FROM information_schema.columns WHERE table_name = 'outbox_events' AND table_schema = '" schema "'"
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM (" COLUMNS("public") ") x"), 10);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM (" COLUMNS("public") " EXCEPT " COLUMNS("example") ") x"), 0);
	for (size_t i = 0; i < examples_count; i++)
		buf_done(&examples[i].text);
}

int
main(void)
{
	tap_suite("examples");
	tap_test("every example in SQL runs and does something", every_example_runs);
	tap_test("the table of pgoutbox(7) is the one that init makes", the_table_is_the_one_of_init);
	return tap_run();
}
