/* log.c - a priority, an id and words in, one line out.
 *
 * The line is made on the stack: it can be written when memory is out. Knows nothing of who logs, and keeps errno.
 * How it gets out without holding anybody up is log_writer.c's.
 */
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

#define TEXT_MAX 2048
#define ID_MAX 64
#define FIXED_MAX 128      /* priority, timestamp, level and the fields' names */
#define ESCAPE_EXPANSION 6 /* a control byte becomes a \u00XX */
#define FIELD_NAME_MAX 24       /* of a field */
#define FIELDS_BYTES (LOG_FIELDS_MAX * (FIELD_NAME_MAX + 8 + ESCAPE_EXPANSION * LOG_FIELD_TEXT_MAX))

struct line {
	char data[FIXED_MAX + ID_MAX + ESCAPE_EXPANSION * (TEXT_MAX + LOG_OUTBOX_MAX + sizeof((struct error *)NULL)->hint) + FIELDS_BYTES];
	size_t len;
};

_Static_assert(sizeof(((struct line *)NULL)->data) <= LOG_WRITER_LINE_MAX, "the writer takes any line");

static const struct level {
	int priority;
	const char *name;
} levels[] = {
	{LOG_ERR, "error"}, {LOG_WARNING, "warning"}, {LOG_NOTICE, "notice"}, {LOG_INFO, "info"}, {LOG_DEBUG, "debug"},
};

int
log_level_parse(const char *name)
{
	for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
		if (strcmp(levels[i].name, name) == 0)
			return levels[i].priority;
	}
	return -1;
}

int
log_format_parse(const char *name)
{
	if (strcmp(name, "logfmt") == 0)
		return LOG_FORMAT_LOGFMT;
	return strcmp(name, "json") == 0 ? LOG_FORMAT_JSON : -1;
}

const char *
log_level_name(int priority)
{
	for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
		if (levels[i].priority == priority)
			return levels[i].name;
	}
	return NULL;
}

static const struct log_field no_fields[] = {{NULL, NULL, 0}};

static bool
is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	return stream != NULL && sscanf(stream, "%ju:%ju", &device, &inode) == 2 && fstat(fd, &st) == 0 &&
	       (uintmax_t)st.st_dev == device && (uintmax_t)st.st_ino == inode;
}

void
log_init(struct log *log, int fd, int level, enum log_format format)
{
	*log = (struct log){.fd = fd, .level = level, .format = format, .journal = is_journal(fd)};
}

static void
add(struct line *line, const char *text, size_t len)
{
	assert(len <= sizeof line->data - line->len);
	memcpy(line->data + line->len, text, len);
	line->len += len;
}

static void
add_str(struct line *line, const char *text)
{
	add(line, text, strlen(text));
}

/* The short forms that JSON and logfmt have in common; NULL when c has none. */
static const char *
short_escape(char c)
{
	switch (c) {
	case '"':
		return "\\\"";
	case '\\':
		return "\\\\";
	case '\n':
		return "\\n";
	case '\r':
		return "\\r";
	case '\t':
		return "\\t";
	default:
		return NULL;
	}
}

/* Adds one character and returns its bytes. A terminal obeys C1 controls (U+0080 to U+009F) too; JSON must be UTF-8. */
static size_t
add_escaped_char(struct line *line, enum log_format format, const char *text, size_t len)
{
	const unsigned char *bytes = (const unsigned char *)text;
	const char *escape = short_escape(*text);
	size_t size = utf8_char(text, len);
	char hex[ESCAPE_EXPANSION + 1];

	if (escape != NULL) {
		add_str(line, escape);
		return 1;
	}
	if (size == 2 && bytes[0] == 0xc2 && bytes[1] < 0xa0)
		snprintf(hex, sizeof hex, "\\u%04x", (unsigned int)bytes[1]);
	else if (size == 1 && (bytes[0] < 0x20 || bytes[0] == 0x7f))
		snprintf(hex, sizeof hex, format == LOG_FORMAT_JSON ? "\\u%04x" : "\\x%02x", (unsigned int)bytes[0]);
	else if (size == 0 && format == LOG_FORMAT_JSON)
		strcpy(hex, "\\ufffd");
	else if (size == 0)
		snprintf(hex, sizeof hex, "\\x%02x", (unsigned int)bytes[0]);
	else {
		add(line, text, size);
		return size;
	}
	add_str(line, hex);
	return size == 0 ? 1 : size;
}

static void
add_name(struct line *line, enum log_format format, const char *name)
{
	add_str(line, format == LOG_FORMAT_JSON ? ",\"" : " ");
	add_str(line, name);
	add_str(line, format == LOG_FORMAT_JSON ? "\":" : "=");
}

static void
add_field(struct line *line, enum log_format format, const char *name, const char *text, size_t len)
{
	add_name(line, format, name);
	add(line, "\"", 1);
	for (size_t i = 0; i < len;)
		i += add_escaped_char(line, format, text + i, len - i);
	add(line, "\"", 1);
}

static void
add_cut_field(struct line *line, enum log_format format, const char *name, const char *text, size_t max)
{
	add_field(line, format, name, text, utf8_whole(text, strnlen(text, max)));
}

static void
add_fields(struct line *line, enum log_format format, const struct log_field *fields)
{
	char number[24];

	for (const struct log_field *f = fields; f->name != NULL; f++) {
		assert(f - fields < LOG_FIELDS_MAX && strlen(f->name) <= FIELD_NAME_MAX);
		if (f->text != NULL) {
			add_cut_field(line, format, f->name, f->text, LOG_FIELD_TEXT_MAX);
			continue;
		}
		snprintf(number, sizeof number, "%" PRId64, f->number);
		add_name(line, format, f->name);
		add_str(line, number);
	}
}

static void
add_timestamp(struct line *line, enum log_format format)
{
	int64_t now_us = clock_wall_us();
	time_t seconds = (time_t)(now_us / 1000000);
	int millis = (int)(now_us / 1000 % 1000);
	char date[48];
	char text[64];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof text, format == LOG_FORMAT_JSON ? "\"ts\":\"%s.%03dZ\"," : "ts=%s.%03dZ ", date, millis);
	add_str(line, text);
}

/* syslog has priorities more urgent than an error; they keep their number for the journal. */
static void
add_head(struct line *line, const struct log *log, int priority, const char *id)
{
	const char *level = log_level_name(priority < LOG_ERR ? LOG_ERR : priority);
	bool json = log->format == LOG_FORMAT_JSON;
	char number[] = {'<', (char)('0' + priority), '>'};

	if (log->journal)
		add(line, number, sizeof number);
	if (json)
		add_str(line, "{");
	if (!log->journal)
		add_timestamp(line, log->format);
	add_str(line, json ? "\"level\":\"" : "level=");
	add_str(line, level);
	add_str(line, json ? "\",\"id\":\"" : " id=");
	add_str(line, id);
	if (json)
		add_str(line, "\"");
}

/* What cannot be written is lost: there is nobody left to tell. */
static void
write_directly(int fd, const struct line *line)
{
	size_t done = 0;

	while (done < line->len) {
		ssize_t n = write(fd, line->data + done, line->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		done += (size_t)n;
	}
}

static bool
is_dropped(const struct log *log, int priority, const char *id)
{
	assert(priority >= LOG_EMERG && priority <= LOG_DEBUG);
	assert(id[0] != '\0' && strlen(id) <= ID_MAX);
	assert(strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(id));
	(void)id;
	return priority > log->level;
}

/* What an entry says. */
struct entry {
	int priority;
	const char *id;
	const char *message;
	const char *hint; /* "" = none */
	const struct log_field *fields;
};

static void
make_line(struct line *line, const struct log *log, const struct entry *e)
{
	line->len = 0;
	add_head(line, log, e->priority, e->id);
	if (log->outbox != NULL)
		add_cut_field(line, log->format, "outbox", log->outbox, LOG_OUTBOX_MAX);
	add_field(line, log->format, "msg", e->message, strlen(e->message));
	if (e->hint[0] != '\0')
		add_field(line, log->format, "hint", e->hint, strlen(e->hint));
	add_fields(line, log->format, e->fields);
	add_str(line, log->format == LOG_FORMAT_JSON ? "}\n" : "\n");
}

static void
put_entry(const struct log *log, const struct entry *e)
{
	struct line line;

	make_line(&line, log, e);
	if (log->writer != NULL)
		log_writer_put(log->writer, line.data, line.len);
	else
		write_directly(log->fd, &line);
}

static void
write_entry(const struct log *log, const struct entry *e)
{
	int saved_errno = errno;

	if (log->limit == NULL || e->priority > LOG_NOTICE || log_limit_admit(log->limit, e->id, e->priority, e->message, clock_mono_us()))
		put_entry(log, e);
	errno = saved_errno;
}

static void
tell_repeats(const struct log *log, bool all)
{
	struct log_repeats r;
	char text[LOG_LIMIT_TEXT_MAX + 64];

	while (log->limit != NULL && log_limit_take(log->limit, all, clock_mono_us(), &r)) {
		snprintf(text, sizeof text, "repeated %" PRIu64 " times, the last time: %s", r.count, r.text);
		put_entry(log, &(struct entry){r.priority, r.id, text, "", LOG_FIELDS(LOG_NUMBER("repeated", r.count))});
	}
}

void
log_tick(const struct log *log)
{
	tell_repeats(log, false);
}

static size_t
tell_dropped(const void *ctx, uint64_t dropped, char *ret_line, size_t size)
{
	struct line line;
	char text[64];
	struct entry e = {.priority = LOG_WARNING, .id = "log-dropped", .message = text, .fields = no_fields,
	                  .hint = "whatever takes the log from standard error was stuck or too slow"};

	snprintf(text, sizeof text, "%" PRIu64 " entries were lost here", dropped);
	make_line(&line, ctx, &e);
	assert(line.len <= size);
	memcpy(ret_line, line.data, line.len);
	return line.len;
}

int
log_start(struct log *log, struct error *err)
{
	struct log_writer_options opt = {.fd = log->fd, .tell_dropped = tell_dropped, .ctx = log};

	if (log_limit_new(&log->limit, err) != 0)
		return -1;
	return log_writer_new(&opt, &log->writer, err);
}

void
log_stop(struct log *log)
{
	tell_repeats(log, true);
	log_limit_free(log->limit);
	log->limit = NULL;
	if (log->writer != NULL && !log_writer_free(log->writer, LOG_STOP_US))
		log->fd = -1;
	log->writer = NULL;
}

uint64_t
log_dropped(const struct log *log)
{
	return log->writer != NULL ? log_writer_dropped(log->writer) : 0;
}

static void __attribute__((format(printf, 5, 0)))
write_text(const struct log *log, int priority, const char *id, const struct log_field *fields, const char *fmt, va_list args)
{
	static const char dots[] = "...";
	char text[TEXT_MAX + 1];
	int len = vsnprintf(text, sizeof text, fmt, args);

	if (len < 0)
		text[0] = '\0';
	if (len > TEXT_MAX)
		strcpy(text + utf8_whole(text, TEXT_MAX - strlen(dots)), dots);
	write_entry(log, &(struct entry){priority, id, text, "", fields});
}

void
log_write(const struct log *log, int priority, const char *id, const char *fmt, ...)
{
	va_list args;

	if (is_dropped(log, priority, id))
		return;
	va_start(args, fmt);
	write_text(log, priority, id, no_fields, fmt, args);
	va_end(args);
}

void
log_fields(const struct log *log, int priority, const char *id, const struct log_field *fields, const char *fmt, ...)
{
	va_list args;

	if (is_dropped(log, priority, id))
		return;
	va_start(args, fmt);
	write_text(log, priority, id, fields, fmt, args);
	va_end(args);
}

void
log_error(const struct log *log, int priority, const char *id, const struct error *err)
{
	log_error_fields(log, priority, id, no_fields, err);
}

void
log_error_fields(const struct log *log, int priority, const char *id, const struct log_field *fields, const struct error *err)
{
	if (!is_dropped(log, priority, id))
		write_entry(log, &(struct entry){priority, id, err->message, err->hint, fields});
}
