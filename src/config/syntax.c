/* syntax.c - the text of one option in, a complaint or its parts out. Asks no server and no resolver. */
#include "config/syntax.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "config/quote.h"

#define HOST_SIZE 256
#define IDENTIFIER_MAX 63 /* bytes; NAMEDATALEN - 1 of a stock PostgreSQL */

/* Takes the message apart from the value, so that the value is always quoted alike. */
static int
refuse(struct error *err, const char *text, const char *what)
{
	struct buf value __attribute__((cleanup(buf_done))) = BUF_INIT;

	quote_value(&value, text);
	return error_set(err, ERR_CONFIG, "%s %s", buf_str(&value), what);
}

static bool
is_host_char(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '-' || c == '_';
}

static bool
is_host_name(struct slice host)
{
	char text[HOST_SIZE];
	struct in_addr address;
	bool numeric = true;

	if (host.len == 0 || host.len >= sizeof(text))
		return false;
	for (size_t i = 0; i < host.len; i++) {
		if (!is_host_char(host.data[i]))
			return false;
		if (host.data[i] != '.' && !isdigit((unsigned char)host.data[i]))
			numeric = false;
	}
	memcpy(text, host.data, host.len);
	text[host.len] = '\0';
	/* Digits and dots alone can only be meant as an IPv4 address. */
	return !numeric || inet_pton(AF_INET, text, &address) == 1;
}

/* An IPv6 address, perhaps with "%interface". */
static bool
is_ipv6(struct slice host)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;
	const char *zone = memchr(host.data, '%', host.len);
	size_t len = zone == NULL ? host.len : (size_t)(zone - host.data);

	if (len >= sizeof(text) || len + 1 == host.len)
		return false;
	for (size_t i = len + 1; i < host.len; i++)
		if (!is_host_char(host.data[i]))
			return false;
	memcpy(text, host.data, len);
	text[len] = '\0';
	return inet_pton(AF_INET6, text, &address) == 1;
}

static int
parse_port(const char *text, uint16_t *ret_port)
{
	size_t len = strlen(text);
	unsigned long port;

	if (len == 0 || strspn(text, "0123456789") != len)
		return -1;
	port = strtoul(text, NULL, 10);
	if (port > UINT16_MAX)
		return -1;
	*ret_port = (uint16_t)port;
	return 0;
}

static const char listen_hint[] = "write host:port, [ipv6]:port or off, for example 127.0.0.1:9921";

/* Finds host and what follows it; the host may still be anything. */
static int
split_host(const char *text, struct slice *ret_host, const char **ret_rest, struct error *err)
{
	const char *end = strchr(text, ':');

	if (text[0] == '[') {
		end = strchr(text, ']');
		if (end == NULL) {
			refuse(err, text, "has a bracket that is never closed");
			return error_hint(err, "%s", listen_hint);
		}
		*ret_host = (struct slice){text + 1, (size_t)(end - text - 1)};
		*ret_rest = end + 1;
		return 0;
	}
	if (end != NULL && strchr(end + 1, ':') != NULL) {
		refuse(err, text, "has more than one colon");
		return error_hint(err, "an IPv6 address goes in brackets, as in [::1]:9921");
	}
	*ret_host = (struct slice){text, end == NULL ? strlen(text) : (size_t)(end - text)};
	*ret_rest = end == NULL ? "" : end;
	return 0;
}

static int
check_listen(const char *text, struct error *err)
{
	struct slice host;
	const char *rest;
	uint16_t port;

	if (split_host(text, &host, &rest, err) < 0)
		return -1;
	if (rest[0] != ':') {
		refuse(err, text, "has no port");
		return error_hint(err, "%s", listen_hint);
	}
	if (host.len == 0) {
		refuse(err, text, "has no host");
		return error_hint(err, "write * for every address of this machine, as in *:9921");
	}
	if (text[0] == '[' ? !is_ipv6(host) : !is_host_name(host) && !slice_equal(host, slice_from("*"))) {
		refuse(err, text, "does not begin with a host name or an address");
		return error_hint(err, "%s", listen_hint);
	}
	if (parse_port(rest + 1, &port) < 0) {
		refuse(err, text, "has a port outside 0..65535");
		return error_hint(err, "%s", listen_hint);
	}
	return 0;
}

int
syntax_listen(const char *text, struct error *err)
{
	return strcmp(text, "off") == 0 ? 0 : check_listen(text, err);
}

/* [protocol://]host[:port], as librdkafka takes it. */
static int
check_broker(struct slice broker, struct error *err)
{
	char text[HOST_SIZE + 32];
	const char *address, *rest;
	struct slice host;
	uint16_t port;

	if (broker.len == 0) {
		error_set(err, ERR_CONFIG, "has an empty place between commas");
		return error_hint(err, "separate brokers by one comma, as in a:9092,b:9092");
	}
	if (broker.len >= sizeof(text))
		return error_set(err, ERR_CONFIG, "has an address of %zu characters", broker.len);
	memcpy(text, broker.data, broker.len);
	text[broker.len] = '\0';
	if (strpbrk(text, " \t;") != NULL) {
		refuse(err, text, "is not a broker's address");
		return error_hint(err, "separate brokers by commas, as in a:9092,b:9092");
	}
	address = strstr(text, "://");
	address = address == NULL ? text : address + 3;
	if (split_host(address, &host, &rest, err) < 0)
		return error_hint(err, "write host:port or [ipv6]:port, for example localhost:9092");
	if (address[0] == '[' ? !is_ipv6(host) : !is_host_name(host)) {
		refuse(err, text, "is not a broker's address");
		return error_hint(err, "write host:port, several separated by commas, for example a:9092,b:9092");
	}
	if (rest[0] != '\0' && (rest[0] != ':' || parse_port(rest + 1, &port) < 0 || port == 0)) {
		refuse(err, text, "has a port outside 1..65535");
		return error_hint(err, "Kafka's usual port is 9092");
	}
	return 0;
}

int
syntax_brokers(const char *text, struct error *err)
{
	for (;;) {
		size_t len = strcspn(text, ",");
		struct slice broker = {text, len};

		while (broker.len > 0 && broker.data[0] == ' ')
			broker = (struct slice){broker.data + 1, broker.len - 1};
		while (broker.len > 0 && broker.data[broker.len - 1] == ' ')
			broker.len--;
		if (check_broker(broker, err) < 0)
			return -1;
		if (text[len] == '\0')
			return 0;
		text += len + 1;
	}
}

int
syntax_path(const char *text, struct error *err)
{
	if (text[0] == '\0' || text[0] == '/')
		return 0;
	/* What stands in place of a secret file's path may be the secret itself: it is not quoted. */
	error_set(err, ERR_CONFIG, "is not an absolute path");
	return error_hint(err, "begin it with \"/\": the daemon does not run in the directory of this file");
}

static bool
has_control(const char *text)
{
	for (; *text != '\0'; text++)
		if (iscntrl((unsigned char)*text))
			return true;
	return false;
}

static int
too_long(size_t bytes, struct error *err)
{
	return error_set(err, ERR_CONFIG, "the name has %zu bytes, PostgreSQL keeps only %d", bytes, IDENTIFIER_MAX);
}

int
syntax_column(const char *text, struct error *err)
{
	size_t len = strlen(text);

	if (len > IDENTIFIER_MAX)
		return too_long(len, err);
	if (has_control(text))
		return refuse(err, text, "has a control character");
	if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
		refuse(err, text, "has SQL's quotes around it");
		return error_hint(err, "write the name as the catalog has it, without them");
	}
	return 0;
}

static const char table_hint[] =
	"write table or schema.table; a name with other characters than letters, digits, _ and $ goes in double "
	"quotes as in SQL, for example '\"my-schema\".\"Outbox\"'";

static bool
is_identifier_start(unsigned char c)
{
	return isalpha(c) || c == '_' || c >= 0x80;
}

/* "with ""quotes"" in it": returns the bytes of the name, -1 without a closing quote. *p moves behind it. */
static int
take_quoted(const char **p)
{
	int len = 0;

	for ((*p)++; **p != '"' || (*p)[1] == '"'; (*p)++, len++) {
		if (**p == '\0')
			return -1;
		if (**p == '"')
			(*p)++;
	}
	(*p)++;
	return len;
}

static int
take_plain(const char **p)
{
	int len = 0;

	while (is_identifier_start((unsigned char)**p) || (len > 0 && (isdigit((unsigned char)**p) || **p == '$'))) {
		(*p)++;
		len++;
	}
	return len;
}

/* One part of the name text; *p moves behind it. */
static int
take_identifier(const char *text, const char **p, struct error *err)
{
	int len = **p == '"' ? take_quoted(p) : take_plain(p);

	if (len < 0)
		return refuse(err, text, "has a double quote that is never closed");
	if (len > IDENTIFIER_MAX)
		return too_long((size_t)len, err);
	if (len > 0)
		return 0;
	refuse(err, text, "is not a table's name");
	return error_hint(err, "%s", table_hint);
}

int
syntax_table(const char *text, struct error *err)
{
	const char *p = text;

	if (has_control(text))
		return refuse(err, text, "has a control character");
	if (take_identifier(text, &p, err) < 0)
		return -1;
	if (*p == '.') {
		p++;
		if (take_identifier(text, &p, err) < 0)
			return -1;
	}
	if (*p == '\0')
		return 0;
	if (*p == '.') {
		refuse(err, text, "has more than two parts");
		return error_hint(err, "write table or schema.table; the database is named in database.conninfo");
	}
	refuse(err, text, "is not a table's name");
	return error_hint(err, "%s", table_hint);
}

/* The next byte of the name as the catalog has it; *p moves behind it. -1 for the dot between two identifiers, 0 at the
 * end. */
static int
next_byte(const char **p, bool *quoted)
{
	while (**p == '"' && !(*quoted && (*p)[1] == '"')) {
		*quoted = !*quoted;
		(*p)++;
	}
	if (**p == '\0')
		return 0;
	if (*quoted && **p == '"')
		(*p)++;
	if (!*quoted && **p == '.') {
		(*p)++;
		return -1;
	}
	return *quoted ? (unsigned char)*(*p)++ : tolower((unsigned char)*(*p)++);
}

bool
syntax_same_table(const char *a, const char *b)
{
	bool a_quoted = false, b_quoted = false;
	int byte;

	do {
		byte = next_byte(&a, &a_quoted);
		if (byte != next_byte(&b, &b_quoted))
			return false;
	} while (byte != 0);
	return true;
}
