/* sqlstate.c - in: a SQLSTATE; out: wait, or have a person act. */
#include "source/sqlstate.h"

#include <stddef.h>
#include <string.h>

struct row {
	const char *code; /* five characters, or two for a class */
	enum err_kind kind;
	const char *hint;
};

#define GRANT_HINT "run \"pgoutboxctl init\" with an administrator's connection: it grants what the role needs"
#define INIT_HINT "run \"pgoutboxctl init\" with an administrator's connection"

static const struct row rows[] = {
	{"0A000", ERR_CONFIG, "a pooler or a server that lacks a needed feature is in between: connect directly"},
	{"25006", ERR_RETRY, "the server is read-only: a standby, or it was just failed over"},
	{"26000", ERR_CONFIG, "prepared statements vanish: connect directly or through a pooler in session mode"},
	{"3F000", ERR_CONFIG, INIT_HINT},
	{"42501", ERR_CONFIG, GRANT_HINT},
	{"42703", ERR_CONFIG, "correct outbox.columns: it names the table's columns"},
	{"42704", ERR_CONFIG, INIT_HINT},
	{"42883", ERR_CONFIG, INIT_HINT},
	{"42P01", ERR_CONFIG, INIT_HINT},
	{"42P05", ERR_CONFIG, "sessions are shared: connect directly or through a pooler in session mode"},
	{"42", ERR_CONFIG, "check outbox.table and outbox.columns with \"pgoutboxctl check\""},
	{"53100", ERR_RETRY, "the database server's disk is full"},
	{"55P03", ERR_RETRY, "another session holds a lock on the table: see pg_locks"},
	{"57014", ERR_RETRY, "a statement took longer than database.statement_timeout"},
};

enum err_kind
sqlstate_kind(const char *sqlstate, const char **ret_hint)
{
	*ret_hint = NULL;
	if (sqlstate == NULL)
		return ERR_RETRY;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strncmp(sqlstate, rows[i].code, strlen(rows[i].code)) == 0) {
			*ret_hint = rows[i].hint;
			return rows[i].kind;
		}
	return ERR_RETRY;
}
