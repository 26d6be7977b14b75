/* secret.c - names and values in, what may be seen of them out. In doubt it hides. */
#include "config/secret.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool
contains(struct slice s, const char *word)
{
	size_t len = strlen(word);

	for (size_t at = 0; at + len <= s.len; at++)
		if (strncasecmp(s.data + at, word, len) == 0)
			return true;
	return false;
}

static bool
ends_with(struct slice s, const char *word)
{
	size_t len = strlen(word);

	return s.len >= len && strncasecmp(s.data + s.len - len, word, len) == 0;
}

bool
secret_name(struct slice name)
{
	static const char *const words[] = {"password", "passwd", "passphrase", "secret", "jaas", "credential",
	                                    ".key", "_key", "oauthbearer.config", "kinit.cmd"};

	if (ends_with(name, ".location") || ends_with(name, "_file") || ends_with(name, ".file") ||
	    ends_with(name, ".url"))
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (contains(name, words[i]))
			return true;
	return ends_with(name, "token");
}

void
secret_property(struct buf *out, const char *name, const char *value)
{
	if (secret_name(slice_from(name)))
		buf_add_str(out, SECRET_SHOWN);
	else if (strstr(value, "://") != NULL)
		secret_uri(out, value);
	else
		buf_add_str(out, value);
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A parameter's name may be written with percent signs. */
static bool
parameter_is_secret(const char *name, size_t len)
{
	char plain[64];
	size_t n = 0;

	for (size_t i = 0; i < len && n < sizeof(plain); i++) {
		bool escaped = name[i] == '%' && len - i > 2 && hex(name[i + 1]) >= 0 && hex(name[i + 2]) >= 0;

		plain[n++] = (char)(escaped ? hex(name[i + 1]) << 4 | hex(name[i + 2]) : name[i]);
		i += escaped ? 2 : 0;
	}
	return secret_name((struct slice){plain, n});
}

static void
add_parameters(struct buf *out, const char *p)
{
	while (*p != '\0') {
		size_t len = strcspn(p, "&");
		size_t name_len = strcspn(p, "=&");

		if (name_len < len && parameter_is_secret(p, name_len)) {
			buf_add(out, p, name_len + 1);
			buf_add_str(out, SECRET_SHOWN);
		} else {
			buf_add(out, p, len);
		}
		p += len;
		if (*p == '&')
			buf_add_char(out, *p++);
	}
}

void
secret_uri(struct buf *out, const char *uri)
{
	const char *scheme_end = strstr(uri, "://");
	const char *authority = scheme_end == NULL ? uri : scheme_end + 3;
	const char *colon = strchr(authority, ':');
	const char *at = strrchr(authority, '@');
	const char *rest = uri;
	size_t head;

	/* An unescaped '@', '/' or '?' may be part of a password that was pasted: all up to the last '@' is hidden. */
	if (colon != NULL && at != NULL && colon < at) {
		buf_add(out, uri, (size_t)(colon + 1 - uri));
		buf_add_str(out, SECRET_SHOWN);
		rest = at;
	}
	head = strcspn(rest, "?");
	if (rest[head] == '?')
		head++;
	buf_add(out, rest, head);
	add_parameters(out, rest + head);
}

void
secret_wipe(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}
