/* config.c - from a path to a struct config: read, parse, load, check; and its end. The parts are done elsewhere. */
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/check.h"
#include "config/conninfo.h"
#include "config/document.h"
#include "config/loader.h"
#include "config/options.h"
#include "config/outboxes.h"
#include "config/secret.h"
#include "config/secret_files.h"

static void
properties_done(struct config_properties *properties)
{
	for (size_t i = 0; i < properties->count; i++) {
		free(properties->items[i].name);
		secret_wipe(properties->items[i].value);
	}
	free(properties->items);
}

void
config_done(struct config *cfg)
{
	for (size_t i = 0; i < options_count; i++) {
		const struct option *opt = &options_all[i];
		void *field = (char *)cfg + options_find_section(opt->section)->offset + opt->offset;

		if (opt->kind == OPTION_STRING)
			secret_wipe(*(char **)field);
		else if (opt->kind == OPTION_PROPERTIES)
			properties_done(field);
	}
	outboxes_done(cfg);
	secret_wipe(cfg->database.password);
	secret_wipe(cfg->database.sslpassword);
	secret_wipe(cfg->webhook.url);
	secret_wipe(cfg->webhook.secret);
	properties_done(&cfg->kafka.secrets);
	for (size_t i = 0; i < cfg->places_count; i++)
		free(cfg->places[i].path);
	free(cfg->places);
	free(cfg->file);
	*cfg = (struct config){0};
}

static bool
has_place(const struct config *cfg, const char *path)
{
	for (size_t i = 0; i < cfg->places_count; i++)
		if (strcmp(cfg->places[i].path, path) == 0)
			return true;
	return false;
}

/* "outbox.lanes" of an entry of the list is "outboxes[1].lanes", unless only the section outbox says something of it. */
static void
print_path(const struct config *cfg, const char *path, struct buf *out)
{
	struct buf own __attribute__((cleanup(buf_done))) = BUF_INIT;

	if (cfg->entry != NULL && strncmp(path, "outbox.", 7) == 0)
		buf_printf(&own, "%s.%s", cfg->entry, path + 7);
	else if (cfg->entry != NULL && strcmp(path, "kafka.topic") == 0)
		buf_printf(&own, "%s.topic", cfg->entry);
	if (own.len > 0 && (has_place(cfg, buf_str(&own)) || !has_place(cfg, path)))
		path = buf_str(&own);
	buf_add_str(out, path);
}

/* The longest path that is there: the option's own, or that of what it stands in. */
static const struct config_place *
find_place(const struct config *cfg, const char *path)
{
	for (size_t len = strlen(path); len > 0; len--) {
		if (path[len] != '\0' && path[len] != '.')
			continue;
		for (size_t i = 0; i < cfg->places_count; i++)
			if (strncmp(cfg->places[i].path, path, len) == 0 && cfg->places[i].path[len] == '\0')
				return &cfg->places[i];
	}
	return NULL;
}

void
config_complain(const struct config *cfg, const char *path, struct config_problems *problems, enum config_level level,
                const char *fmt, ...)
{
	struct buf shown __attribute__((cleanup(buf_done))) = BUF_INIT;
	const struct config_place *place;
	char message[1152];
	va_list ap;

	print_path(cfg, path, &shown);
	place = find_place(cfg, buf_str(&shown));
	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	config_problems_add(problems, level, cfg->file, place == NULL ? 0 : place->line,
	                    place == NULL ? 0 : place->column, "%s: %s", buf_str(&shown), message);
}

void
config_complain_error(const struct config *cfg, const char *path, struct config_problems *problems,
                      enum config_level level, const struct error *err)
{
	config_complain(cfg, path, problems, level, "%s%s%s", err->message, err->hint[0] == '\0' ? "" : "; ",
	                err->hint);
}

/* Parses text into cfg, which is all zero and to be ended by the caller in any case. */
static void
build(const char *file, struct slice text, struct config *cfg, struct config_problems *problems)
{
	struct document doc;

	cfg->file = strdup(file);
	if (cfg->file == NULL || loader_defaults(cfg) < 0) {
		config_problems_add(problems, CONFIG_ERROR, file, 0, 0, "out of memory");
		return;
	}
	document_parse(file, text, &doc, problems);
	loader_load(&doc, cfg, problems);
	outboxes_share(cfg);
	if (doc.complete)
		check_options(cfg, problems);
	document_done(&doc);
}

/* Gives a configuration without errors away, and ends any other. */
static int
hand_over(struct config *cfg, struct config *ret_cfg, const struct config_problems *problems, size_t errors_before)
{
	if (problems->errors > errors_before) {
		config_done(cfg);
		return -1;
	}
	*ret_cfg = *cfg;
	return 0;
}

static int
check_length(const char *file, size_t len, struct config_problems *problems)
{
	if (len <= CONFIG_TEXT_MAX)
		return 0;
	config_problems_add(problems, CONFIG_ERROR, file, 0, 0,
	                    "longer than %zu bytes, which is no configuration of pgoutboxd", CONFIG_TEXT_MAX);
	return -1;
}

int
config_parse(const char *file, struct slice text, struct config *ret_cfg, struct config_problems *problems)
{
	struct config cfg = {0};
	size_t errors_before = problems->errors;

	if (check_length(file, text.len, problems) < 0)
		return -1;
	build(file, text, &cfg, problems);
	return hand_over(&cfg, ret_cfg, problems, errors_before);
}

static void
complain_unreadable(const char *path, int reason, struct config_problems *problems)
{
	const char *hint = "";

	if (reason == ENOENT)
		hint = "; pgoutboxd --print-defaults writes an example to begin with";
	else if (reason == EACCES)
		hint = "; the daemon's user must be able to read it, and to enter its directories";
	config_problems_add(problems, CONFIG_ERROR, path, 0, 0, "could not read the file: %s%s", strerror(reason),
	                    hint);
}

static int
read_fd(int fd, struct buf *text)
{
	char chunk[16384];
	ssize_t n;

	while (text->len <= CONFIG_TEXT_MAX) {
		n = read(fd, chunk, sizeof(chunk));
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0)
			buf_add(text, chunk, (size_t)n);
	}
	if (buf_failed(text)) {
		errno = ENOMEM;
		return -1;
	}
	return 0;
}

static int
read_file(const char *path, struct buf *text, bool *ret_exposed, struct config_problems *problems)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st = {0};
	int rc;

	if (fd < 0) {
		complain_unreadable(path, errno, problems);
		return -1;
	}
	rc = fstat(fd, &st) < 0 ? -1 : read_fd(fd, text);
	if (rc < 0)
		complain_unreadable(path, errno, problems);
	(void)close(fd);
	*ret_exposed = S_ISREG(st.st_mode) && (st.st_mode & S_IROTH) != 0;
	return rc < 0 ? -1 : check_length(path, text->len, problems);
}

/* A file that everybody can read should not hold a secret. */
static void
warn_exposed(const struct config *cfg, struct config_problems *problems)
{
	const struct config_properties *properties = &cfg->kafka.properties;
	char path[192];

	if (conninfo_has_password(cfg->database.conninfo))
		config_complain(cfg, "database.conninfo", problems, CONFIG_WARNING,
		                "everybody on this machine can read this password; chmod the file to 0640, or use "
		                "password_file");
	for (size_t i = 0; i < properties->count; i++) {
		if (!secret_name(slice_from(properties->items[i].name)))
			continue;
		(void)snprintf(path, sizeof(path), "kafka.properties.%s", properties->items[i].name);
		config_complain(cfg, path, problems, CONFIG_WARNING,
		                "everybody on this machine can read this secret; chmod the file to 0640");
	}
}

const char *
config_column(const struct config *cfg, enum event_column col)
{
	return col < COL_RECEIPTS || (cfg->outbox.receipts && cfg->outbox.settle == SETTLE_MARK) ? cfg->outbox.columns[col] : "";
}

static int
load(const char *path, bool beside, config_check *also, struct config *ret_cfg, struct config_problems *problems)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config cfg = {0};
	size_t errors_before = problems->errors;
	bool exposed;

	if (read_file(path, &text, &exposed, problems) < 0)
		return -1;
	build(path, (struct slice){buf_str(&text), text.len}, &cfg, problems);
	secret_files_load(&cfg, beside, problems);
	outboxes_share(&cfg);
	if (also != NULL && cfg.kafka.topic != NULL) /* it is where memory lasted for the defaults */
		also(&cfg, problems);
	if (exposed && problems->errors == errors_before)
		warn_exposed(&cfg, problems);
	return hand_over(&cfg, ret_cfg, problems, errors_before);
}

int
config_load(const char *path, config_check *also, struct config *ret_cfg, struct config_problems *problems)
{
	return load(path, false, also, ret_cfg, problems);
}

int
config_load_beside(const char *path, config_check *also, struct config *ret_cfg, struct config_problems *problems)
{
	return load(path, true, also, ret_cfg, problems);
}
