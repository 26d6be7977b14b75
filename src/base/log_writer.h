/* log_writer.h - lines in from any thread, which is never held up for long; text out, however long that takes.
 *
 * Standard error may stop taking text: a pipe whose reader hangs, a journal that is stuck, a disk that is full. Its
 * descriptor is shared with other programs, so it cannot be made non-blocking here; poll(2) promises nothing for a
 * disk, nor for a pipe that others write to as well. So a thread of its own writes, and where that hangs in write(2)
 * nobody else does.
 *
 * Lines wait in 256 kB, which are allocated once. What does not fit is dropped and counted, and in the place of what is
 * missing one line says how many there were. Where write(2) fails, it is tried again after a second, so nothing that
 * waits is lost to a full disk.
 * A caller waits for its own line to be out, for 10 ms at the most, so that the last lines before a crash are there.
 * That takes a twentieth of the time of whoever logs, and no more: while it is used up, or earlier lines are under way,
 * nobody waits.
 */
#ifndef PGOUTBOX_BASE_LOG_WRITER_H
#define PGOUTBOX_BASE_LOG_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { LOG_WRITER_LINE_MAX = 65536 };

struct log_writer;

struct log_writer_options {
	int fd; /* stays the caller's */
	/* Makes the line that says how many were dropped and returns its length. In the writer's thread: must not log. */
	size_t (*tell_dropped)(const void *ctx, uint64_t dropped, char *ret_line, size_t size);
	const void *ctx;
};

/* ERR_FATAL: no memory, no thread. */
int log_writer_new(const struct log_writer_options *opt, struct log_writer **ret_writer, struct error *err)
	__attribute__((warn_unused_result));

/* Waits until all lines are out, for wait_us at the most. False: they were not, and whatever else would be written to
 * the descriptor might hang. Then the thread is left to itself and frees the writer if it ever comes to an end. */
bool log_writer_free(struct log_writer *w, int64_t wait_us);

/* A whole line with its newline, of at most LOG_WRITER_LINE_MAX bytes. */
void log_writer_put(struct log_writer *w, const char *line, size_t len);

uint64_t log_writer_dropped(struct log_writer *w); /* since the beginning */

#endif
