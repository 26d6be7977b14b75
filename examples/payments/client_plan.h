/* client_plan.h - what the client sends: the same payments for the same seed. Pure. */
#ifndef PAYMENTS_CLIENT_PLAN_H
#define PAYMENTS_CLIENT_PLAN_H

#include <stdbool.h>
#include <stdint.h>

struct plan {
	char key[48]; /* Idempotency-Key */
	char customer[24];
	int64_t amount;
	bool twin;    /* somebody else sends it at the same time */
	bool again;   /* sent once more after its answer */
	bool reused;  /* the key is used for another amount after that */
	bool hurried; /* given up on after some milliseconds, at first */
};

enum { PLAN_BODY_MAX = 128 };

void plan_payment(int64_t seed, int64_t number, int64_t customers, struct plan *ret_plan);

/* The body of the request; of the other one with the same key, where that is wanted. */
void plan_body(const struct plan *p, bool other, char ret_body[static PLAN_BODY_MAX]);

#endif
