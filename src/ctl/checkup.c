/* checkup.c - "check --full". In: arguments; out: findings as lines or JSON, an exit status. */
#include <stdio.h>
#include <sysexits.h>

#include "admin/checkup.h"
#include "ctl/report.h"
#include "ctl/verb.h"

static json_t *
findings_json(const struct checkup *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->count; i++) {
		const struct finding *f = &c->findings[i];
		json_t *o = json_object();

		report_put(&o, "level", json_string(checkup_level_name(f->level)));
		report_put(&o, "about", json_string(f->about));
		report_put(&o, "message", report_text(f->message));
		report_put(&o, "hint", f->hint[0] != '\0' ? report_text(f->hint) : json_null());
		if (json_array_append_new(list, o) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

int
verb_check_full(const struct arguments *args, const struct config *cfg)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct checkup c;
	json_t *root;

	checkup_run(cfg, args->database, args->role, &c);
	if (!args->json) {
		checkup_print(&c, &text);
		fputs(buf_str(&text), stdout);
		return verb_finish(checkup_exit_status(&c));
	}
	root = json_object();
	report_put(&root, "outbox", report_text(cfg->outbox.table));
	report_put(&root, "findings", findings_json(&c));
	return report_print(&root, checkup_exit_status(&c));
}
