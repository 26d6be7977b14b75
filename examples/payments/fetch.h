/* fetch.h - HTTP requests to one server over one connection that is kept alive; for one thread at a time.
 *
 * A request blocks for its timeout at the most. What was sent may have been done, whatever is said of the answer: whoever
 * asks again asks with the same key.
 */
#ifndef PAYMENTS_FETCH_H
#define PAYMENTS_FETCH_H

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum { FETCH_ANSWER_MAX = 16 * 1024 * 1024 }; /* a longer answer is an error */

struct fetch;

struct fetch_answer {
	long status;
	uint32_t retry_after_s; /* 0 = the server did not say */
	struct buf body;
};
#define FETCH_ANSWER_INIT ((struct fetch_answer){0, 0, BUF_INIT})
void fetch_answer_done(struct fetch_answer *a); /* for cleanup attributes */

/* base: "http://127.0.0.1:8080", borrowed. Call curl_global_init() before there is a second thread. */
int fetch_new(const char *base, struct fetch **ret_fetch, struct error *err) __attribute__((warn_unused_result));
void fetch_free(struct fetch **f); /* for cleanup attributes */

/* key: the Idempotency-Key. ERR_RETRY: no answer, or not all of it. Otherwise there is a status, whatever it says.
 * The answer's former content is forgotten. */
int fetch_post(struct fetch *f, const char *path, const char *key, const char *body, int64_t timeout_ms, struct fetch_answer *ret_answer,
               struct error *err) __attribute__((warn_unused_result));
int fetch_get(struct fetch *f, const char *path, int64_t timeout_ms, struct fetch_answer *ret_answer, struct error *err)
	__attribute__((warn_unused_result));

#endif
