/* refusal.c - what libpq says in, a hint or an error that can be shown out. Opens no connection. */
#include "source/refusal.h"

#include <libpq-fe.h>
#include <stddef.h>
#include <string.h>

static int
refuse(const char *reason, bool has_secret, struct error *err)
{
	if (!has_secret && reason != NULL)
		return error_set(err, ERR_CONFIG, "libpq cannot read the connection string: %.*s",
		                 (int)strcspn(reason, "\n"), reason);
	error_set(err, ERR_CONFIG, "libpq cannot read the connection string");
	return error_hint(err, "its reason is not shown, for it may quote the password; put that into password_file "
	                       "and look again");
}

int
refusal_check_conninfo(const char *conninfo, bool has_secret, struct error *err)
{
	char *reason = NULL;
	PQconninfoOption *options = PQconninfoParse(conninfo, &reason);
	int rc = 0;

	if (options == NULL)
		rc = refuse(reason, has_secret, err);
	PQconninfoFree(options);
	PQfreemem(reason);
	return rc;
}

const char *
refusal_hint(const char *message)
{
	static const struct {
		const char *part, *hint;
	} known[] = {
		{"certificate verify failed",
		 "the server's certificate must be valid today and signed by the CA that sslrootcert names"},
		{"does not match host name",
		 "connect by a name that is in the server's certificate; hostaddr may say where that is"},
		{"server does not support SSL", "set ssl = on in postgresql.conf, or correct sslmode"},
		{"password authentication failed",
		 "correct the password; the daemon reads database.password_file when it starts"},
		{"requires a valid client certificate", "name the client's certificate and key by sslcert and sslkey"},
		{"certificate authentication failed",
		 "the common name of the client's certificate must be the role, or be mapped to it in pg_ident.conf"},
		{"could not load private key file",
		 "the key must belong to sslcert; for an encrypted one set database.sslpassword_file"},
		{"alert unknown ca", "the server's ssl_ca_file must have the CA that signed the client's certificate"},
		{"alert certificate expired", "renew the client's certificate, which sslcert names"},
		{"no pg_hba.conf entry",
		 "let pg_hba.conf accept this role from there; hostssl lines want sslmode=require or stricter"},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strstr(message, known[i].part) != NULL)
			return known[i].hint;
	return NULL;
}
