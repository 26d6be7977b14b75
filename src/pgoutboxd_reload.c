/* pgoutboxd_reload.c - in: the file as it is now; out: the configuration in force, changed, and what the log says of it. */
#include "config.h"

#include "pgoutboxd_reload.h"

#include "relay/plan.h"

static void
tell_problems(const struct config_problems *problems, const struct log *log)
{
	for (size_t i = 0; i < problems->count; i++)
		log_write(log, problems->items[i].level == CONFIG_ERROR ? LOG_ERR : LOG_WARNING, "config-problem", "%s",
		          problems->items[i].line_text);
}

static void
tell_failed(const struct config *cfg, const struct config_problems *problems, const struct log *log)
{
	struct error err;

	error_set(&err, ERR_CONFIG, "the configuration stays as it was: \"%s\" has %zu errors", cfg->file, problems->errors);
	error_hint(&err, "mend them, see what \"pgoutboxd -c %s --check-config\" says, and reload again", cfg->file);
	log_error(log, LOG_ERR, "reload-failed", &err);
}

int
pgoutboxd_reload(struct config *cfg, bool log_format_given, const struct log *log, struct buf *waiting)
{
	struct buf taken __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	struct config next = {0};
	int rc = config_load(cfg->file, plan_check_config, &next, &problems);

	tell_problems(&problems, log);
	if (rc != 0) {
		tell_failed(cfg, &problems, log);
	} else {
		if (log_format_given)
			next.log.format = cfg->log.format;
		config_reload(cfg, &next, &taken, waiting);
		log_write(log, LOG_NOTICE, "reloaded", "the configuration was read again: %s",
		          taken.len > 0 ? buf_str(&taken) : "nothing has changed that could at once");
	}
	config_problems_done(&problems);
	config_done(&next);
	return rc;
}
