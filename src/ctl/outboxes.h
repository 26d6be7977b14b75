/* outboxes.h - which of the configuration's outboxes a verb works on: the one, the one that --outbox names, or each. */
#ifndef PGOUTBOX_CTL_OUTBOXES_H
#define PGOUTBOX_CTL_OUTBOXES_H

#include "ctl/verb.h"

/* Runs the verb. With several outboxes, none named, and a verb that works on one only, it says which there are. The exit
 * status is the verb's; where it runs for each, the first that is not 0. */
int outboxes_run(const struct verb *verb, const struct arguments *args, const struct config *cfg);

#endif
