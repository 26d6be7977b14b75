/* receiver.h - a receiver of the daemon's webhook: an HTTP server of one thread, which keeps what it is sent.
 *
 * What fails here fails the running test (CUnit's fatal kind).
 */
#ifndef PGOUTBOX_TESTS_RECEIVER_H
#define PGOUTBOX_TESTS_RECEIVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

enum receiver_manner { TAKES, FAILS, REDIRECTS, HANGS, FLOODS };

enum { RECEIVER_KEPT = 16 };

/* Static or global. */
struct receiver {
	char url[64]; /* with a query that is to be kept secret */
	_Atomic enum receiver_manner manner;
	_Atomic int requests;
	char kept[RECEIVER_KEPT][4096]; /* the first requests, as they came; good up to the number of requests */
	_Atomic bool stopping;
	int listener;
	pthread_t thread;
};

void receiver_start(struct receiver *r);
void receiver_stop(struct receiver *r); /* again does nothing */

/* Whether the kept request carries its signature with this secret. */
bool receiver_signed(const struct receiver *r, int request, const char *secret);

/* How many of the kept requests hold the text; *ret_first, which may be NULL, is the first of them. */
int receiver_count(const struct receiver *r, const char *text, int *ret_first);

#endif
