/* loader_outboxes.c - in: the nodes of the list "outboxes", and the defaults of its entries; out: an outbox each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/loader_impl.h"
#include "config/options.h"
#include "config/outboxes.h"

static bool
is_list(struct loader *l, const struct node *n)
{
	struct buf what __attribute__((cleanup(buf_done))) = BUF_INIT;

	if (n->kind == NODE_REFUSED)
		return false;
	if (node_is_null(n) || (n->kind == NODE_LIST && n->first == NULL)) {
		loader_complain(l, n, options_outboxes.name, "names no outbox",
		                "write one entry for each table, beginning with \"- table:\", or remove the line");
		return false;
	}
	if (n->kind == NODE_LIST)
		return true;
	buf_printf(&what, "is %s, but should be a list", loader_kind_name(n));
	loader_complain(l, n, options_outboxes.name, buf_str(&what), "begin each entry with \"- table:\"");
	return false;
}

static void
load_entry(struct loader *l, const struct node *n)
{
	struct config *outbox = outboxes_add(l->cfg);

	if (outbox == NULL)
		loader_out_of_memory(l);
	else if (loader_keep_place(l, outbox->entry, n) == 0)
		loader_options(l, n, options_outboxes.name, NULL, outbox, outbox->entry);
}

void
loader_outboxes(struct loader *l, const struct node *list)
{
	size_t count = 0;

	if (loader_keep_place(l, options_outboxes.name, list->key) < 0 || !is_list(l, list))
		return;
	for (const struct node *n = list->first; n != NULL; n = n->next) {
		if (count++ == CONFIG_OUTBOXES_MAX) {
			loader_complain(l, n, options_outboxes.name, "has more than 64 entries", "let another daemon relay the others");
			return;
		}
		load_entry(l, n);
	}
}
