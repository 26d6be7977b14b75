/* budget.h - what the relays may need of the machine. */
#ifndef PGOUTBOX_RELAY_BUDGET_H
#define PGOUTBOX_RELAY_BUDGET_H

#include <stddef.h>
#include <stdint.h>

/* Files and sockets that are open at once at the most: for each outbox sessions for as many lanes as a table may have,
 * and what librdkafka holds for the listed brokers and some more; the process' own, and what libraries open for a moment. */
uint64_t budget_descriptors(const char *brokers, size_t outboxes) __attribute__((warn_unused_result));

#endif
