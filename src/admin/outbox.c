/* outbox.c - in: a configuration; out: a connection to an outbox that is set up. Changes nothing there. */
#include "admin/outbox.h"

#include "admin/inspect.h"

static int
judge(const struct outbox *o, struct error *err)
{
	struct error problem;

	if (layout_problems(&o->layout, &o->target.request, LAYOUT_TABLE | LAYOUT_INSTALL, &problem, 1) > 0) {
		*err = problem;
		return -1;
	}
	/* The number of lanes could not be read, then. */
	if (o->layout.facts.readable)
		return 0;
	error_set(err, ERR_CONFIG, "this connection's role may not read schema \"pgoutbox\"");
	return error_hint(err, "connect by --database as a role that may: RIGHTS in pgoutbox(7) tells what it needs");
}

int
outbox_open(const struct config *cfg, const char *database, struct outbox *ret_outbox, struct error *err)
{
	struct outbox o = OUTBOX_INIT;

	if (target_open(cfg, database, NULL, &o.target, err) != 0)
		return -1;
	if (inspect(o.target.conn, &o.target.request, &o.layout, err) != 0 || judge(&o, err) != 0) {
		outbox_close(&o);
		return -1;
	}
	*ret_outbox = o;
	return 0;
}

void
outbox_close(struct outbox *o)
{
	layout_done(&o->layout);
	target_close(&o->target);
}
