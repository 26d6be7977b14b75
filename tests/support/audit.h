/* audit.h - what is in Kafka held against what the database committed.
 *
 * Reads topics from their beginning and keeps some 60 bytes an event. Then judges, on first occurrences:
 * missing, duplicate, unknown (in Kafka, not committed), out of order within a key, altered.
 */
#ifndef PGOUTBOX_TESTS_AUDIT_H
#define PGOUTBOX_TESTS_AUDIT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

struct audit_report {
	int64_t messages;        /* read */
	int64_t committed;       /* events in the database */
	int64_t delivered;       /* of those, in Kafka */
	int64_t missing;         /* committed, not in Kafka */
	int64_t missing_settled; /* of those, marked as sent; always 0 when judged by accounts */
	int64_t duplicates;      /* messages beyond the first of an id */
	int64_t unknown;         /* in Kafka, yet rolled back or never written */
	int64_t out_of_order;    /* events behind a later one of their key */
	int64_t split_keys;      /* keys found in more than one partition of a topic */
	int64_t altered;         /* key, type, payload, headers or timestamp differ */
	int64_t without_id;      /* messages without a usable header "id" */
	int64_t compared;        /* events whose content was compared; 0 when the rows are gone */
	int64_t keys;
};

/* Nothing lost, invented, changed or reordered; duplicates are the caller's to judge. */
bool audit_sound(const struct audit_report *r);

struct audit;

/* examples: where the first few of each fault are described, or NULL. */
int audit_new(FILE *examples, struct audit **ret_audit, struct error *err) __attribute__((warn_unused_result));
void audit_free(struct audit **a); /* for cleanup attributes too */

struct audit_read {
	const char *brokers;
	const char *const *topics;
	size_t topics_count;
	int appear_ms;    /* how long to wait for the topics to be there */
	int64_t expected; /* distinct events to wait for; -1 = not known, until_told decides */
	int idle_ms;      /* give up waiting when nothing has come for so long */
	/* Asked a few times a second when expected is -1: true = the last event has been sent, read what there is. */
	bool (*until_told)(void *ctx, int64_t distinct, int64_t messages);
	void *ctx;
};

/* Reads until the expected events are there (or no more come), then to the end of every partition, so that what was
 * sent twice is seen too. */
int audit_consume(struct audit *a, const struct audit_read *opt, struct error *err)
    __attribute__((warn_unused_result));

/* Judges against the table's rows, each of which must still be there: settle: mark. Columns as init makes them. */
int audit_judge_rows(struct audit *a, const char *conninfo, const char *table, struct audit_report *ret_report,
                     struct error *err) __attribute__((warn_unused_result));

/* Judges events of writer.h by the accounts alone, where rows are gone: settle: delete, or pruned. */
int audit_judge_accounts(struct audit *a, const char *conninfo, struct audit_report *ret_report, struct error *err)
    __attribute__((warn_unused_result));

#endif
