/* verdict.h - in one sentence: whether the events of an outbox are relayed, and if not, why and what to do. Pure. */
#ifndef PGOUTBOX_CTL_VERDICT_H
#define PGOUTBOX_CTL_VERDICT_H

#include <stdbool.h>

#include "admin/survey.h"
#include "ctl/endpoint.h"

enum verdict_kind {
	VERDICT_READY,     /* the relay of this configuration says so, and each lane has an owner */
	VERDICT_ELSEWHERE, /* each lane has an owner, but no relay answers where this configuration says */
	VERDICT_PAUSED,    /* an operator has paused all of it */
	VERDICT_NOT_READY, /* the relay runs and tells why not */
	VERDICT_UNOWNED,   /* relays are there, but some lanes have no owner */
	VERDICT_NO_RELAY,  /* nobody is there */
};

struct verdict {
	enum verdict_kind kind;
	bool trouble; /* nothing goes on now, as far as can be told: also where a ready relay reports a young outage */
	char message[768];
	char hint[384]; /* "" = none */
};

struct verdict verdict_of(const struct survey *s, const struct endpoint *e);

const char *verdict_name(enum verdict_kind kind); /* for programs: "ready", "elsewhere", "paused", "not-ready", "unowned", "not-running" */

/* EX_OK for READY and ELSEWHERE, EX_UNAVAILABLE for NO_RELAY, EX_TEMPFAIL for the others. */
int verdict_exit_status(enum verdict_kind kind);

/* The escape sequence that a terminal shows it by: green, yellow, red. */
const char *verdict_colour(const struct verdict *v);

/* "10.0.0.5", "the database's host", or "a host that this role may not see". */
const char *verdict_host(const struct survey_session *session);

#endif
