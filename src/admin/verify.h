/* verify.h - "pgoutboxctl verify": holds the topics against the table, event by event. Prints and changes nothing. Blocks.
 *
 * The order is what makes it true: the server's clock is read, then the ends of the partitions, then the table in one snapshot. So what was
 * settled before that time is below the ends, and each message below the ends comes from a row that the snapshot has, unless it was pruned.
 */
#ifndef PGOUTBOX_ADMIN_VERIFY_H
#define PGOUTBOX_ADMIN_VERIFY_H

#include "admin/compare.h"
#include "admin/outbox.h"
#include "config/config.h"
#include "sink/reader.h"

#define VERIFY_EXAMPLES 10 /* of each kind */

enum verify_phase {
	VERIFY_MESSAGES, /* offsets are counted */
	VERIFY_ROWS,
	VERIFY_JUDGE,    /* rows and messages */
};

struct verify_request {
	const char *topic;         /* NULL = all of the table's */
	const char *since, *until; /* of created_at, as PostgreSQL reads times; NULL = no bound */
	int patience_ms;           /* how long Kafka may give nothing */
	/* Now and then; total -1 = not known. May be NULL. */
	void (*progress)(void *ctx, enum verify_phase phase, int64_t done, int64_t total);
	/* Each event that is missing, by its row's order. event_id is NULL where the row is gone since. May be NULL. */
	void (*missing)(void *ctx, int64_t row_id, const char *event_id);
	void *ctx;
};

struct verify_example {
	struct compare_finding finding;
	const char *topic; /* the report's */
	int32_t partition; /* -1 = no message */
	char *event_id;    /* NULL = no row, or not there any more */
};

struct verify_report {
	struct compare_report found;
	struct verify_example examples[COMPARE_KINDS][VERIFY_EXAMPLES];
	size_t examples_count[COMPARE_KINDS];
	char **topics; /* in order */
	size_t topics_count;
	size_t partitions;
	size_t absent_topics; /* that do not exist */
	size_t open_partitions, cut_partitions;
	int64_t us; /* how long it took */
};

#define VERIFY_REPORT_INIT ((struct verify_report){.topics = NULL})

void verify_report_done(struct verify_report *r); /* for cleanup attributes too */

/* Whether there is a difference. */
bool verify_differs(const struct verify_report *r);

/* ERR_CONFIG where there is nothing to compare by, ERR_RETRY where a side does not answer, ERR_FATAL where the disk is full. After a
 * failure o's connection is fit for nothing but its end. */
int verify_run(const struct config *cfg, const struct outbox *o, const struct verify_request *rq, struct verify_report *ret_report,
               struct error *err) __attribute__((warn_unused_result));

#endif
