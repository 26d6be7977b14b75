/* thread.h - a thread beside the loop's. All signals are blocked in it: they are the loop's to take. */
#ifndef PGOUTBOX_BASE_THREAD_H
#define PGOUTBOX_BASE_THREAD_H

#include <pthread.h>

/* The name, of at most 15 bytes, is what top and gdb show. Returns 0, or an errno that says why there is none. */
int thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *ctx), void *ctx)
	__attribute__((warn_unused_result));

#endif
