/* verb.h - what the tool can do: the table of verbs, and what they share. */
#ifndef PGOUTBOX_CTL_VERB_H
#define PGOUTBOX_CTL_VERB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "config/config.h"
#include "ctl/arguments.h"

struct verb {
	const char *name;    /* one word, or two */
	const char *options; /* the letters of those it takes, see argument_rows */
	const char *operands; /* for the usage line; NULL = takes none */
	int (*run)(const struct arguments *args, const struct config *cfg); /* returns an exit status */
	const char *sentence;
	const char *help;
};

extern const struct verb verbs[];
extern const size_t verbs_count;

/* The verb that the operands begin with, whose words leave them; NULL when there is none. */
const struct verb *verb_find(struct arguments *args);

/* Tells people what is wrong and what to do, on standard error. Returns the exit status. */
int verb_fail(const struct error *err);

/* The same for wrong arguments; hint NULL = none. */
int verb_misused(const char *hint, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A whole number from 1 to max, or -1. */
int64_t verb_number(const char *text, int64_t max);

/* "500ms", "30s", "5m", "2h" as milliseconds, up to a thousand hours, or -1. */
int64_t verb_duration_ms(const char *text);

/* What was said must have reached its reader: else the status says so, unless there is worse to say. */
int verb_finish(int status);

/* The verbs. */
int verb_init(const struct arguments *args, const struct config *cfg);
int verb_adopt(const struct arguments *args, const struct config *cfg);
int verb_migrate(const struct arguments *args, const struct config *cfg);
int verb_check_full(const struct arguments *args, const struct config *cfg);
int verb_check(const struct arguments *args, const struct config *cfg);
int verb_status(const struct arguments *args, const struct config *cfg);
int verb_top(const struct arguments *args, const struct config *cfg);
int verb_drain(const struct arguments *args, const struct config *cfg);
int verb_pause(const struct arguments *args, const struct config *cfg);
int verb_resume(const struct arguments *args, const struct config *cfg);
int verb_lanes(const struct arguments *args, const struct config *cfg);
int verb_parked_list(const struct arguments *args, const struct config *cfg);
int verb_parked_show(const struct arguments *args, const struct config *cfg);
int verb_parked_retry(const struct arguments *args, const struct config *cfg);
int verb_parked_skip(const struct arguments *args, const struct config *cfg);
int verb_replay(const struct arguments *args, const struct config *cfg);
int verb_verify(const struct arguments *args, const struct config *cfg);
int verb_prune(const struct arguments *args, const struct config *cfg);

#endif
