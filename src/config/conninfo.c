/* conninfo.c - a connection string in; whether it can be read, or what may be shown of it, out. Connects to nothing. */
#include "config/conninfo.h"

#include <ctype.h>
#include <string.h>

#include "base/slice.h"
#include "config/secret.h"

struct word {
	struct slice before; /* spaces */
	struct slice name;
	struct slice equals; /* with the spaces around it */
	struct slice value;  /* as written, with its quotes */
};

static bool
is_uri(const char *text)
{
	return strncmp(text, "postgresql://", 13) == 0 || strncmp(text, "postgres://", 11) == 0;
}

static struct slice
take_spaces(const char **p)
{
	const char *begin = *p;

	while (isspace((unsigned char)**p))
		(*p)++;
	return (struct slice){begin, (size_t)(*p - begin)};
}

/* -1 when the closing quote is missing. */
static int
take_value(const char **p, struct slice *ret_value)
{
	const char *begin = *p;
	bool quoted = **p == '\'';

	if (quoted)
		(*p)++;
	while (**p != '\0' && (quoted ? **p != '\'' : !isspace((unsigned char)**p))) {
		if (**p == '\\' && (*p)[1] != '\0')
			(*p)++;
		(*p)++;
	}
	if (quoted && *(*p)++ != '\'')
		return -1;
	*ret_value = (struct slice){begin, (size_t)(*p - begin)};
	return 0;
}

/* 1: a word was read. 0: there is none left. -1: err says what is wrong. *p moves on. */
static int
next_word(const char **p, struct word *ret_word, struct error *err)
{
	struct word w;
	const char *equals;

	w.before = take_spaces(p);
	if (**p == '\0') {
		*ret_word = (struct word){.before = w.before};
		return 0;
	}
	w.name = (struct slice){*p, strcspn(*p, "= \t\n\r\f\v")};
	*p += w.name.len;
	equals = *p;
	(void)take_spaces(p);
	if (**p != '=' || w.name.len == 0) {
		error_set(err, ERR_CONFIG, "the connection string has a word without \"=\"");
		return error_hint(err, "a value with spaces goes in single quotes, as in dbname='my app'");
	}
	(*p)++;
	(void)take_spaces(p);
	w.equals = (struct slice){equals, (size_t)(*p - equals)};
	if (take_value(p, &w.value) < 0) {
		error_set(err, ERR_CONFIG, "the connection string has a single quote that is never closed");
		return error_hint(err, "a quote within a value is written \\'");
	}
	*ret_word = w;
	return 1;
}

/* libpq ends a password at the first "@", and looks for none behind a "/". The rest of one that was pasted as it is
 * would become part of the host or the port, and stand in messages. */
static int
check_uri(const char *text, struct error *err)
{
	const char *authority = strstr(text, "://") + 3;
	const char *colon = strchr(authority, ':');
	const char *at = strrchr(authority, '@');

	if (colon == NULL || at == NULL || colon > at || authority + strcspn(authority, "@/") == at)
		return 0;
	error_set(err, ERR_CONFIG, "the connection string has an \"@\" or a \"/\" where a URI cannot have one");
	return error_hint(err, "in a password \"@\" is written %%40, \"/\" %%2F and \"%%\" %%25; better put it into "
	                       "password_file");
}

int
conninfo_check(const char *text, struct error *err)
{
	struct word w;
	int rc;

	if (is_uri(text))
		return check_uri(text, err);
	if (strstr(text, "://") != NULL && strchr(text, '=') == NULL) {
		error_set(err, ERR_CONFIG, "the connection string is a URI of another kind");
		return error_hint(err, "a PostgreSQL URI begins with postgresql://");
	}
	while ((rc = next_word(&text, &w, err)) > 0)
		;
	return rc;
}

static void
redact_words(struct buf *out, const char *text)
{
	struct error err;
	struct word w;

	while (next_word(&text, &w, &err) > 0) {
		buf_add_slice(out, w.before);
		buf_add_slice(out, w.name);
		buf_add_slice(out, w.equals);
		if (secret_name(w.name))
			buf_add_str(out, SECRET_SHOWN);
		else
			buf_add_slice(out, w.value);
	}
	buf_add_slice(out, w.before);
}

void
conninfo_redact(struct buf *out, const char *text)
{
	struct error err;

	if (conninfo_check(text, &err) < 0)
		buf_add_str(out, SECRET_SHOWN);
	else if (is_uri(text))
		secret_uri(out, text);
	else
		redact_words(out, text);
}

bool
conninfo_has_password(const char *text)
{
	struct buf shown __attribute__((cleanup(buf_done))) = BUF_INIT;

	conninfo_redact(&shown, text);
	return strcmp(buf_str(&shown), text) != 0;
}
