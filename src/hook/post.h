/* post.h - one HTTP POST at a time: an answer's status, or why there is none. All of libcurl that the daemon uses.
 *
 * Only http and https, certificates verified, no redirect followed, nothing kept of the answer but its status; of its body at most
 * POST_ANSWER_MAX bytes are read.
 */
#ifndef PGOUTBOX_HOOK_POST_H
#define PGOUTBOX_HOOK_POST_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum { POST_ANSWER_MAX = 65536, POST_REASON_MAX = 256 };

struct post_options {
	const char *url;     /* outlives it, like the others */
	const char *ca_file; /* "" = the system's certificates */
	const char *agent;   /* the header User-Agent */
	int64_t timeout_ms;  /* of one exchange, from the look-up of the name to the end of the answer */
};

struct post;

/* ERR_FATAL: no memory, or libcurl could not be set up. Other threads may not run libcurl's set-up at the same time. */
int post_new(const struct post_options *opt, struct post **ret_post, struct error *err) __attribute__((warn_unused_result));
void post_free(struct post *p);

/* Blocks for the timeout at the most, until post_wake() finds *until_us passed at the latest. headers: NULL-terminated, "Name: value".
 * Returns the status, or 0 with the reason, which holds nothing of the URL but its host. */
long post_send(struct post *p, const char *const headers[], struct slice body, const _Atomic int64_t *until_us,
               char ret_reason[static POST_REASON_MAX]);

/* From another thread: *until_us has changed. */
void post_wake(struct post *p);

#endif
