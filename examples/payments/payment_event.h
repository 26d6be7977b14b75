/* payment_event.h - what the payload of each event says: the payment as it is after the event. */
#ifndef PAYMENTS_PAYMENT_EVENT_H
#define PAYMENTS_PAYMENT_EVENT_H

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

/* {"payment": "4f1c...", "customer": "c17", "amount": 1250, "currency": "EUR", "state": "reserved", "version": 1} */
struct payment_event {
	char payment[40];
	char customer[64];
	char currency[8];
	char state[16];
	int64_t amount;  /* in the currency's smallest unit */
	int64_t version; /* of the state machine: later states have higher ones */
};

/* ERR_POISON: the payload is none of ours. */
int payment_event_read(struct slice payload, struct payment_event *ret_event, struct error *err)
	__attribute__((warn_unused_result));

#endif
