/* The endpoint, asked by libcurl as a probe would, and by bare sockets as nobody should. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
static atomic_int accepts;

static int
counted_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	accepts++;
	return accept4(fd, addr, len, flags);
}

#define accept4 counted_accept4
#include "serve/http.c"
#undef accept4

#include "support/tap.h"

/* These replace the library's, so that a test can let the connections age. */
static _Atomic int64_t leap_us;

int64_t
clock_boot_us(void)
{
	return clock_mono_us();
}

int64_t
clock_mono_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000 + leap_us;
}

static struct loop *l;
static struct health *health;
static struct http *h;
static const char *_Atomic figures = "pgoutbox_events_sent_total 7\n";
static _Atomic size_t figures_repeated;
static int fds_without_http;
static int connections_max = HTTP_CONNECTIONS_MAX;
static atomic_bool hold_page, page_held;

struct reply {
	long status; /* 0 = no answer */
	struct buf head;
	struct buf body;
};

static void
give_figures(void *ctx, struct buf *ret_out)
{
	(void)ctx;
	page_held = true;
	while (hold_page)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	if (figures == NULL)
		ret_out->failed = true;
	else
		buf_add_str(ret_out, figures);
	for (size_t i = 0; i < figures_repeated; i++)
		buf_add_str(ret_out, figures);
}

static int
open_fds(void)
{
	int count = 0;
	DIR *dir = opendir("/proc/self/fd");
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static void
setup(void)
{
	static const char *const outboxes[] = {"outbox_events"};
	struct error err;
	leap_us = 0;
	TAP_INT_FATAL(loop_new(&l, &err), 0);
	struct health_options how = {l, outboxes, 1, INT64_C(60000000), INT64_C(10000000)};
	TAP_INT_FATAL(health_new(&how, &health, &err), 0);
	for (enum health_check c = 0; c < HEALTH_CHECKS; c++)
		health_set(health, 0, c, HEALTH_OK, NULL, clock_mono_us());
	struct http_options opt = {"127.0.0.1:0", health, give_figures, NULL, connections_max};
	fds_without_http = open_fds();
	TAP_INT_FATAL(http_new(&opt, &h, &err), 0);
	CU_ASSERT_FATAL(http_port(h) != 0);
}

static void
teardown(void)
{
	http_free(h);
	health_free(health);
	loop_free(l);
}

static size_t
keep(char *data, size_t size, size_t count, void *to)
{
	buf_add(to, data, size * count);
	return size * count;
}

/* method NULL = GET. */
static struct reply
ask(const char *method, const char *path, const char *upload)
{
	struct reply r = {0, BUF_INIT, BUF_INIT};
	char url[256];
	CURL *c = curl_easy_init();
	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", http_port(h), path);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 4000L);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, keep);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, &r.body);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, keep);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, &r.head);
	if (upload != NULL)
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, upload);
	if (method != NULL && strcmp(method, "HEAD") == 0)
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	else if (method != NULL)
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &r.status);
	curl_easy_cleanup(c);
	return r;
}

static void
forget(struct reply *r)
{
	buf_done(&r->head);
	buf_done(&r->body);
}

static void
expect(const char *method, const char *path, long status, const char *body)
{
	struct reply r = ask(method, path, NULL);
	TAP_INT(r.status, status);
	TAP_STR(buf_str(&r.body), body);
	forget(&r);
}

static void
metrics_page(void)
{
	struct reply r = ask(NULL, "/metrics", NULL);
	TAP_INT(r.status, 200);
	TAP_STR(buf_str(&r.body), figures);
	TAP_HAS(buf_str(&r.head), "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
	TAP_HAS(buf_str(&r.head), "Connection: close\r\n");
	TAP_HAS(buf_str(&r.head), "Cache-Control: no-store\r\n");
	forget(&r);
}

static void
healthy(void)
{
	expect(NULL, "/livez", 200, "live: yes\n");
	expect(NULL, "/readyz", 200, "ready: yes\n");
	expect(NULL, "/healthz", 200, "ready: yes\n");
	expect(NULL, "/livez?verbose", 200, "[+]loop ok\nlive: yes\n");
	expect(NULL, "/readyz?verbose", 200,
	       "[+]loop ok\n[+]postgresql ok\n[+]kafka ok\n[+]schema ok\n[+]lanes ok\n[+]progress ok\nready: yes\n");
	expect(NULL, "/healthz?verbose=1", 200,
	       "[+]loop ok\n[+]postgresql ok\n[+]kafka ok\n[+]schema ok\n[+]lanes ok\n[+]progress ok\nready: yes\n");
}

static void
unhealthy(void)
{
	health_set(health, 0, HEALTH_LANES, HEALTH_FAILED, "none owned", clock_mono_us());
	expect(NULL, "/livez", 200, "live: yes\n");
	expect(NULL, "/readyz", 503, "[-]lanes: none owned, for 0 s\nready: no\n");
	expect("HEAD", "/readyz", 503, "");
	health_set(health, 0, HEALTH_LANES, HEALTH_OK, NULL, clock_mono_us());
	leap_us = INT64_C(61000000);
	expect(NULL, "/livez", 503, "[-]loop: has not turned for 61 s\nlive: no\n");
	expect(NULL, "/readyz", 503, "[-]loop: has not turned for 61 s\nready: no\n");
}

static void
head(void)
{
	struct reply r = ask("HEAD", "/metrics", NULL);
	TAP_INT(r.status, 200);
	TAP_STR(buf_str(&r.body), "");
	TAP_HAS(buf_str(&r.head), "Content-Length: 29\r\n");
	forget(&r);
}

static void
unknown_paths(void)
{
	expect(NULL, "/", 404, "not found; there is /metrics, /livez, /readyz\n");
	expect(NULL, "/metrics/", 404, "not found; there is /metrics, /livez, /readyz\n");
	expect(NULL, "/../etc/passwd", 404, "not found; there is /metrics, /livez, /readyz\n");
	expect("HEAD", "/nothing", 404, "");
}

static void
other_methods(void)
{
	static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"};
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		struct reply r = ask(methods[i], "/metrics", NULL);
		TAP_INT(r.status, 405);
		TAP_STR(buf_str(&r.body), "only GET and HEAD are served\n");
		TAP_HAS(buf_str(&r.head), "Allow: GET, HEAD\r\n");
		forget(&r);
	}
}

static void
post_with_a_body(void)
{
	struct reply r = ask(NULL, "/metrics", "a=b");
	TAP_INT(r.status, 405);
	forget(&r);
	char *much = malloc(4000001);
	CU_ASSERT_PTR_NOT_NULL_FATAL(much);
	memset(much, 'x', 4000000);
	much[4000000] = '\0';
	r = ask(NULL, "/metrics", much);
	CU_ASSERT(r.status == 405 || r.status == 0); /* the connection may break while curl still sends */
	forget(&r);
	free(much);
	expect(NULL, "/livez", 200, "live: yes\n");
}

static int
connect_to(void)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(http_port(h)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int));
	TAP_INT_FATAL(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void
say(int fd, const char *text, size_t len)
{
	(void)!send(fd, text, len, MSG_NOSIGNAL); /* the server may have had enough of it */
}

/* Reads until the server closes; false when that took longer. The first bytes stay in text, as a string. */
static bool
closed_within(int fd, int64_t limit_us, char *text, size_t size)
{
	char rest[65536];
	size_t len = 0;
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	int64_t end_us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000 + limit_us;
	bool closed = false;
	while (!closed) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		int64_t left_us = end_us - (int64_t)t.tv_sec * 1000000 - t.tv_nsec / 1000;
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (left_us <= 0 || poll(&p, 1, (int)(left_us / 1000) + 1) == 0)
			break;
		bool fits = len < size - 1;
		ssize_t got = fits ? recv(fd, text + len, size - 1 - len, 0) : recv(fd, rest, sizeof(rest), 0);
		closed = got <= 0;
		len += fits && got > 0 ? (size_t)got : 0;
	}
	text[len] = '\0';
	return closed;
}

static void
expect_raw(const char *request, size_t len, const char *begin)
{
	char text[512];
	int fd = connect_to();
	say(fd, request, len);
	CU_ASSERT_TRUE(closed_within(fd, 3000000, text, sizeof(text)));
	if (begin != NULL)
		TAP_INT(strncmp(text, begin, strlen(begin)), 0);
	close(fd);
	expect(NULL, "/livez", 200, "live: yes\n");
}

static void
huge_requests(void)
{
	enum { HUGE = 200000 };
	char *request = malloc(HUGE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(request);
	memset(request, 'a', HUGE);
	memcpy(request, "GET /", 5);
	expect_raw(request, HUGE, NULL);
	memcpy(request + 40000, " HTTP/1.1\r\nHost: x\r\n\r\n", 23);
	expect_raw(request, 40000 + 23, NULL);
	memcpy(request, "GET /metrics HTTP/1.1\r\nHost: x\r\nX: ", 35);
	expect_raw(request, HUGE, NULL);
	free(request);
}

static void
garbage(void)
{
	static const char binary[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n\0\0";
	expect_raw(binary, sizeof(binary), NULL);
	expect_raw("GET\r\n\r\n", 7, NULL);
	expect_raw("\r\n\r\n\r\n\r\nGET /livez HTTP/1.0\r\n\r\n", 31, NULL);
	expect_raw("GET /livez HTTP/1.0\r\n\r\n", 23, "HTTP/1.");
	expect_raw("GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n", 64,
	           "HTTP/1.1 200 OK\r\n");
}

static int64_t
cpu_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

enum { HALF_OPEN = 200 };

static void
open_many(int fds[HALF_OPEN], const char *text)
{
	for (int i = 0; i < HALF_OPEN; i++) {
		fds[i] = connect_to();
		say(fds[i], text, strlen(text));
	}
}

static void
crowd_keeps_nobody_out(const char *text)
{
	int fds[HALF_OPEN];
	int before = open_fds();
	open_many(fds, text);
	for (int i = 0; i < 5; i++)
		expect(NULL, "/livez", 200, "live: yes\n");
	CU_ASSERT(open_fds() - before - HALF_OPEN <= connections_max + 8);
	int64_t before_us = cpu_us();
	nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
	CU_ASSERT(cpu_us() - before_us < 100000); /* waits, rather than turns, while the crowd is silent */
	for (int i = 0; i < HALF_OPEN; i++)
		close(fds[i]);
	expect(NULL, "/livez", 200, "live: yes\n");
}

static void
half_open_connections(void)
{
	crowd_keeps_nobody_out("");
	crowd_keeps_nobody_out("GET /metrics HTTP/1.1\r\nHost: ");
}

static void
few_connections(void)
{
	for (int few = -10; few <= HTTP_CONNECTIONS_MIN; few += 10 + HTTP_CONNECTIONS_MIN) {
		teardown();
		connections_max = few;
		setup();
		connections_max = HTTP_CONNECTIONS_MIN;
		crowd_keeps_nobody_out("GET");
	}
	connections_max = HTTP_CONNECTIONS_MAX;
}

static void
limit_descriptors(rlim_t soft)
{
	struct rlimit limit;
	CU_ASSERT_FATAL(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = soft;
	CU_ASSERT_FATAL(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* To be connected when there are no descriptors any more. */
enum { PREPARED = 60, DESCRIPTORS = 256 };

static void
prepare_clients(int fds[PREPARED])
{
	for (int i = 0; i < PREPARED; i++)
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_FATAL(fds[PREPARED - 1] >= 0 && fds[PREPARED - 1] < DESCRIPTORS - 20);
}

static void
come(int fd, const char *text)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(http_port(h)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	TAP_INT_FATAL(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	say(fd, text, strlen(text));
}

/* On a busy machine a thread that turns in circles need not use much of it. */
static void
expect_quiet(void)
{
	int before = accepts;
	nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
	CU_ASSERT(accepts - before <= 20);
}

/* valgrind takes a client in before it looks at the limit, and throws it out again. */
static bool
skipped_under_valgrind(void)
{
	const char *preloaded = getenv("LD_PRELOAD");
	bool valgrind = preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
	if (valgrind)
		tap_skip("not under valgrind, which has limits of its own");
	return valgrind;
}

/* One is kept for whoever asks, and taken from whoever only sits there. */
static void
no_descriptor_left(void)
{
	static const char request[] = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
	int clients[PREPARED], fillers[DESCRIPTORS], count = 0;
	char text[512];
	rlim_t before;
	struct rlimit limit;
	if (skipped_under_valgrind())
		return;
	CU_ASSERT_FATAL(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	before = limit.rlim_cur;
	prepare_clients(clients);
	limit_descriptors(DESCRIPTORS);
	while ((fillers[count] = dup(STDERR_FILENO)) >= 0)
		count++;
	for (int i = 0; i < PREPARED; i++) {
		bool asks = i == 0 || i == PREPARED - 1;
		come(clients[i], asks ? request : "GET");
		if (asks) {
			CU_ASSERT_TRUE(closed_within(clients[i], 3000000, text, sizeof(text)));
			TAP_HAS(text, "live: yes");
		}
	}
	expect_quiet();
	while (count > 0)
		close(fillers[--count]);
	limit_descriptors(before);
	for (int i = 0; i < PREPARED; i++)
		close(clients[i]);
	expect(NULL, "/livez", 200, "live: yes\n");
}

static void
not_even_the_spare_one(void)
{
	char text[512];
	int clients[PREPARED];
	struct rlimit limit;
	if (skipped_under_valgrind())
		return;
	CU_ASSERT_FATAL(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	prepare_clients(clients);
	limit_descriptors(3);
	come(clients[0], "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_quiet();
	CU_ASSERT_FALSE(closed_within(clients[0], 10000, text, sizeof(text)));
	limit_descriptors(limit.rlim_cur);
	CU_ASSERT_TRUE(closed_within(clients[0], 3000000, text, sizeof(text)));
	TAP_HAS(text, "live: yes");
	for (int i = 0; i < PREPARED; i++)
		close(clients[i]);
}

/* They come while the thread is busy, so that it meets all of them at once. */
static void
half_open_connections_at_once(void)
{
	int fds[HALF_OPEN], page = connect_to();
	page_held = false;
	hold_page = true;
	say(page, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 35);
	while (!page_held)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	open_many(fds, "GET");
	hold_page = false;
	int64_t start_us = clock_mono_us();
	expect(NULL, "/livez", 200, "live: yes\n");
	CU_ASSERT(clock_mono_us() - start_us < 2000000);
	for (int i = 0; i < HALF_OPEN; i++)
		close(fds[i]);
	close(page);
}

static void
silent_client_is_ended(void)
{
	char text[64];
	int fd = connect_to();
	CU_ASSERT_FALSE(closed_within(fd, 2000000, text, sizeof(text)));
	CU_ASSERT_TRUE(closed_within(fd, (HTTP_IDLE_MAX_S + 1) * INT64_C(1000000), text, sizeof(text)));
	close(fd);
}

static void
slow_writer_is_ended(void)
{
	char text[64];
	int fd = connect_to();
	for (int i = 0; i < 10; i++) {
		say(fd, "G", 1);
		CU_ASSERT_FALSE(closed_within(fd, 10000, text, sizeof(text)));
	}
	leap_us = (HTTP_CONNECTION_MAX_S - 1) * INT64_C(1000000);
	say(fd, "G", 1);
	CU_ASSERT_FALSE(closed_within(fd, 50000, text, sizeof(text)));
	leap_us = (HTTP_CONNECTION_MAX_S + 1) * INT64_C(1000000);
	say(fd, "G", 1);
	CU_ASSERT_TRUE(closed_within(fd, 2000000, text, sizeof(text)));
	close(fd);
}

static void
slow_reader_is_ended(void)
{
	char text[64];
	figures_repeated = 500000;
	int fd = connect_to();
	say(fd, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 35);
	CU_ASSERT_EQUAL(recv(fd, text, 1, 0), 1);
	figures_repeated = 0;
	expect(NULL, "/livez", 200, "live: yes\n");
	leap_us = (HTTP_CONNECTION_MAX_S + 1) * INT64_C(1000000);
	expect(NULL, "/livez", 200, "live: yes\n"); /* wakes the thread, which has been told another time */
	size_t got = 0;
	static char rest[65536];
	for (ssize_t len; (len = recv(fd, rest, sizeof(rest), 0)) > 0;)
		got += (size_t)len;
	CU_ASSERT(got < 500000 * strlen(figures));
	close(fd);
}

static void
page_without_memory(void)
{
	const char *kept = figures;
	figures = NULL;
	struct reply r = ask(NULL, "/metrics", NULL);
	figures = kept;
	TAP_INT(r.status, 0);
	forget(&r);
	expect(NULL, "/metrics", 200, figures);
}

/* The status of the thread that is named "http", from /proc; "" when there is none. */
static void
thread_status(char *text, size_t size)
{
	DIR *dir = opendir("/proc/self/task");
	text[0] = '\0';
	for (struct dirent *e; text[0] == '\0' && (e = readdir(dir)) != NULL;) {
		char path[300];
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", e->d_name);
		FILE *f = fopen(path, "re");
		if (f == NULL)
			continue;
		size_t len = fread(text, 1, size - 1, f);
		text[len] = '\0';
		fclose(f);
		if (strncmp(text, "Name:\thttp\n", 11) != 0)
			text[0] = '\0';
	}
	closedir(dir);
}

static unsigned long long
status_number(const char *field, int base)
{
	char text[4096];
	thread_status(text, sizeof(text));
	const char *at = strstr(text, field);
	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	return strtoull(at + strlen(field), NULL, base);
}

static void
signals_are_blocked(void)
{
	expect(NULL, "/livez", 200, "live: yes\n"); /* the thread is past its beginning, where all are blocked anyway */
	unsigned long long blocked = status_number("SigBlk:\t", 16);
	unsigned long long catchable = 0x7fffffffULL & ~(1ULL << 8) & ~(1ULL << 18); /* all but SIGKILL and SIGSTOP */
	CU_ASSERT((blocked & catchable) == catchable);
}

static void
idle_costs_nothing(void)
{
	expect(NULL, "/livez", 200, "live: yes\n");
	nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	unsigned long long before = status_number("\nvoluntary_ctxt_switches:\t", 10);
	nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 200000000}, NULL);
	CU_ASSERT(status_number("\nvoluntary_ctxt_switches:\t", 10) - before <= 1);
}

static void
free_with_open_connections(void)
{
	int fds[HALF_OPEN];
	open_many(fds, "GET /metr");
	int64_t start_us = clock_mono_us();
	http_free(h);
	h = NULL;
	CU_ASSERT(clock_mono_us() - start_us < 1000000);
	for (int i = 0; i < HALF_OPEN; i++)
		close(fds[i]);
	TAP_INT(open_fds(), fds_without_http);
}

static void
off(void)
{
	struct error err;
	struct http *none = h;
	struct http_options opt = {"off", health, give_figures, NULL, HTTP_CONNECTIONS_MAX};
	TAP_INT(http_new(&opt, &none, &err), 0);
	CU_ASSERT_PTR_NULL(none);
	TAP_INT(http_port(none), 0);
	http_free(none);
}

static void
address_in_use(void)
{
	struct error err = {0};
	struct http *second = NULL;
	char address[64];
	int before = open_fds();
	snprintf(address, sizeof(address), "127.0.0.1:%u", http_port(h));
	struct http_options opt = {address, health, give_figures, NULL, HTTP_CONNECTIONS_MAX};
	TAP_INT(http_new(&opt, &second, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_HAS(err.message, address);
	CU_ASSERT_PTR_NULL(second);
	TAP_INT(open_fds(), before);
}

int
main(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
	tap_suite_fixture("http", setup, teardown);
	tap_test("the page of figures", metrics_page);
	tap_test("healthy", healthy);
	tap_test("unhealthy", unhealthy);
	tap_test("HEAD", head);
	tap_test("unknown paths", unknown_paths);
	tap_test("other methods", other_methods);
	tap_test("POST with a body", post_with_a_body);
	tap_test("huge requests", huge_requests);
	tap_test("garbage", garbage);
	tap_test("200 half-open connections", half_open_connections);
	tap_test("200 half-open connections at once", half_open_connections_at_once);
	tap_test("200 half-open connections where few may be open", few_connections);
	tap_test("no descriptor is left", no_descriptor_left);
	tap_test("not even the spare descriptor", not_even_the_spare_one);
	tap_test("a silent client is ended", silent_client_is_ended);
	tap_test("a slow writer is ended", slow_writer_is_ended);
	tap_test("a slow reader is ended", slow_reader_is_ended);
	tap_test("a page for which there is no memory", page_without_memory);
	tap_test("signals are blocked in the thread", signals_are_blocked);
	tap_test("idle costs nothing", idle_costs_nothing);
	tap_test("free with open connections", free_with_open_connections);
	tap_test("off", off);
	tap_test("an address in use", address_in_use);
	int result = tap_run();
	curl_global_cleanup();
	return result;
}
