/* endpoint.h - what the daemon of this configuration says of itself, where it answers. The only file that knows libcurl. */
#ifndef PGOUTBOX_CTL_ENDPOINT_H
#define PGOUTBOX_CTL_ENDPOINT_H

#include <stdbool.h>

#include "base/buf.h"

#define ENDPOINT_TIMEOUT_MS 1000 /* for each of two requests; the second only where the first was answered */

enum endpoint_state {
	ENDPOINT_OFF,    /* http.listen says so, or leaves the port to the kernel */
	ENDPOINT_SILENT, /* nobody answers there */
	ENDPOINT_OTHER,  /* somebody does who is no relay of this outbox */
	ENDPOINT_NOT_READY,
	ENDPOINT_READY,
};

struct endpoint {
	enum endpoint_state state;
	char address[300];  /* "http://localhost:9921"; "" when off */
	char problem[256];  /* of SILENT and OTHER, for people; else "" */
	struct buf reasons; /* of NOT_READY: why, a line each: "kafka: no broker answers, for 12 s" */
	struct buf notes;   /* what is amiss though the checks pass, in the same form: an outage that is young */
	struct buf metrics; /* as they came, for samples.h; "" where nobody answered */
};

#define ENDPOINT_INIT ((struct endpoint){.state = ENDPOINT_OFF})

/* Asks the daemon that listens by http.listen about the outbox, a table as the configuration names it. Blocks for two seconds at
 * the most. *ret is filled whatever happens, and freed by endpoint_done() before it is asked again. */
void endpoint_ask(const char *listen, const char *outbox, struct endpoint *ret);
void endpoint_done(struct endpoint *e); /* for cleanup attributes too */

#endif
