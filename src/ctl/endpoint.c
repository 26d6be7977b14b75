/* endpoint.c - in: http.listen; out: what /readyz and /metrics say there. Knows HTTP by libcurl, no database. */
#include "ctl/endpoint.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "ctl/samples.h"

#define BODY_MAX ((size_t)4 << 20)

/* Where to reach what listens so; false = nowhere. An address that stands for every one of the host is reached by this host's own. */
static bool
make_address(const char *listen, char *ret_address, size_t size)
{
	static const char *const anywhere[] = {"", "*", "0.0.0.0", "[::]"};
	const char *port = strrchr(listen, ':');
	int len = port == NULL ? 0 : (int)(port - listen);

	if (port == NULL || strspn(port + 1, "0") == strlen(port + 1))
		return false;
	for (size_t i = 0; i < sizeof(anywhere) / sizeof(anywhere[0]); i++)
		if ((int)strlen(anywhere[i]) == len && memcmp(listen, anywhere[i], (size_t)len) == 0) {
			snprintf(ret_address, size, "http://localhost%s", port);
			return true;
		}
	snprintf(ret_address, size, "http://%s", listen);
	return true;
}

static size_t
take_body(char *data, size_t one, size_t len, void *ctx)
{
	struct buf *body = ctx;

	if (body->len + len > BODY_MAX)
		return 0;
	buf_add(body, data, len * one);
	return buf_failed(body) ? 0 : len;
}

/* The HTTP status, 0 with e->problem where nobody answers. */
static long
get(CURL *curl, struct endpoint *e, const char *path, struct buf *body)
{
	char url[400];
	CURLcode rc;
	long status = 0;

	snprintf(url, sizeof(url), "%s%s", e->address, path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)ENDPOINT_TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
	rc = curl_easy_perform(curl);
	if (rc == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	else
		snprintf(e->problem, sizeof(e->problem), "%s", rc == CURLE_COULDNT_CONNECT ? "connection refused" : curl_easy_strerror(rc));
	return status;
}

/* A check's line is "[-]kafka: reason" where it fails, "[+]kafka ok" or "[+]kafka ok, but reason" where it does not. With several
 * outboxes the names of checks begin with the table's, and only ours concern us. */
static void
read_check(struct endpoint *e, const char *line, size_t len, const char *outbox)
{
	static const char but[] = " ok, but ";
	size_t prefix = strlen(outbox), name;
	const char *reason;
	struct buf *out = line[1] == '-' ? &e->reasons : &e->notes;

	line += 3;
	len -= 3;
	if (len > prefix && memcmp(line, outbox, prefix) == 0 && line[prefix] == '/') {
		line += prefix + 1;
		len -= prefix + 1;
	}
	for (name = 0; name < len && line[name] != ':' && line[name] != ' '; name++)
		if (line[name] == '/')
			return;
	reason = out == &e->reasons ? line + name : memmem(line, len, but, strlen(but));
	if (reason == NULL)
		return;
	reason += out == &e->reasons ? strlen(": ") : strlen(but);
	if (reason > line + len)
		return;
	buf_printf(out, "%.*s: %.*s\n", (int)name, line, (int)(line + len - reason), reason);
}

static void
read_checks(struct endpoint *e, const char *body, const char *outbox)
{
	while (*body != '\0') {
		size_t len = strcspn(body, "\n");

		if (len > 3 && (memcmp(body, "[-]", 3) == 0 || memcmp(body, "[+]", 3) == 0))
			read_check(e, body, len, outbox);
		body += len + (body[len] == '\n');
	}
}

static bool
knows_outbox(const struct endpoint *e, const char *outbox)
{
	double value;

	return samples_get(buf_str(&e->metrics), "pgoutbox_events_sent_total", outbox, NULL, &value);
}

static void
ask(CURL *curl, struct endpoint *e, const char *outbox)
{
	struct buf ready __attribute__((cleanup(buf_done))) = BUF_INIT;
	long status = get(curl, e, "/readyz?verbose", &ready);

	e->state = ENDPOINT_SILENT;
	if (status == 0)
		return;
	e->state = ENDPOINT_OTHER;
	if ((status != 200 && status != 503) || get(curl, e, "/metrics", &e->metrics) != 200 || !knows_outbox(e, outbox)) {
		if (e->problem[0] == '\0')
			snprintf(e->problem, sizeof(e->problem), "what answers there does not relay this table");
		return;
	}
	read_checks(e, buf_str(&ready), outbox);
	e->state = status == 200 || e->reasons.len == 0 ? ENDPOINT_READY : ENDPOINT_NOT_READY;
}

void
endpoint_ask(const char *listen, const char *outbox, struct endpoint *ret)
{
	CURL *curl;

	*ret = ENDPOINT_INIT;
	if (!make_address(listen, ret->address, sizeof(ret->address)))
		return;
	ret->state = ENDPOINT_SILENT;
	curl = curl_easy_init();
	if (curl == NULL) {
		snprintf(ret->problem, sizeof(ret->problem), "out of memory");
		return;
	}
	ask(curl, ret, outbox);
	curl_easy_cleanup(curl);
}

void
endpoint_done(struct endpoint *e)
{
	buf_done(&e->reasons);
	buf_done(&e->notes);
	buf_done(&e->metrics);
	*e = ENDPOINT_INIT;
}
