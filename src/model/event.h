/* event.h - one row of the outbox table, as claimed. Slices point into the batch that holds it. */
#ifndef PGOUTBOX_MODEL_EVENT_H
#define PGOUTBOX_MODEL_EVENT_H

#include <stdint.h>

#include "base/slice.h"

/* The columns that the relay gives a meaning. Their names in a given table come from the configuration. */
enum event_column {
	COL_ID,
	COL_EVENT_ID,
	COL_AGGREGATE_TYPE,
	COL_AGGREGATE_ID,
	COL_EVENT_TYPE,
	COL_PAYLOAD,
	COL_HEADERS,
	COL_TOPIC,
	COL_CREATED_AT,
	COL_SENT_AT,
	COL_RECEIPTS, /* those from here on are there only where receipts are kept in the row */
	COL_SENT_PARTITION = COL_RECEIPTS,
	COL_SENT_OFFSET,
	COL_COUNT
};

struct event {
	int64_t id;            /* order within a key */
	struct slice event_id; /* as text; what consumers deduplicate by */
	struct slice aggregate_type;
	struct slice key; /* aggregate_id */
	struct slice event_type;
	struct slice payload;  /* the bytes to send; NULL = tombstone */
	struct slice headers;  /* JSON text of a flat object, or NULL */
	struct slice topic;    /* NULL = from the configuration */
	int64_t created_at_ms; /* since 1970 UTC; -1 = the table has none */
	struct slice *extra;   /* other columns that the topic template names, as text, in the router's order */
};

#endif
