/* queries.h - the operator's own queries: the configuration's section in, metrics out.
 *
 * One for a daemon, however many outboxes it has, with a session of its own. It costs no event anything: no lane waits for it, and
 * what fails is told once, counted and tried again. What a query gave is shown until it fails or its session is lost.
 */
#ifndef PGOUTBOX_RELAY_QUERIES_H
#define PGOUTBOX_RELAY_QUERIES_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"
#include "config/config.h"
#include "metrics/metrics.h"
#include "serve/loop.h"
#include "source/asker.h"

/* What the configuration asks for, the kit's query first where it is wanted. Borrowed from cfg; returns how many. */
size_t queries_list(const struct config *cfg, struct asker_query ret_list[CONFIG_QUERIES_MAX + 1]);

struct queries_options {
	const struct config *cfg;
	struct loop *loop;
	const struct log *log;
	struct metrics *metrics; /* with the names of queries_list() */
};

struct queries;

/* *ret_queries becomes NULL where no query is configured; all below take that. ERR_FATAL: memory is out. All of opt must outlive
 * the queries. The first run begins with the loop. */
int queries_new(const struct queries_options *opt, struct queries **ret_queries, struct error *err)
	__attribute__((warn_unused_result));
void queries_free(struct queries *q);

/* Any thread, one at a time. */
void queries_render(struct queries *q, struct buf *out);

#endif
