/* webhook.h - tells an HTTP receiver what an operator must hear of, for those without an Alertmanager.
 *
 * A thread of its own posts one piece of news after the other as signed JSON; what cannot be delivered is tried again, after pauses
 * from half a second to a minute, until it is taken or refused. Whoever tells never waits: news wait in a queue of fixed
 * size, and where that is full the oldest that waits is dropped and counted.
 * Events that are parked are gathered: one post in ten seconds for each outbox, with their number.
 *
 * The header X-Pgoutbox-Signature is "t=SECONDS,v1=HEX": HMAC-SHA256 with the secret over SECONDS, a dot, and the body. SECONDS
 * is the time of the attempt, so a receiver can refuse what is old; the body's id is that of the news, the same in each attempt.
 */
#ifndef PGOUTBOX_HOOK_WEBHOOK_H
#define PGOUTBOX_HOOK_WEBHOOK_H

#include <stdint.h>

#include "base/error.h"
#include "base/log.h"

enum { WEBHOOK_QUEUE = 64 };
#define WEBHOOK_GATHER_US INT64_C(10000000)
#define WEBHOOK_DESCRIPTORS_MAX 8 /* a connection, its resolver, libcurl's wake-ups */

enum webhook_kind {
	WEBHOOK_STARTED,
	WEBHOOK_STOPPED,
	WEBHOOK_OUTAGE_BEGIN,
	WEBHOOK_OUTAGE_END,
	WEBHOOK_PARKED,
	WEBHOOK_RELOAD_FAILED,
	WEBHOOK_KINDS,
};

struct webhook_options {
	const char *url; /* the strings outlive it */
	const char *secret;
	const char *ca_file; /* "" = the system's certificates */
	int64_t timeout_ms;
	uint32_t kinds; /* bit 1 << kind: to be told; the others are passed by */
	const char *version;
	const struct log *log;
};

/* Strings are copied, and cut where they are too long; NULL = it has none. The numbers are those of its kind. */
struct webhook_news {
	enum webhook_kind kind;
	const char *outbox;
	const char *side;   /* a constant */
	const char *reason; /* no key, no payload, no secret */
	int64_t duration_ms; /* of an outage that ended */
	int64_t backlog;     /* of an outage */
	int64_t count;       /* of parked events */
};
#define WEBHOOK_NEWS(kind_, ...) (&(const struct webhook_news){.kind = (kind_), __VA_ARGS__})

struct webhook_counts {
	uint64_t delivered;
	uint64_t failed;  /* attempts that are made again */
	uint64_t refused; /* by an answer that asks for no other attempt; a redirect is one */
	uint64_t dropped; /* the queue was full, or the daemon stopped */
};

struct webhook;

/* ERR_CONFIG: the URL is neither http nor https. ERR_FATAL: no memory, no thread, no libcurl. */
int webhook_new(const struct webhook_options *opt, struct webhook **ret_webhook, struct error *err)
	__attribute__((warn_unused_result));

/* Waits for what is queued, each of which gets one more attempt, for wait_us at the most. NULL is fine. */
void webhook_free(struct webhook *w, int64_t wait_us);

void webhook_tell(struct webhook *w, const struct webhook_news *news); /* any thread; NULL is fine */
struct webhook_counts webhook_counts(struct webhook *w);               /* the same */

#endif
