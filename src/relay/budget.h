/* budget.h - what a relay may need of the machine. */
#ifndef PGOUTBOX_RELAY_BUDGET_H
#define PGOUTBOX_RELAY_BUDGET_H

#include <stdint.h>

/* Files and sockets that are open at once at the most: sessions for as many lanes as a table may have, what librdkafka
 * holds for the listed brokers and some more, the process' own, and what libraries open for a moment. */
uint64_t budget_descriptors(const char *brokers) __attribute__((warn_unused_result));

#endif
