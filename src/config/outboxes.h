/* outboxes.h - the outboxes of a configuration: each a struct config of which it owns the section outbox, kafka.topic
 * and entry, and borrows the rest. Internal to this room. */
#ifndef PGOUTBOX_CONFIG_OUTBOXES_H
#define PGOUTBOX_CONFIG_OUTBOXES_H

#include "config/config.h"

/* Another one, with the values of cfg's section outbox and kafka.topic. NULL when memory is out; cfg is as before then.
 * Moves those that are there. */
struct config *outboxes_add(struct config *cfg) __attribute__((warn_unused_result));

/* Lends cfg's other sections, as they are now, to all of them. */
void outboxes_share(struct config *cfg);

/* As config_outbox() and config_find_outbox(), to be changed. */
struct config *outboxes_get(struct config *cfg, size_t i);
struct config *outboxes_find(struct config *cfg, const char *table);

void outboxes_done(struct config *cfg);

#endif
