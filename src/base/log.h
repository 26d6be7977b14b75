/* log.h - one line an entry, to stderr.
 *
 * Priorities are syslog's (LOG_ERR ... LOG_DEBUG). Each message has a stable id (lower case, words joined by
 * hyphens) that operators may match on; the text may change. Payloads and secrets never go in.
 * Thread-safe: one write(2) a line. Never asks for memory after log_start().
 * From LOG_NOTICE upwards entries of the same id are limited and counted, see log_limit.h; LOG_INFO and LOG_DEBUG are not.
 */
#ifndef PGOUTBOX_BASE_LOG_H
#define PGOUTBOX_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

#include "base/error.h"
#include "base/log_limit.h"
#include "base/log_writer.h"

enum log_format {
	LOG_FORMAT_LOGFMT, /* ts=... level=info id=lane-owned msg="..." */
	LOG_FORMAT_JSON,   /* {"ts":"...","level":"info","id":"lane-owned","msg":"..."} */
};

#define LOG_OUTBOX_MAX 300

/* A started log may be copied, to name an outbox; the copies end before log_stop(). */
struct log {
	int fd;
	int level; /* entries above this priority number are dropped */
	enum log_format format;
	bool journal; /* begin each line with "<6>" and leave the timestamp to the journal */
	const char *outbox; /* a field of each entry, cut after LOG_OUTBOX_MAX bytes; NULL = none. Borrowed */
	struct log_writer *writer; /* NULL = callers write their lines themselves, and wait for fd as long as it takes */
	struct log_limit *limit; /* NULL = none */
};

/* What a machine should not have to take out of the text. At most LOG_FIELDS_MAX of them. */
struct log_field {
	const char *name; /* NULL ends the list */
	const char *text; /* cut at LOG_FIELD_TEXT_MAX bytes; NULL = the number */
	int64_t number;
};
enum { LOG_FIELDS_MAX = 6, LOG_FIELD_TEXT_MAX = 256 };
#define LOG_TEXT(name_, text_) {(name_), (text_), 0}
#define LOG_NUMBER(name_, number_) {(name_), NULL, (int64_t)(number_)}
#define LOG_FIELDS(...) ((const struct log_field[]){__VA_ARGS__, {NULL, NULL, 0}})

/* The writer is not there yet: what a program says while it starts is out before it goes on. journal is set where
 * JOURNAL_STREAM names fd's device and inode (see systemd.exec(5)). */
void log_init(struct log *log, int fd, int level, enum log_format format);

/* From here on nobody is held up by an fd that takes no text, see log_writer.h. The log stays where it is until
 * log_stop(). ERR_FATAL: no memory, no thread. */
int log_start(struct log *log, struct error *err) __attribute__((warn_unused_result));

/* Tells of repeated entries that were held back; to be called about once a second. */
void log_tick(const struct log *log);

/* Writes what waits, for LOG_STOP_US at the most, and is again as after log_init(). An fd that took nothing for so long
 * gets nothing any more. */
#define LOG_STOP_US INT64_C(1000000)
void log_stop(struct log *log);

/* Entries that were lost since log_start() because fd took no text. */
uint64_t log_dropped(const struct log *log);

/* A text longer than 2 kB is cut; newlines and control bytes are escaped. */
void log_write(const struct log *log, int priority, const char *id, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The same with fields behind the text: topic="orders" duration_ms=12. Their names are lower case with underscores. */
void log_fields(const struct log *log, int priority, const char *id, const struct log_field *fields, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* "context: message", then the hint as a field of its own (hint="..."). */
void log_error(const struct log *log, int priority, const char *id, const struct error *err);
void log_error_fields(const struct log *log, int priority, const char *id, const struct log_field *fields, const struct error *err);

/* "logfmt" or "json" to an enum log_format; -1 when unknown. */
int log_format_parse(const char *name);

/* "debug", "info", "notice", "warning", "error" to a priority and back; -1 or NULL when unknown. */
int log_level_parse(const char *name);
const char *log_level_name(int priority);

#endif
