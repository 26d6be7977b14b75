/* redact.c - librdkafka's words in, the same without secrets out. It must not know what the words mean. */
#include "sink/redact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/secret.h"

/* Shorter ones are found everywhere, and are no secrets for long. */
#define WHOLE_MIN 4
/* What is quoted of a value that could not be read begins somewhere and goes to its end, or to the end of the line. */
#define PART_MIN 8
/* A key in PEM is handed to OpenSSL, which quotes nothing. */
#define LOOKED_AT_MAX 2048

int
redact_init(struct redact *r, const struct producer_property *properties, size_t count, struct error *err)
{
	*r = (struct redact){.secrets = calloc(count + 1, sizeof *r->secrets)};
	if (r->secrets == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(properties[i].value);

		if (!secret_name(slice_from(properties[i].name)) || len < WHOLE_MIN || len > LOOKED_AT_MAX)
			continue;
		r->secrets[r->count] = strdup(properties[i].value);
		if (r->secrets[r->count] == NULL) {
			redact_done(r);
			return error_set(err, ERR_RETRY, "out of memory");
		}
		r->count++;
	}
	return 0;
}

void
redact_done(struct redact *r)
{
	for (size_t i = 0; i < r->count; i++)
		secret_wipe(r->secrets[i]);
	free(r->secrets);
	*r = (struct redact){.secrets = NULL};
}

/* How many bytes of the text are the secret or an end of it; 0 when it begins with neither. */
static size_t
told(const char *text, const char *secret)
{
	for (size_t at = 0; secret[at] != '\0'; at++) {
		size_t n = 0;

		while (text[n] != '\0' && text[n] == secret[at + n])
			n++;
		if (at == 0 && secret[n] == '\0')
			return n;
		if (n >= PART_MIN && (secret[at + n] == '\0' || text[n] == '\0'))
			return n;
	}
	return 0;
}

static size_t
longest(const struct redact *r, const char *text)
{
	size_t most = 0;

	for (size_t i = 0; i < r->count; i++) {
		size_t n = told(text, r->secrets[i]);

		if (n > most)
			most = n;
	}
	return most;
}

void
redact_copy(const struct redact *r, const char *text, char *out, size_t size)
{
	size_t len = 0;

	while (*text != '\0' && len + 1 < size) {
		size_t n = longest(r, text);

		if (n == 0) {
			out[len++] = *text++;
			continue;
		}
		len += (size_t)snprintf(out + len, size - len, "%s", SECRET_SHOWN);
		text += n;
	}
	out[len < size ? len : size - 1] = '\0';
}
