/* check.c - a struct config in, complaints about what does not fit together out. Changes nothing. */
#include "config/check.h"

#include <stdio.h>
#include <string.h>

#include "config/conninfo.h"
#include "config/options.h"
#include "config/secret.h"
#include "config/syntax.h"
#include "config/value.h"

/* A value as the file would have it, of an option directly in the section outbox or database. */
static void
print_option(const struct config *cfg, const char *section, const char *name, struct buf *out)
{
	value_print(options_find(section, NULL, name), (const char *)cfg + options_find_section(section)->offset, out);
}

static void
check_poll(const struct config *cfg, struct config_problems *problems)
{
	struct buf low __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf high __attribute__((cleanup(buf_done))) = BUF_INIT;

	if (cfg->outbox.poll_min_ms <= cfg->outbox.poll_max_ms)
		return;
	print_option(cfg, "outbox", "poll_min", &low);
	print_option(cfg, "outbox", "poll_max", &high);
	config_complain(cfg, "outbox.poll_min", problems, CONFIG_ERROR, "%s is longer than poll_max, which is %s",
	                buf_str(&low), buf_str(&high));
}

static void
check_hold(const struct config *cfg, struct config_problems *problems)
{
	struct buf hold __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf session __attribute__((cleanup(buf_done))) = BUF_INIT;

	/* PostgreSQL would end the session of a batch that waits, before the relay lets go of it. */
	if (cfg->outbox.hold_max_ms < cfg->database.session_timeout_ms)
		return;
	print_option(cfg, "outbox", "hold_max", &hold);
	print_option(cfg, "database", "session_timeout", &session);
	config_complain(cfg, "outbox.hold_max", problems, CONFIG_ERROR,
	                "%s is not shorter than database.session_timeout, which is %s", buf_str(&hold),
	                buf_str(&session));
}

static const char *
column_option(size_t column)
{
	size_t offset = offsetof(struct outbox_config, columns) + column * sizeof(char *);

	for (size_t i = 0; i < options_count; i++)
		if (options_all[i].group != NULL && options_all[i].offset == offset)
			return options_all[i].name;
	return ""; /* every column is in the table; a test says so */
}

static void
check_pair(const struct config *cfg, size_t a, size_t b, struct config_problems *problems)
{
	const char *column = config_column(cfg, (enum event_column)a);
	/* The complaint goes to the later one, unless that has its default and the earlier one has not. */
	bool earlier = strcmp(column, column_option(a)) != 0 && strcmp(column, column_option(b)) == 0;
	char path[64];

	if (column[0] == '\0' || strcmp(column, config_column(cfg, (enum event_column)b)) != 0)
		return;
	(void)snprintf(path, sizeof(path), "outbox.columns.%s", column_option(earlier ? a : b));
	config_complain(cfg, path, problems, CONFIG_ERROR,
	                "\"%s\" is the column of %s already; name another, or \"\" if the table has none", column,
	                column_option(earlier ? b : a));
}

static void
check_receipt_columns(const struct config *cfg, struct config_problems *problems)
{
	char path[64];

	for (size_t col = COL_RECEIPTS; col < COL_COUNT; col++) {
		if (cfg->outbox.columns[col][0] != '\0' || !cfg->outbox.receipts || cfg->outbox.settle != SETTLE_MARK)
			continue;
		(void)snprintf(path, sizeof(path), "outbox.columns.%s", column_option(col));
		config_complain(cfg, path, problems, CONFIG_ERROR,
		                "must not be empty with \"receipts: true\" and \"settle: mark\"; name a column, which init adds");
	}
}

static void
check_columns(const struct config *cfg, struct config_problems *problems)
{
	for (size_t b = 0; b < COL_COUNT; b++)
		for (size_t a = 0; a < b; a++)
			check_pair(cfg, a, b, problems);
	if (cfg->outbox.columns[COL_SENT_AT][0] == '\0' && cfg->outbox.settle == SETTLE_MARK)
		config_complain(cfg, "outbox.columns.sent_at", problems, CONFIG_ERROR,
		                "must not be empty with \"settle: mark\"; name a timestamp column, or set "
		                "\"settle: delete\"");
	check_receipt_columns(cfg, problems);
}

/* One that is given twice would sooner or later be changed in one place only. */
static void
check_password(const struct config *cfg, struct config_problems *problems)
{
	const struct database_config *db = &cfg->database;
	const char *path;

	if (db->password_file[0] == '\0' && db->sslpassword_file[0] == '\0')
		return;
	path = db->password_file[0] != '\0' ? "database.password_file" : "database.sslpassword_file";
	if (conninfo_has_password(db->conninfo))
		config_complain(cfg, path, problems, CONFIG_ERROR,
		                "the connection string has a password too; give each by its file, password_file or "
		                "sslpassword_file");
}

static bool
is_given(const struct config_properties *properties, const char *name)
{
	for (size_t i = 0; i < properties->count; i++)
		if (strcmp(properties->items[i].name, name) == 0)
			return true;
	return false;
}

/* What comes from a file is shown nowhere, which rests on its name. */
static void
check_property_file(const struct config *cfg, const struct config_property *p, struct config_problems *problems)
{
	char path[192];
	struct error err;

	(void)snprintf(path, sizeof(path), "kafka.property_files.%s", p->name);
	if (syntax_path(p->value, &err) < 0)
		config_complain_error(cfg, path, problems, CONFIG_ERROR, &err);
	else if (p->value[0] == '\0')
		config_complain(cfg, path, problems, CONFIG_ERROR, "names no file; remove the line");
	if (!secret_name(slice_from(p->name)))
		config_complain(cfg, path, problems, CONFIG_ERROR,
		                "is no secret property of librdkafka; set it in kafka.properties");
	else if (is_given(&cfg->kafka.properties, p->name))
		config_complain(cfg, path, problems, CONFIG_ERROR, "is in kafka.properties too; remove it there");
}

static void
check_property_files(const struct config *cfg, struct config_problems *problems)
{
	for (size_t i = 0; i < cfg->kafka.property_files.count; i++)
		check_property_file(cfg, &cfg->kafka.property_files.items[i], problems);
}

/* Two relays of one table would only share its lanes. */
static void
check_tables(const struct config *cfg, struct config_problems *problems)
{
	for (size_t b = 0; b < cfg->outboxes_count; b++)
		for (size_t a = 0; a < b; a++) {
			const struct config *first = config_outbox(cfg, a), *second = config_outbox(cfg, b);

			if (!syntax_same_table(first->outbox.table, second->outbox.table))
				continue;
			config_complain(second, "outbox.table", problems, CONFIG_ERROR,
			                "\"%s\" is the table of %s already; name another", second->outbox.table,
			                first->entry);
			break;
		}
}

/* Nobody should have to believe a post that anybody could have made. */
static void
check_webhook(const struct config *cfg, struct config_problems *problems)
{
	if (cfg->webhook.url_file[0] != '\0' && cfg->webhook.secret_file[0] == '\0')
		config_complain(cfg, "webhook.url_file", problems, CONFIG_ERROR, "needs webhook.secret_file too, to sign posts with");
}

static bool
is_query_name(const char *name)
{
	return strlen(name) <= CONFIG_QUERY_NAME_MAX && name[0] >= 'a' && name[0] <= 'z' &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789")] == '\0';
}

/* Names of metrics are made of both, the query's and the column's: where one name goes on as another one begins, two
 * queries could make the same. */
static const char *
similar_query(const struct config *cfg, const char *name)
{
	const struct config_properties *sql = &cfg->queries.sql;

	for (size_t i = 0; i <= sql->count; i++) {
		const char *other = i < sql->count ? sql->items[i].name : CONFIG_QUERY_RECONCILIATION;
		size_t len = strlen(other);

		if (strncmp(name, other, len) == 0 && (name[len] == '_' || (name[len] == '\0' && i == sql->count)))
			return other;
	}
	return NULL;
}

static void
check_query(const struct config *cfg, const struct config_property *p, struct config_problems *problems)
{
	char path[192];
	const char *other = similar_query(cfg, p->name);

	(void)snprintf(path, sizeof(path), "queries.sql.%s", p->name);
	if (!is_query_name(p->name))
		config_complain(cfg, path, problems, CONFIG_ERROR,
		                "a query's name is made of a-z, 0-9 and \"_\", begins with a letter and has at most %d of them",
		                CONFIG_QUERY_NAME_MAX);
	else if (other != NULL)
		config_complain(cfg, path, problems, CONFIG_ERROR,
		                "begins as the name of the query \"%s\" does, and their metrics might be the same; name it otherwise", other);
	if (p->value[strspn(p->value, " \t\n;")] == '\0')
		config_complain(cfg, path, problems, CONFIG_ERROR, "has no SQL; remove the line");
	else if (strlen(p->value) > CONFIG_QUERY_SQL_MAX)
		config_complain(cfg, path, problems, CONFIG_ERROR, "is longer than %d bytes; make a view of it", CONFIG_QUERY_SQL_MAX);
}

static void
check_queries(const struct config *cfg, struct config_problems *problems)
{
	const struct config_properties *sql = &cfg->queries.sql;

	for (size_t i = 0; i < sql->count; i++)
		check_query(cfg, &sql->items[i], problems);
	if (sql->count > CONFIG_QUERIES_MAX)
		config_complain(cfg, "queries.sql", problems, CONFIG_ERROR, "has more than %d queries", CONFIG_QUERIES_MAX);
}

void
check_options(const struct config *cfg, struct config_problems *problems)
{
	for (size_t i = 0; i < config_outboxes(cfg); i++) {
		const struct config *outbox = config_outbox(cfg, i);

		check_poll(outbox, problems);
		check_hold(outbox, problems);
		check_columns(outbox, problems);
	}
	check_tables(cfg, problems);
	check_password(cfg, problems);
	check_property_files(cfg, problems);
	check_webhook(cfg, problems);
	check_queries(cfg, problems);
}
