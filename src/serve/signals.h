/* signals.h - signals as a file descriptor, so that they are handled in the loop's order and in no handler.
 *
 * SIGTERM, SIGINT, SIGHUP and SIGUSR1 are delivered; SIGPIPE is ignored. See signalfd(2).
 */
#ifndef PGOUTBOX_SERVE_SIGNALS_H
#define PGOUTBOX_SERVE_SIGNALS_H

#include "base/error.h"
#include "base/watch.h"

struct signals;

/* Blocks the four for the calling thread and all that it makes later, and ignores SIGPIPE. To be called in main
 * before any thread exists: the signal would end the process in one without the mask. */
void signals_block(void);

/* on_signal is called from within the watch's fire(), once for each signal; equal ones that are pending at the same
 * time are one. ERR_FATAL when the kernel gives no descriptor. The caller frees *ret_signals. */
int signals_new(void (*on_signal)(void *ctx, int signo), void *ctx, struct signals **ret_signals, struct error *err)
	__attribute__((warn_unused_result));
void signals_free(struct signals *s); /* remove its watch from the loop before; NULL is fine */

/* To be added to the loop. */
struct watch *signals_watch(struct signals *s);

#endif
