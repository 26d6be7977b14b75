/* post.c - a body and headers in, a status out. Knows nothing of what is posted, and logs nothing. */
#include "hook/post.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define LOOK_MS 1000 /* nothing wakes the wait when until_us passes */

struct post {
	CURLM *multi;
	CURL *easy;
	size_t answered; /* bytes of the body */
	char why[CURL_ERROR_SIZE];
};

/* Whatever returns less than it was given ends the exchange; the status is known by then. */
static size_t
take_body(char *data, size_t size, size_t count, void *ctx)
{
	struct post *p = ctx;

	(void)data;
	p->answered += size * count;
	return p->answered <= POST_ANSWER_MAX ? size * count : 0;
}

static bool
set_options(struct post *p, const struct post_options *opt)
{
	CURL *e = p->easy;
	bool ok = curl_easy_setopt(e, CURLOPT_URL, opt->url) == CURLE_OK &&
	          curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	          curl_easy_setopt(e, CURLOPT_USERAGENT, opt->agent) == CURLE_OK;

	if (opt->ca_file[0] != '\0')
		ok = ok && curl_easy_setopt(e, CURLOPT_CAINFO, opt->ca_file) == CURLE_OK;
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)opt->timeout_ms);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)opt->timeout_ms);
	curl_easy_setopt(e, CURLOPT_POST, 1L);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, p);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, p->why);
#if LIBCURL_VERSION_NUM >= 0x075700
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* a resolver that hangs is not waited for */
#endif
	return ok;
}

int
post_new(const struct post_options *opt, struct post **ret_post, struct error *err)
{
	struct post *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(p);
		return error_set(err, ERR_FATAL, "could not set libcurl up");
	}
	p->multi = curl_multi_init();
	p->easy = curl_easy_init();
	if (p->multi == NULL || p->easy == NULL || !set_options(p, opt)) {
		post_free(p);
		return error_set(err, ERR_FATAL, "could not set libcurl up for a webhook");
	}
	*ret_post = p;
	return 0;
}

void
post_free(struct post *p)
{
	if (p == NULL)
		return;
	curl_easy_cleanup(p->easy);
	curl_multi_cleanup(p->multi);
	curl_global_cleanup();
	free(p);
}

static struct curl_slist *
list_headers(const char *const headers[])
{
	struct curl_slist *list = NULL, *longer;

	for (; *headers != NULL; headers++) {
		longer = curl_slist_append(list, *headers);
		if (longer == NULL) {
			curl_slist_free_all(list);
			return NULL;
		}
		list = longer;
	}
	return list;
}

/* False: the time was over first. */
static bool
exchange(struct post *p, const _Atomic int64_t *until_us, CURLcode *ret_code)
{
	int running, left;
	CURLMsg *msg;

	for (;;) {
		if (curl_multi_perform(p->multi, &running) != CURLM_OK)
			running = 0;
		msg = curl_multi_info_read(p->multi, &left);
		if (msg != NULL && msg->msg == CURLMSG_DONE) {
			*ret_code = msg->data.result;
			return true;
		}
		int64_t left_ms = (atomic_load(until_us) - clock_mono_us()) / 1000;
		if (left_ms <= 0 || running == 0)
			return false;
		if (curl_multi_poll(p->multi, NULL, 0, left_ms < LOOK_MS ? (int)left_ms : LOOK_MS, NULL) != CURLM_OK)
			return false;
	}
}

long
post_send(struct post *p, const char *const headers[], struct slice body, const _Atomic int64_t *until_us,
          char ret_reason[static POST_REASON_MAX])
{
	struct curl_slist *list = list_headers(headers);
	CURLcode code = CURLE_OK;
	long status = 0;
	bool ended;

	snprintf(ret_reason, POST_REASON_MAX, "out of memory");
	if (list == NULL)
		return 0;
	p->answered = 0;
	p->why[0] = '\0';
	curl_easy_setopt(p->easy, CURLOPT_HTTPHEADER, list);
	curl_easy_setopt(p->easy, CURLOPT_POSTFIELDS, body.data);
	curl_easy_setopt(p->easy, CURLOPT_POSTFIELDSIZE, (long)body.len);
	if (curl_multi_add_handle(p->multi, p->easy) == CURLM_OK) {
		ended = exchange(p, until_us, &code);
		curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
		snprintf(ret_reason, POST_REASON_MAX, "%s", !ended ? "there was no more time" : p->why[0] != '\0' ? p->why : curl_easy_strerror(code));
		curl_multi_remove_handle(p->multi, p->easy);
	}
	curl_easy_setopt(p->easy, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(list);
	return status;
}

void
post_wake(struct post *p)
{
	curl_multi_wakeup(p->multi);
}
