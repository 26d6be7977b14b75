/* sqlstate.c - in: a SQLSTATE; out: wait, have a person act, or the program is wrong. Knows no session. */
#include "source/sqlstate.h"

#include <stdbool.h>
#include <string.h>

#define CODE_LEN 5

#define INIT_HINT "run \"pgoutboxctl init\" with an administrator's connection"
#define GRANT_HINT INIT_HINT ": it grants what the role needs"
#define TRIGGER_HINT "a trigger, a rule, a policy or a function of an index on the table asks for it: mend that"
#define VALUE_HINT "a value of a row is at fault, or a trigger or an index's function that meets it: mend either"
#define CONSTRAINT_HINT \
	"a constraint of the table, or of one that refers to it, forbids what outbox.settle does with sent rows"
#define POOLER_HINT "prepared statements do not last: connect directly or through a pooler in session mode"
#define SILENT_HINT "the relay was silent for longer than database.session_timeout, or an administrator set less"
#define FOREIGN_HINT "the table or a trigger of it reaches another server: the outbox must be a plain table of this one"
#define LOGIN_HINT "let the server know the role and accept it: pg_hba.conf, CREATE ROLE ... LOGIN"
#define BROKEN_HINT "data is damaged: see the server's log, and restore what it names"
#define PROGRAM_HINT "this is an error of the program's: please report it with the server's log"

/* In the order of the appendix; codes come before their class. */
static const struct sqlstate rows[] = {
	/* successful completion, warning, no data: errors only where somebody's function raises them under these names */
	{"00", ERR_CONFIG, TRIGGER_HINT},
	{"01", ERR_CONFIG, TRIGGER_HINT},
	{"02", ERR_CONFIG, TRIGGER_HINT},
	{"03", ERR_FATAL, PROGRAM_HINT}, /* SQL statement not yet complete */
	{"08", ERR_RETRY, NULL},         /* connection exception; poolers give 08P01 for whatever they meet */
	{"09", ERR_CONFIG, TRIGGER_HINT}, /* triggered action exception */
	/* feature not supported, also said of a prepared statement whose table was changed: the next session knows better */
	{"0A", ERR_CONFIG, "the table was changed just now, which passes; or a pooler or a server that lacks a needed feature"
	                   " is in between: connect directly"},
	{"0B", ERR_FATAL, PROGRAM_HINT},  /* invalid transaction initiation */
	{"0F", ERR_CONFIG, TRIGGER_HINT}, /* locator exception */
	{"0L", ERR_CONFIG, TRIGGER_HINT}, /* invalid grantor */
	{"0P", ERR_CONFIG, "the connection string or a trigger names a role that is not there"},
	{"0Z", ERR_CONFIG, TRIGGER_HINT}, /* diagnostics exception */
	{"10", ERR_CONFIG, VALUE_HINT},   /* XQuery error, from PostgreSQL 17 on */
	{"20", ERR_CONFIG, TRIGGER_HINT}, /* case not found */
	{"21", ERR_CONFIG, TRIGGER_HINT}, /* cardinality violation */
	/* data exception */
	{"22021", ERR_CONFIG, "a row holds bytes that are no valid text: mend it, or move it out of the table"},
	{"22P05", ERR_CONFIG, "a row holds a character that UTF-8 lacks: mend it, or move it out of the table"},
	{"22", ERR_CONFIG, VALUE_HINT},
	{"23", ERR_CONFIG, CONSTRAINT_HINT}, /* integrity constraint violation */
	{"24", ERR_FATAL, PROGRAM_HINT},     /* invalid cursor state */
	/* invalid transaction state */
	{"25006", ERR_RETRY, "the server is read-only: a standby, one that was just failed over, or with"
	                     " default_transaction_read_only; where the connection string names several hosts, add"
	                     " target_session_attrs=read-write"},
	{"25P03", ERR_RETRY, SILENT_HINT},
	{"25P04", ERR_RETRY, "a transaction took longer than the server's transaction_timeout: raise that for this role"},
	{"25", ERR_FATAL, PROGRAM_HINT},
	{"26", ERR_CONFIG, POOLER_HINT},  /* invalid SQL statement name */
	{"27", ERR_CONFIG, TRIGGER_HINT}, /* triggered data change violation */
	{"28P01", ERR_CONFIG, "correct the password; the daemon reads database.password_file when it starts"},
	{"28", ERR_CONFIG, LOGIN_HINT},   /* invalid authorization specification */
	{"2B", ERR_CONFIG, TRIGGER_HINT}, /* dependent privilege descriptors still exist */
	{"2D", ERR_FATAL, PROGRAM_HINT},  /* invalid transaction termination */
	{"2F", ERR_CONFIG, TRIGGER_HINT}, /* SQL routine exception */
	{"34", ERR_FATAL, PROGRAM_HINT},  /* invalid cursor name */
	{"38", ERR_CONFIG, TRIGGER_HINT}, /* external routine exception */
	{"39", ERR_CONFIG, TRIGGER_HINT}, /* external routine invocation exception */
	{"3B", ERR_CONFIG, TRIGGER_HINT}, /* savepoint exception */
	{"3D", ERR_CONFIG, "create the database, or correct dbname in database.conninfo"}, /* invalid catalog name */
	{"3F", ERR_CONFIG, INIT_HINT},    /* invalid schema name */
	/* transaction rollback: serialization failure and deadlock among them */
	{"40002", ERR_CONFIG, CONSTRAINT_HINT},
	{"40", ERR_RETRY, NULL},
	/* syntax error or access rule violation */
	{"42501", ERR_CONFIG, GRANT_HINT},
	{"42703", ERR_CONFIG, "correct outbox.columns: it names the table's columns"},
	{"42704", ERR_CONFIG, INIT_HINT},
	{"42883", ERR_CONFIG, INIT_HINT},
	{"42P01", ERR_CONFIG, INIT_HINT},
	{"42P05", ERR_CONFIG, "sessions are shared: connect directly or through a pooler in session mode"},
	{"42", ERR_CONFIG, "check outbox.table and outbox.columns with \"pgoutboxctl check\""},
	{"44", ERR_CONFIG, TRIGGER_HINT}, /* WITH CHECK OPTION violation */
	/* insufficient resources */
	{"53100", ERR_RETRY, "the database server's disk is full"},
	{"53200", ERR_RETRY, "the database server's memory is out: lower its work_mem or its max_connections"},
	{"53300", ERR_RETRY, "the server takes no more sessions: raise max_connections, or the connection limit of the role or"
	                     " of the database; a relay needs one a lane and three more"},
	{"53400", ERR_RETRY, "a limit in the server's configuration was met"},
	{"53", ERR_RETRY, NULL},
	/* program limit exceeded */
	{"54", ERR_CONFIG, "a limit of PostgreSQL's own is passed: a lower outbox.batch_rows may do, or a simpler trigger"},
	/* object not in prerequisite state: "recovery is in progress" among them */
	{"55P02", ERR_CONFIG, "a setting that the connection string asks for cannot be changed in a session"},
	{"55P03", ERR_RETRY, "another session holds a lock on the table: see pg_locks"},
	{"55", ERR_RETRY, NULL},
	/* operator intervention: shutdown, crash, start-up, a session that was ended */
	{"57014", ERR_RETRY, "a statement took longer than database.statement_timeout, or somebody cancelled it"},
	{"57P04", ERR_RETRY, "the database was dropped: it is waited for"},
	{"57P05", ERR_RETRY, SILENT_HINT},
	{"57", ERR_RETRY, NULL},
	/* system error */
	{"58030", ERR_RETRY, "the database server cannot read or write its files: see its log"},
	{"58P01", ERR_CONFIG, "a file of the database server is missing: see its log"},
	{"58P02", ERR_CONFIG, "a file of the database server is in the way: see its log"},
	{"58", ERR_RETRY, NULL},
	{"72", ERR_RETRY, NULL},                                                /* snapshot too old */
	{"F0", ERR_CONFIG, "the server's configuration is at fault: see its log"}, /* configuration file error */
	/* foreign data wrapper error */
	{"HV001", ERR_RETRY, FOREIGN_HINT},
	{"HV00N", ERR_RETRY, FOREIGN_HINT},
	{"HV", ERR_CONFIG, FOREIGN_HINT},
	{"P0", ERR_CONFIG, TRIGGER_HINT}, /* PL/pgSQL error */
	/* internal error */
	{"XX001", ERR_CONFIG, BROKEN_HINT},
	{"XX002", ERR_CONFIG, BROKEN_HINT},
	{"XX", ERR_RETRY, "an internal error of PostgreSQL: see the server's log"},
};

const struct sqlstate *
sqlstate_find(const char *code)
{
	if (strlen(code) != CODE_LEN)
		return NULL;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strncmp(code, rows[i].code, strlen(rows[i].code)) == 0)
			return &rows[i];
	return NULL;
}

enum err_kind
sqlstate_kind(const char *code, const char **ret_hint)
{
	const struct sqlstate *row = code != NULL ? sqlstate_find(code) : NULL;

	*ret_hint = row != NULL ? row->hint : NULL;
	return row != NULL ? row->kind : ERR_RETRY;
}

static bool
is_code_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
}

void
sqlstate_in_text(const char *text, char ret_code[6])
{
	ret_code[0] = '\0';
	for (const char *p = strstr(text, ":  "); p != NULL; p = strstr(p + 1, ":  ")) {
		const char *code = p + 3;
		size_t len = 0;

		while (is_code_char(code[len]))
			len++;
		if (len == CODE_LEN && code[CODE_LEN] == ':') {
			memcpy(ret_code, code, CODE_LEN);
			ret_code[CODE_LEN] = '\0';
		}
	}
}
