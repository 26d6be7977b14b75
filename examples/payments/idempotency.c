/* idempotency.c - in: keys and bodies; out: stored answers, or that there is none yet. */
#include "idempotency.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"

static void
fingerprint(struct slice body, char ret_text[static 2 * SHA256_BYTES + 1])
{
	unsigned char digest[SHA256_BYTES];
	struct sha256 s;

	sha256_init(&s);
	sha256_add(&s, body.data, body.len);
	sha256_end(&s, digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(ret_text + 2 * i, 3, "%02x", digest[i]);
}

static int
stored_answer(const char *response, struct server_answer *ret_answer, struct error *err)
{
	json_t *stored = json_loads(response, 0, NULL), *body;
	int status;

	if (json_unpack(stored, "{s:i, s:O}", "status", &status, "body", &body) != 0) {
		json_decref(stored);
		return error_set(err, ERR_FATAL, "the stored response cannot be read");
	}
	json_decref(stored);
	*ret_answer = (struct server_answer){.status = (unsigned)status, .json = body};
	return 0;
}

int
idempotency_begin(struct idempotency *i, struct database *db, struct slice body, struct error *err)
{
	char print[2 * SHA256_BYTES + 1];

	fingerprint(body, print);
	PGresult *res __attribute__((cleanup(database_clear))) = DATABASE_QUERY(
		db, err, "SELECT answer, attempt, response FROM pgoutbox.idempotency_begin($1, $2, $3, $4)", i->scope, i->key, print, i->takeover);
	if (res == NULL)
		return -1;
	const char *answer = PQgetvalue(res, 0, 0);
	i->owned = strcmp(answer, "new") == 0;
	snprintf(i->attempt, sizeof(i->attempt), "%s", PQgetvalue(res, 0, 1));
	if (i->owned)
		return 0;
	if (strcmp(answer, "completed") == 0)
		return stored_answer(PQgetvalue(res, 0, 2), &i->answer, err);
	if (strcmp(answer, "conflict") == 0) {
		server_problem(&i->answer, 422, "the idempotency key was used for another request");
	} else {
		/* it is over in a moment, or after the takeover: not worth to wait for that */
		server_problem(&i->answer, 409, "a request with this idempotency key is being answered");
		i->answer.retry_after_s = 1;
	}
	return 0;
}

int
idempotency_complete(const struct idempotency *i, struct database *db, const struct server_answer *a, struct error *err)
{
	json_t *stored = json_pack("{s:i, s:O}", "status", (int)a->status, "body", a->json);
	char *text = json_dumps(stored, JSON_COMPACT);

	json_decref(stored);
	if (text == NULL)
		return error_set(err, ERR_RETRY, "there is no memory for the response");
	int rc = DATABASE_DO(db, err, "SELECT pgoutbox.idempotency_complete($1, $2, $3, $4)", i->scope, i->key, i->attempt, text);
	free(text);
	return rc;
}

void
idempotency_release(const struct idempotency *i, struct database *db)
{
	struct error ignored; /* the takeover comes then */

	(void)!DATABASE_DO(db, &ignored, "SELECT pgoutbox.idempotency_release($1, $2, $3)", i->scope, i->key, i->attempt);
}
