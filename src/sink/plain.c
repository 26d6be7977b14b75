/* plain.c - a message of librdkafka's in, what a person should be told out. Knows texts only. */
#include "sink/plain.h"

#include <stddef.h>
#include <string.h>

/* Of a certificate that it refuses librdkafka does not tell whether it is too old, made out to another name or of
 * another CA; of its own that is refused, there is only the number of an alert (RFC 8446, 6.2). */
const char *
plain_reason(const char *text)
{
	static const struct {
		const char *part, *plain;
	} known[] = {
		{"certificate verify failed",
		 "the broker's certificate is refused: it must be valid today, signed by the CA of ssl.ca.location, and "
		 "made out to the name by which kafka.brokers or the broker's advertised.listeners call it"},
		{"SSL alert number 42",
		 "the broker refuses the client's certificate, or misses one: see ssl.certificate.location"},
		{"SSL alert number 45", "the client's certificate has expired: renew what ssl.certificate.location names"},
		{"SSL alert number 46",
		 "the broker does not trust the client's certificate, which ssl.certificate.location names"},
		{"SSL alert number 48", "the broker does not know the CA of ssl.certificate.location"},
		{"SSL alert number 116", "the broker asks for a client's certificate: set ssl.certificate.location"},
	};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (strstr(text, known[i].part) != NULL)
			return known[i].plain;
	return text;
}
