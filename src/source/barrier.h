/* barrier.h - promise 6: nothing is published that the database could still lose.
 *
 * A commit with synchronous_commit = off is visible before its WAL is on disk. A claim tells the WAL position that its snapshot rests
 * on; what it brought may be published once WAL is flushed up to there. Usually it is already. Where not, this session commits
 * a record of its own, which flushes everything before it (and waits for synchronous standbys, where there are any). One flush
 * serves all lanes that wait, and all later claims of rows that are older: transactions below the xmin of a snapshot had ended when it
 * was taken, so their commits lie before the record.
 */
#ifndef PGOUTBOX_SOURCE_BARRIER_H
#define PGOUTBOX_SOURCE_BARRIER_H

#include <stdint.h>

#include "base/error.h"
#include "base/watch.h"
#include "source/session.h"

struct barrier_events {
	/* WAL is safe up to lsn, and so is whatever transactions with an xid below xid have committed. */
	void (*flushed)(void *ctx, uint64_t lsn, uint64_t xid);
	void (*lost)(void *ctx, const struct error *err); /* closed; what was needed is forgotten, to be asked for again, now or later */
	void *ctx;
};

struct barrier;

struct barrier *barrier_new(const struct session_options *opt, const struct barrier_events *events) __attribute__((warn_unused_result));
void barrier_free(struct barrier *b);
struct watch *barrier_watch(struct barrier *b);
void barrier_open(struct barrier *b);
void barrier_close(struct barrier *b);

/* flushed() will come with at least this position, after the next open where there is no session now. */
void barrier_need(struct barrier *b, uint64_t lsn, int64_t now_us);

/* Says a word when it has been silent for long, or the server would end the session. */
void barrier_tick(struct barrier *b, int64_t now_us);

/* An LSN as PostgreSQL writes it, "16/B374D848"; 0 when it is none. */
uint64_t barrier_parse_lsn(const char *text);

#endif
