/* payment_event.c - a payload in, its fields out. */
#include "payment_event.h"

#include <jansson.h>
#include <stdio.h>

static int
field(const json_t *root, const char *name, char *ret_text, size_t size, struct error *err)
{
	const char *text = json_string_value(json_object_get(root, name));

	if (text == NULL || (size_t)snprintf(ret_text, size, "%s", text) >= size)
		return error_set(err, ERR_POISON, "the payload's \"%s\" is missing or too long", name);
	return 0;
}

int
payment_event_read(struct slice payload, struct payment_event *ret_event, struct error *err)
{
	json_t *root = json_loadb(payload.data == NULL ? "" : payload.data, payload.len, 0, NULL);
	const json_t *amount = json_object_get(root, "amount"), *version = json_object_get(root, "version");
	struct payment_event ev = {.amount = json_integer_value(amount), .version = json_integer_value(version)};
	int rc = -1;

	if (root == NULL || !json_is_integer(amount) || !json_is_integer(version))
		error_set(err, ERR_POISON, "the payload is no payment");
	else if (field(root, "payment", ev.payment, sizeof(ev.payment), err) == 0 &&
	         field(root, "customer", ev.customer, sizeof(ev.customer), err) == 0 &&
	         field(root, "currency", ev.currency, sizeof(ev.currency), err) == 0 &&
	         field(root, "state", ev.state, sizeof(ev.state), err) == 0) {
		*ret_event = ev;
		rc = 0;
	}
	json_decref(root);
	return rc;
}
