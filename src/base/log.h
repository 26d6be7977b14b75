/* log.h - one line an entry, to stderr.
 *
 * Priorities are syslog's (LOG_ERR ... LOG_DEBUG). Each message has a stable id (lower case, words joined by
 * hyphens) that operators may match on; the text may change. Payloads and secrets never go in.
 * Thread-safe: one write(2) a line.
 */
#ifndef PGOUTBOX_BASE_LOG_H
#define PGOUTBOX_BASE_LOG_H

#include <stdbool.h>
#include <syslog.h>

#include "base/error.h"

enum log_format {
	LOG_FORMAT_LOGFMT, /* ts=... level=info id=lane-owned msg="..." */
	LOG_FORMAT_JSON,   /* {"ts":"...","level":"info","id":"lane-owned","msg":"..."} */
};

struct log {
	int fd;
	int level; /* entries above this priority number are dropped */
	enum log_format format;
	bool journal; /* begin each line with "<6>" and leave the timestamp to the journal */
};

/* journal is set where JOURNAL_STREAM names fd's device and inode (see systemd.exec(5)). */
void log_init(struct log *log, int fd, int level, enum log_format format);

/* A text longer than 2 kB is cut; newlines and control bytes are escaped. */
void log_write(const struct log *log, int priority, const char *id, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* "context: message", then the hint as a field of its own (hint="..."). */
void log_error(const struct log *log, int priority, const char *id, const struct error *err);

/* "debug", "info", "notice", "warning", "error" to a priority and back; -1 or NULL when unknown. */
int log_level_parse(const char *name);
const char *log_level_name(int priority);

#endif
