/* checkup.c - in: a configuration; out: findings, in order. What is judged is in checkup_postgresql.c and checkup_kafka.c. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "admin/checkup_impl.h"

void
checkup_add(struct checkup *c, enum finding_level level, const char *about, const char *hint, const char *fmt, ...)
{
	struct finding *f;
	va_list ap;

	if (c->count == CHECKUP_FINDINGS_MAX)
		return;
	f = &c->findings[c->count++];
	*f = (struct finding){.level = level, .about = about};
	va_start(ap, fmt);
	vsnprintf(f->message, sizeof(f->message), fmt, ap);
	va_end(ap);
	snprintf(f->hint, sizeof(f->hint), "%s", hint != NULL ? hint : "");
}

void
checkup_add_error(struct checkup *c, const char *about, const struct error *err)
{
	c->unreachable = c->unreachable || err->kind == ERR_RETRY;
	checkup_add(c, err->kind == ERR_RETRY ? FINDING_WARNING : FINDING_ERROR, about, err->hint, "%s", err->message);
}

void
checkup_run(const struct config *cfg, const char *database, const char *role, struct checkup *ret_checkup)
{
	struct checkup_topics topics = {.count = 0};

	ret_checkup->count = 0;
	ret_checkup->unreachable = false;
	if (strchr(cfg->kafka.topic, '$') == NULL) {
		snprintf(topics.items[0].name, sizeof(topics.items[0].name), "%s", cfg->kafka.topic);
		topics.items[0].largest = -1;
		topics.count = 1;
	}
	checkup_postgresql(cfg, database, role, &topics, ret_checkup);
	checkup_kafka(cfg, &topics, ret_checkup);
}

const char *
checkup_level_name(enum finding_level level)
{
	switch (level) {
	case FINDING_OK:
		return "ok";
	case FINDING_WARNING:
		return "warning";
	case FINDING_ERROR:
		return "error";
	}
	return "";
}

void
checkup_print(const struct checkup *c, struct buf *out)
{
	for (size_t i = 0; i < c->count; i++) {
		const struct finding *f = &c->findings[i];

		buf_printf(out, "%-8s %s: %s\n", checkup_level_name(f->level), f->about, f->message);
		if (f->hint[0] != '\0')
			buf_printf(out, "         hint: %s\n", f->hint);
	}
}

int
checkup_exit_status(const struct checkup *c)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->findings[i].level == FINDING_ERROR)
			return error_exit_status(ERR_CONFIG);
	return c->unreachable ? error_exit_status(ERR_RETRY) : 0;
}
