/* Tests of src/hook/: what arrives at a receiver that takes it, and what becomes of it at one that does not. */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sha256.h"
#include "hook/webhook.h"
#include "support/tap.h"

#define SECRET "it's a secret"

enum manner { TAKES, FAILS, REDIRECTS, HANGS, FLOODS };

static int listener;
static char url[64];
static pthread_t thread;
static _Atomic enum manner manner;
static _Atomic int requests;
static _Atomic bool stopping;
static char first[4096]; /* the first request, good once there was one */
static struct log log_;
static struct webhook *w;

static size_t
read_request(int fd, char *text, size_t size)
{
	size_t len = 0;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	text[0] = '\0';
	while (len < size - 1 && poll(&p, 1, 5000) > 0) {
		ssize_t n = read(fd, text + len, size - 1 - len);
		const char *body, *length;

		if (n <= 0)
			break;
		len += (size_t)n;
		text[len] = '\0';
		body = strstr(text, "\r\n\r\n");
		length = strstr(text, "Content-Length: ");
		if (body != NULL && length != NULL && strlen(body + 4) >= strtoul(length + 16, NULL, 10))
			break;
	}
	return len;
}

static void
answer(int fd, enum manner how)
{
	static char filler[65536];

	if (how == TAKES)
		dprintf(fd, "HTTP/1.1 204 No Content\r\n\r\n");
	else if (how == FAILS)
		dprintf(fd, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
	else if (how == REDIRECTS)
		dprintf(fd, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", url);
	else if (how == FLOODS) {
		dprintf(fd, "HTTP/1.1 200 OK\r\n\r\n");
		while (send(fd, filler, sizeof(filler), MSG_NOSIGNAL) > 0)
			;
	}
	while (how == HANGS && !stopping)
		usleep(5000);
}

static void *
serve(void *ctx)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};

	(void)ctx;
	while (!stopping) {
		char text[4096];
		int fd;

		if (poll(&p, 1, 20) <= 0 || (fd = accept(listener, NULL, NULL)) < 0)
			continue;
		if (read_request(fd, text, sizeof(text)) > 0) {
			if (requests == 0)
				strcpy(first, text);
			requests++;
			answer(fd, manner);
		}
		close(fd);
	}
	return NULL;
}

static void
start(enum manner how, int64_t timeout_ms)
{
	struct webhook_options opt = {.url = url, .secret = SECRET, .ca_file = "", .timeout_ms = timeout_ms,
	                              .kinds = ~(1U << WEBHOOK_STARTED), .version = "1", .log = &log_};
	struct error err;

	manner = how;
	TAP_INT_FATAL(webhook_new(&opt, &w, &err), 0);
}

static void
setup(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	requests = 0;
	stopping = false;
	w = NULL;
	log_init(&log_, STDERR_FILENO, -1, LOG_FORMAT_LOGFMT);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CU_ASSERT_FATAL(bind(listener, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(listener, 64) == 0);
	CU_ASSERT_FATAL(getsockname(listener, (struct sockaddr *)&a, &len) == 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/x?token=hidden", ntohs(a.sin_port));
	CU_ASSERT_FATAL(pthread_create(&thread, NULL, serve, NULL) == 0);
}

static void
teardown(void)
{
	webhook_free(w, 2000000);
	stopping = true;
	pthread_join(thread, NULL);
	close(listener);
}

static void
tell(const char *reason)
{
	webhook_tell(w, WEBHOOK_NEWS(WEBHOOK_OUTAGE_END, .outbox = "o", .side = "kafka", .reason = reason, .duration_ms = 12, .backlog = 7));
}

/* Waits until so much has become of it. */
#define AWAIT(field, n) \
	do { \
		int64_t until_us_ = clock_mono_us() + 30000000; \
		while (webhook_counts(w).field < (n) && clock_mono_us() < until_us_) \
			usleep(5000); \
		TAP_INT(webhook_counts(w).field, (n)); \
	} while (0)

static void
test_signed(void)
{
	char wanted[128], hex[65];
	unsigned char mac[SHA256_BYTES];
	const char *header, *body;
	struct slice parts[3];

	start(TAKES, 5000);
	webhook_tell(w, WEBHOOK_NEWS(WEBHOOK_STARTED, .reason = "not asked for"));
	tell("a \"b\" \\ \n \xff");
	AWAIT(delivered, 1);
	TAP_HAS_FATAL(first, "POST /x?token=hidden HTTP/1.1\r\n");
	TAP_HAS(first, "\"event\":\"outage-end\",\"time\":\"2");
	TAP_HAS(first, "\"outbox\":\"o\",\"side\":\"kafka\",\"reason\":\"a \\u0022b\\u0022 \\u005c \\u000a \\ufffd\",\"duration_ms\":12,\"backlog\":7}");
	header = strstr(first, "X-Pgoutbox-Signature: t=");
	body = strstr(first, "\r\n\r\n");
	CU_ASSERT_FATAL(header != NULL && body != NULL);
	parts[0] = (struct slice){header + 24, strcspn(header + 24, ",")};
	parts[1] = slice_from(".");
	parts[2] = slice_from(body + 4);
	sha256_hmac(slice_from(SECRET), parts, 3, mac);
	for (int i = 0; i < SHA256_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", mac[i]);
	snprintf(wanted, sizeof(wanted), ",v1=%s\r\n", hex);
	TAP_INT(strncmp(header + 24 + parts[0].len, wanted, strlen(wanted)), 0);
}

static void
test_tried_again(void)
{
	start(FAILS, 5000);
	tell("x");
	AWAIT(failed, 1);
	manner = TAKES;
	AWAIT(delivered, 1);
	TAP_INT(webhook_counts(w).refused + webhook_counts(w).dropped, 0);
}

static void
test_redirect_is_not_followed(void)
{
	start(REDIRECTS, 5000);
	tell("x");
	AWAIT(refused, 1);
	TAP_INT(requests, 1);
}

static void
test_flood_is_bounded(void)
{
	start(FLOODS, 5000);
	tell("x");
	AWAIT(delivered, 1);
}

/* Whoever tells is not held up, the oldest that waits goes, and the end comes in time. */
static void
test_hang(void)
{
	int64_t begin_us = clock_mono_us();

	start(HANGS, 60000);
	tell("x");
	while (requests == 0 && clock_mono_us() < begin_us + 30000000)
		usleep(1000);
	begin_us = clock_mono_us();
	for (int i = 0; i < WEBHOOK_QUEUE + 5; i++)
		tell("y");
	CU_ASSERT(clock_mono_us() - begin_us < 1000000);
	TAP_INT(webhook_counts(w).dropped, 5);
	begin_us = clock_mono_us();
	webhook_free(w, 1000000);
	w = NULL;
	CU_ASSERT(clock_mono_us() - begin_us < 1900000);
	TAP_INT(requests, 1);
}

static void
test_refused_connection(void)
{
	stopping = true;
	pthread_join(thread, NULL);
	close(listener);
	start(TAKES, 5000);
	tell("x");
	AWAIT(failed, 1);
	webhook_free(w, 2000000);
	setup();
}

/* One at once, the others together, each counted; at the end they need not wait. */
static void
test_parked_are_gathered(void)
{
	start(TAKES, 5000);
	webhook_tell(w, WEBHOOK_NEWS(WEBHOOK_PARKED, .outbox = "o", .reason = "too large", .count = 1));
	AWAIT(delivered, 1);
	TAP_HAS(first, "\"reason\":\"too large\",\"count\":1}");
	requests = 0;
	for (int i = 0; i < 500; i++)
		webhook_tell(w, WEBHOOK_NEWS(WEBHOOK_PARKED, .outbox = "o", .reason = "too large", .count = 1));
	webhook_free(w, 2000000);
	w = NULL;
	TAP_INT(requests, 1);
	TAP_HAS(first, "\"count\":500}");
}

static void
test_only_http(void)
{
	struct webhook_options opt = {.url = "file:///etc/passwd", .secret = SECRET, .ca_file = "", .timeout_ms = 1000, .log = &log_};
	struct error err;

	TAP_INT(webhook_new(&opt, &w, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	CU_ASSERT_PTR_NULL(strstr(err.message, "passwd"));
}

int
main(void)
{
	tap_suite_fixture("webhook", setup, teardown);
	tap_test("a post is signed", test_signed);
	tap_test("what failed is tried again", test_tried_again);
	tap_test("a redirect is not followed", test_redirect_is_not_followed);
	tap_test("a body without an end is bounded", test_flood_is_bounded);
	tap_test("a receiver that hangs holds nobody up", test_hang);
	tap_test("a receiver that is not there", test_refused_connection);
	tap_test("parked events are gathered", test_parked_are_gathered);
	tap_test("only http and https", test_only_http);
	return tap_run();
}
