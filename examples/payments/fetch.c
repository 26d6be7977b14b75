/* fetch.c - in: a path and a body; out: a status and a body. All of libcurl that the example uses. */
#include "fetch.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct fetch {
	CURL *curl;
	const char *base;
	char why[CURL_ERROR_SIZE];
};

void
fetch_answer_done(struct fetch_answer *a)
{
	buf_done(&a->body);
}

static size_t
take_body(char *data, size_t size, size_t count, void *ctx)
{
	struct buf *body = ctx;

	if (body->len + size * count > FETCH_ANSWER_MAX)
		return 0;
	buf_add(body, data, size * count);
	return body->failed ? 0 : size * count;
}

int
fetch_new(const char *base, struct fetch **ret_fetch, struct error *err)
{
	struct fetch *f = calloc(1, sizeof(*f));
	if (f == NULL || (f->curl = curl_easy_init()) == NULL) {
		free(f);
		return error_set(err, ERR_FATAL, "there is no memory for an HTTP client");
	}
	f->base = base;
	*ret_fetch = f;
	return 0;
}

void
fetch_free(struct fetch **f)
{
	if (*f != NULL)
		curl_easy_cleanup((*f)->curl);
	free(*f);
	*f = NULL;
}

/* The connection outlives the options. No proxy of the environment comes between. */
static bool
set_up(struct fetch *f, const char *url, int64_t timeout_ms, struct buf *body)
{
	curl_easy_reset(f->curl);
	f->why[0] = '\0';
	return curl_easy_setopt(f->curl, CURLOPT_URL, url) == CURLE_OK &&
	       curl_easy_setopt(f->curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	       curl_easy_setopt(f->curl, CURLOPT_NOPROXY, "*") == CURLE_OK &&
	       curl_easy_setopt(f->curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(f->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms) == CURLE_OK &&
	       curl_easy_setopt(f->curl, CURLOPT_ERRORBUFFER, f->why) == CURLE_OK &&
	       curl_easy_setopt(f->curl, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
	       curl_easy_setopt(f->curl, CURLOPT_WRITEDATA, body) == CURLE_OK;
}

static int
perform(struct fetch *f, struct fetch_answer *ret_answer, struct error *err)
{
	curl_off_t retry_after_s = 0;
	CURLcode code = curl_easy_perform(f->curl);

	if (code != CURLE_OK)
		return error_set(err, ERR_RETRY, "no answer: %s", f->why[0] != '\0' ? f->why : curl_easy_strerror(code));
	if (curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &ret_answer->status) != CURLE_OK ||
	    curl_easy_getinfo(f->curl, CURLINFO_RETRY_AFTER, &retry_after_s) != CURLE_OK)
		return error_set(err, ERR_FATAL, "libcurl does not tell the status");
	ret_answer->retry_after_s = retry_after_s > UINT32_MAX ? UINT32_MAX : (uint32_t)retry_after_s;
	return 0;
}

static int
begin(struct fetch *f, const char *path, int64_t timeout_ms, struct fetch_answer *a, struct error *err)
{
	struct buf url __attribute__((cleanup(buf_done))) = BUF_INIT;

	buf_reset(&a->body);
	a->status = 0;
	a->retry_after_s = 0;
	buf_printf(&url, "%s%s", f->base, path);
	if (url.failed || !set_up(f, buf_str(&url), timeout_ms, &a->body))
		return error_set(err, ERR_FATAL, "could not prepare a request to \"%s\"", f->base);
	return 0;
}

int
fetch_get(struct fetch *f, const char *path, int64_t timeout_ms, struct fetch_answer *ret_answer, struct error *err)
{
	return begin(f, path, timeout_ms, ret_answer, err) != 0 ? -1 : perform(f, ret_answer, err);
}

static void
free_headers(struct curl_slist **headers)
{
	curl_slist_free_all(*headers);
}

static int
add_header(struct curl_slist **headers, const char *header, struct error *err)
{
	struct curl_slist *longer = curl_slist_append(*headers, header);

	if (longer == NULL)
		return error_set(err, ERR_FATAL, "there is no memory for a header");
	*headers = longer;
	return 0;
}

int
fetch_post(struct fetch *f, const char *path, const char *key, const char *body, int64_t timeout_ms, struct fetch_answer *ret_answer,
           struct error *err)
{
	struct curl_slist *headers __attribute__((cleanup(free_headers))) = NULL;
	struct buf key_header __attribute__((cleanup(buf_done))) = BUF_INIT;

	buf_printf(&key_header, "Idempotency-Key: %s", key);
	if (begin(f, path, timeout_ms, ret_answer, err) != 0 || add_header(&headers, "Content-Type: application/json", err) != 0 ||
	    add_header(&headers, buf_str(&key_header), err) != 0)
		return -1;
	if (key_header.failed || curl_easy_setopt(f->curl, CURLOPT_HTTPHEADER, headers) != CURLE_OK ||
	    curl_easy_setopt(f->curl, CURLOPT_POSTFIELDS, body) != CURLE_OK)
		return error_set(err, ERR_FATAL, "could not prepare a request to \"%s\"", f->base);
	int rc = perform(f, ret_answer, err);
	/* the handle must not point to what ends here */
	curl_easy_reset(f->curl);
	return rc;
}
