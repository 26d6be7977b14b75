/* classify.h - what a librdkafka error means for the event that met it.
 *
 * Rule of thumb: if the unchanged event could become sendable, it is not poison. So a code alone never parks an event:
 * where the broker refuses a batch because of one record, the verdict says that the caller must find out which.
 */
#ifndef PGOUTBOX_SINK_CLASSIFY_H
#define PGOUTBOX_SINK_CLASSIFY_H

#include <librdkafka/rdkafka.h>

enum verdict {
	VERDICT_OK,
	VERDICT_OUTAGE,     /* Kafka does not serve */
	VERDICT_TOPIC,      /* this topic does not take messages now */
	VERDICT_FATAL,      /* the producer is of no more use */
	VERDICT_TOO_LARGE,  /* the message, or the batch it travelled in, exceeds a limit */
	VERDICT_BAD_RECORD, /* some record of the batch is invalid, not necessarily this one */
};

struct classified {
	int code; /* rd_kafka_resp_err_t, as a number: newer libraries know more of them */
	enum verdict verdict;
	const char *why;
};

/* Never NULL. A code that is not in the table holds its topic: the event waits and others flow on. */
const struct classified *classify(rd_kafka_resp_err_t code);

#endif
