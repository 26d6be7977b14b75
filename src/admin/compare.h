/* compare.h - the events of a table held against the messages of its topics. Pure but for the temporary files of its sorters.
 *
 * Rows and messages are added in any order, then compare_run() judges them: by event id, then each key by its offsets. Memory stays the
 * same for any number of them.
 *
 * What may be missing for a good reason is never called missing: a row whose message Kafka may have dropped since (where the row has
 * a receipt, that is known for certain), one that was settled
 * too late to be below the offsets that were read, one that was set aside. A message whose row may have been pruned is not called unknown.
 */
#ifndef PGOUTBOX_ADMIN_COMPARE_H
#define PGOUTBOX_ADMIN_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/fingerprint.h"

/* Rows sent less than this after the first message that a partition still has may be among those it had before. */
#define COMPARE_MARGIN_US (INT64_C(300) * 1000000)

enum compare_kind {
	COMPARE_MISSING,      /* sent, says the database; Kafka does not have it */
	COMPARE_DUPLICATE,    /* a message beyond the first of its event */
	COMPARE_OUT_OF_ORDER, /* behind a later event of its key */
	COMPARE_SPLIT_KEY,    /* its key has been in another partition before */
	COMPARE_ALTERED,      /* not what the daemon would publish of the row */
	COMPARE_UNKNOWN,      /* no row, though older rows are there */
	COMPARE_KINDS
};

/* What is altered. */
#define COMPARE_KEY 1U
#define COMPARE_PAYLOAD 2U
#define COMPARE_HEADERS 4U
#define COMPARE_TIMESTAMP 8U
#define COMPARE_TOPIC 16U

struct compare_place { /* a partition */
	uint32_t topic;
	int32_t partition;
	int64_t low; /* the first offset that Kafka still has */
	bool cut;  /* it has had messages before those that were read */
	bool open; /* it has messages that could not be read yet: of a transaction that goes on */
};

struct compare_row {
	struct fingerprint fp; /* of the message that it makes */
	int64_t id;
	int64_t sent_us; /* Unix time; 0 = unsent */
	uint32_t topic;
	int64_t place;   /* of its receipt's partition, else of the one that its key belongs to; -1 = not known */
	int64_t offset;  /* of its receipt; -1 = none */
	bool due;        /* settled before the ends of the partitions were looked up */
	bool aside;      /* parked or skipped: need not be there */
	bool late;       /* was parked once: later events of its key may have passed it */
	bool bare;       /* of its message only key and payload are known */
	bool undated;    /* Kafka has no such time as its own: no range of times tells whether its message was read */
	bool reordered;  /* its headers had to be written anew for the mark: no message without it can be held against them */
};

struct compare_message {
	struct fingerprint fp;
	size_t place;
	int64_t offset;
	bool append_time; /* its time is the broker's */
};

struct compare_finding {
	enum compare_kind kind;
	bool has_row, has_message;
	int64_t row_id;
	size_t place;
	int64_t offset;
	uint32_t topic;
	unsigned altered; /* COMPARE_KEY and so on */
};

struct compare_report {
	int64_t rows, messages; /* as they were added */
	int64_t events;         /* rows whose message was found */
	int64_t keys;           /* of these, for each topic */
	int64_t counts[COMPARE_KINDS];
	/* All of this is in order. */
	int64_t repeated_ids;     /* rows that share their event id with an earlier one, and are taken for the same event */
	int64_t replayed;         /* messages with the mark */
	int64_t unsent;           /* rows that are not in Kafka, and need not be yet */
	int64_t unsettled;        /* rows that are in Kafka, but unsent in the table: about to be settled, or to be repeated */
	int64_t recent;           /* rows settled too late to tell */
	int64_t aside;            /* rows that were parked or skipped */
	int64_t expired_rows;     /* whose messages Kafka may have dropped */
	int64_t expired_messages; /* whose rows may have been pruned */
	int64_t undecided;        /* rows that may be behind an open transaction */
	int64_t disk_bytes;       /* of temporary files, written */
};

struct compare_options {
	size_t topics;
	const bool *compacted; /* one a topic: its messages may vanish at any place; NULL = none is */
	int64_t oldest_ms;     /* Unix time; an older message may have lost its row */
	bool ranged;           /* rows outside of a range of time were not added: messages with a broker's time may be theirs */
	size_t memory_bytes;   /* 0 = 56 MiB */
	/* Each finding, as it is met: those of a kind in an order of their own. May be NULL. */
	void (*found)(void *ctx, const struct compare_finding *f);
	/* Now and then, how many of rows and messages have been judged. May be NULL. */
	void (*progress)(void *ctx, int64_t done);
	void *ctx;
};

struct compare;

/* The options are copied, but what they point to is borrowed. */
int compare_new(const struct compare_options *opt, struct compare **ret_compare, struct error *err)
	__attribute__((warn_unused_result));
void compare_free(struct compare **c); /* for cleanup attributes too */

int compare_add_row(struct compare *c, const struct compare_row *row, struct error *err) __attribute__((warn_unused_result));
int compare_add_message(struct compare *c, const struct compare_message *m, struct error *err)
	__attribute__((warn_unused_result));

/* Once, at the end: what became of the partitions is known by then. */
int compare_run(struct compare *c, const struct compare_place *places, size_t places_count, struct compare_report *ret_report,
                struct error *err) __attribute__((warn_unused_result));

#endif
