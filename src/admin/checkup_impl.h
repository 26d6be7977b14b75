/* checkup_impl.h - what the two sides of a checkup share. */
#ifndef PGOUTBOX_ADMIN_CHECKUP_IMPL_H
#define PGOUTBOX_ADMIN_CHECKUP_IMPL_H

#include <libpq-fe.h>
#include <stdint.h>

#include "admin/checkup.h"
#include "admin/target.h"
#include "route/topic.h"

/* hint NULL = none. */
void checkup_add(struct checkup *c, enum finding_level level, const char *about, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* ERR_RETRY: the side did not answer. */
void checkup_add_error(struct checkup *c, const char *about, const struct error *err);

/* A topic that events go to. */
struct checkup_topic {
	char name[TOPIC_MAX + 1];
	int64_t largest; /* bytes of the largest unsent payload that was looked at; -1 = none was */
};

struct checkup_topics {
	struct checkup_topic items[CHECKUP_TOPICS_MAX];
	size_t count;
	bool more;
};

void checkup_postgresql(const struct config *cfg, const char *database, const char *role, struct checkup_topics *topics,
                        struct checkup *c);
void checkup_queries(const struct config *cfg, PGconn *conn, const char *role, struct checkup *c);
void checkup_kafka(const struct config *cfg, const struct checkup_topics *topics, struct checkup *c);

#endif
