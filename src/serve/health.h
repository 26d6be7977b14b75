/* health.h - named checks: the relay's thread says how they stand, any thread asks for the verdict.
 *
 * Live: the loop turns. A daemon that is not live should be killed.
 * Ready: live, and no check fails. An outage of a side, or a standstill, counts only once it has lasted for the
 * threshold, as most end before anybody need know.
 */
#ifndef PGOUTBOX_SERVE_HEALTH_H
#define PGOUTBOX_SERVE_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "serve/loop.h"

/* The checks of each outbox. All begin as failing with the reason "starting". */
enum health_check { HEALTH_POSTGRESQL, HEALTH_KAFKA, HEALTH_SCHEMA, HEALTH_LANES, HEALTH_PROGRESS, HEALTH_CHECKS };

enum health_state {
	HEALTH_OK,
	HEALTH_OUTAGE, /* fails once it has lasted for the threshold */
	HEALTH_FAILED, /* fails at once */
};

struct health_options {
	const struct loop *loop;     /* must outlive the health */
	const char *const *outboxes; /* the tables; the index is the outbox's number. Copied */
	size_t outboxes_count;
	int64_t loop_stall_us; /* the loop hangs when its last turn is older, e.g. 10 s */
	int64_t outage_threshold_us;
};

struct health;

/* ERR_FATAL: out of memory. The caller frees *ret_health, after the http that shows it. */
int health_new(const struct health_options *opt, struct health **ret_health, struct error *err)
	__attribute__((warn_unused_result));
void health_free(struct health *h); /* NULL is fine */

/* The reason is copied, cut at 200 bytes, its control bytes made spaces; with HEALTH_OK it may be NULL, and is else
 * a remark that is shown only when verbose: "ok, but ...". Since-when is kept from
 * the first call that was not HEALTH_OK. Never waits for I/O. */
void health_set(struct health *h, size_t outbox, enum health_check check, enum health_state state, const char *reason,
                int64_t now_us);

/* Both append a line for each check that fails, "[-]kafka: reason, for 12 s", and for the others too when verbose,
 * "[+]kafka ok"; at last the verdict. With several outboxes a check is named "table/kafka". out may be NULL. */
bool health_live(struct health *h, bool verbose, int64_t now_us, struct buf *out);
bool health_ready(struct health *h, bool verbose, int64_t now_us, struct buf *out);

#endif
