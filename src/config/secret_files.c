/* secret_files.c - paths in a struct config in; what the files hold, into its secrets, or a complaint, out. Nothing
 * else reads those files, and no complaint shows what is in them. */
#include "config/secret_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/password.h"
#include "config/secret.h"

struct reading {
	struct config *cfg;
	struct config_problems *problems;
	bool beside; /* for a tool beside the daemon */
};

static void
warn_exposed_file(const struct reading *r, const char *option, const char *path)
{
	config_complain(r->cfg, option, r->problems, CONFIG_WARNING,
	                "everybody on this machine can read \"%s\"; chmod it to 0600 or 0640", path);
}

/* NULL when there is none, and what is wrong was said. */
static char *
read_secret(const struct reading *r, const char *option, const char *path,
            int (*read)(const char *path, char **ret_text, bool *ret_exposed, struct error *err))
{
	bool exposed;
	struct error err;
	char *text;

	if (path == NULL || path[0] != '/')
		return NULL;
	if (read(path, &text, &exposed, &err) < 0) {
		config_complain_error(r->cfg, option, r->problems, r->beside ? CONFIG_WARNING : CONFIG_ERROR, &err);
		return NULL;
	}
	if (exposed)
		warn_exposed_file(r, option, path);
	return text;
}

static void
load_password(const struct reading *r, const char *option, const char *path, char **password)
{
	char *text = read_secret(r, option, path, password_read);

	if (text == NULL)
		return;
	secret_wipe(*password);
	*password = text;
}

static bool
ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static int
load_property_file(const struct reading *r, const struct config_property *file, struct config_properties *secrets)
{
	struct config_property p = {.name = NULL};
	char option[192];

	(void)snprintf(option, sizeof(option), "kafka.property_files.%s", file->name);
	p.value = read_secret(r, option, file->value,
	                      ends_with(file->name, ".pem") ? password_read_lines : password_read);
	if (p.value == NULL)
		return 0;
	p.name = strdup(file->name);
	if (p.name == NULL) {
		secret_wipe(p.value);
		return -1;
	}
	secrets->items[secrets->count++] = p;
	return 0;
}

static void
load_property_files(const struct reading *r)
{
	const struct config_properties *files = &r->cfg->kafka.property_files;
	struct config_properties *secrets = &r->cfg->kafka.secrets;
	bool failed = false;

	if (files->count == 0)
		return;
	secrets->items = calloc(files->count, sizeof(*secrets->items));
	for (size_t i = 0; i < files->count && secrets->items != NULL; i++)
		failed |= load_property_file(r, &files->items[i], secrets) < 0;
	if (failed || secrets->items == NULL)
		config_problems_add(r->problems, CONFIG_ERROR, r->cfg->file, 0, 0, "out of memory");
}

/* A client's key, for librdkafka, which does not look. libpq does. */
static void
look_at_keys(const struct reading *r)
{
	static const char *const names[] = {"ssl.key.location", "ssl.keystore.location"};
	const struct config_properties *properties = &r->cfg->kafka.properties;

	for (size_t i = 0; i < properties->count; i++)
		for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
			const struct config_property *p = &properties->items[i];
			char option[192];
			struct stat st;

			if (strcmp(p->name, names[n]) != 0 || stat(p->value, &st) < 0 || (st.st_mode & S_IROTH) == 0)
				continue;
			(void)snprintf(option, sizeof(option), "kafka.properties.%s", p->name);
			warn_exposed_file(r, option, p->value);
		}
}

void
secret_files_load(struct config *cfg, bool beside, struct config_problems *problems)
{
	struct reading r = {cfg, problems, beside};
	struct database_config *db = &cfg->database;

	load_password(&r, "database.password_file", db->password_file, &db->password);
	load_password(&r, "database.sslpassword_file", db->sslpassword_file, &db->sslpassword);
	if (beside)
		return;
	load_password(&r, "webhook.url_file", cfg->webhook.url_file, &cfg->webhook.url);
	load_password(&r, "webhook.secret_file", cfg->webhook.secret_file, &cfg->webhook.secret);
	load_property_files(&r);
	look_at_keys(&r);
}
