/* test_endpoint.c - what a daemon that answers says, and how the others are told apart: over real sockets, with canned answers. */
#include "ctl/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/tap.h"

#define METRICS "pgoutbox_events_sent_total{outbox=\"outbox_events\"} 5\n"

/* Answers its connections one after the other, until it is told to end. */
struct server {
	int fd;
	int status;
	const char *ready, *metrics; /* NULL = take the request and say nothing */
	char listen[32];
	pthread_t thread;
};

static void
answer(const struct server *s, int fd)
{
	char request[2048] = "", reply[4096];
	ssize_t n = recv(fd, request, sizeof(request) - 1, 0);
	const char *body = n > 0 && strncmp(request, "GET /metrics ", 13) == 0 ? s->metrics : s->ready;

	if (body == NULL) {
		recv(fd, request, sizeof(request), 0); /* until the client gives up */
		return;
	}
	n = snprintf(reply, sizeof(reply), "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
	             body == s->metrics ? 200 : s->status, strlen(body), body);
	if (send(fd, reply, (size_t)n, MSG_NOSIGNAL) != n)
		return;
}

static void *
serve(void *ctx)
{
	const struct server *s = ctx;
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		answer(s, fd);
		close(fd);
	}
	return NULL;
}

static void
start(struct server *s)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	CU_ASSERT_FATAL(s->fd >= 0 && bind(s->fd, (struct sockaddr *)&a, len) == 0 && listen(s->fd, 8) == 0 &&
	                getsockname(s->fd, (struct sockaddr *)&a, &len) == 0);
	snprintf(s->listen, sizeof(s->listen), "127.0.0.1:%d", ntohs(a.sin_port));
	CU_ASSERT_EQUAL_FATAL(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void
stop(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
}

static void
test_ready(void)
{
	struct server s = {.status = 200, .ready = "[+]loop ok\n[+]kafka ok, but a: b, for 3 s\nready: yes\n", .metrics = METRICS};
	struct endpoint e;
	char wild[32];

	start(&s);
	endpoint_ask(s.listen, "outbox_events", &e);
	TAP_INT(e.state, ENDPOINT_READY);
	TAP_STR(buf_str(&e.reasons), "");
	TAP_STR(buf_str(&e.notes), "kafka: a: b, for 3 s\n");
	TAP_STR(buf_str(&e.metrics), METRICS);
	TAP_STR(e.problem, "");
	endpoint_done(&e);
	snprintf(wild, sizeof(wild), "*%s", strchr(s.listen, ':'));
	endpoint_ask(wild, "outbox_events", &e);
	TAP_INT(e.state, ENDPOINT_READY);
	TAP_HAS(e.address, "http://localhost:");
	endpoint_done(&e);
	stop(&s);
}

static void
test_not_ready(void)
{
	struct server s = {.status = 503, .metrics = METRICS,
	                   .ready = "[-]loop: has not turned for 9 s\n[-]outbox_events/kafka: down, for 9 s\n[-]other/kafka: no\n"
	                            "[+]outbox_events/lanes ok\n[+]other/lanes ok, but x\nready: no\n"};
	struct endpoint e;

	start(&s);
	endpoint_ask(s.listen, "outbox_events", &e);
	TAP_INT(e.state, ENDPOINT_NOT_READY);
	TAP_STR(buf_str(&e.reasons), "loop: has not turned for 9 s\nkafka: down, for 9 s\n");
	TAP_STR(buf_str(&e.notes), "");
	endpoint_done(&e);
	s.ready = "[-]other/kafka: no\nready: no\n";
	endpoint_ask(s.listen, "outbox_events", &e);
	TAP_INT(e.state, ENDPOINT_READY);
	endpoint_done(&e);
	stop(&s);
}

static void
test_other(void)
{
	struct server s = {.status = 200, .ready = "hello\n", .metrics = "go_goroutines 3\n"};
	struct endpoint e;

	start(&s);
	endpoint_ask(s.listen, "outbox_events", &e);
	TAP_INT(e.state, ENDPOINT_OTHER);
	TAP_STR(e.problem, "what answers there does not relay this table");
	endpoint_done(&e);
	s.status = 404;
	endpoint_ask(s.listen, "outbox_events", &e);
	TAP_INT(e.state, ENDPOINT_OTHER);
	endpoint_done(&e);
	stop(&s);
}

static void
test_silent(void)
{
	struct server s = {.status = 200, .ready = NULL, .metrics = METRICS};
	int64_t began_us;
	struct endpoint e;

	start(&s);
	began_us = clock_mono_us();
	endpoint_ask(s.listen, "outbox_events", &e);
	TAP_INT(e.state, ENDPOINT_SILENT);
	TAP_HAS(e.problem, "imeout");
	CU_ASSERT(clock_mono_us() - began_us >= ENDPOINT_TIMEOUT_MS * 1000);
	endpoint_done(&e);
	stop(&s);
	endpoint_ask(s.listen, "outbox_events", &e);
	TAP_INT(e.state, ENDPOINT_SILENT);
	TAP_STR(e.problem, "connection refused");
	endpoint_done(&e);
	endpoint_ask("off", "outbox_events", &e);
	TAP_INT(e.state, ENDPOINT_OFF);
	endpoint_done(&e);
	endpoint_ask("127.0.0.1:0", "outbox_events", &e);
	TAP_INT(e.state, ENDPOINT_OFF);
	endpoint_done(&e);
}

int
main(void)
{
	tap_suite("endpoint");
	tap_test("a relay that is ready", test_ready);
	tap_test("one that is not, and others' troubles", test_not_ready);
	tap_test("something else", test_other);
	tap_test("nobody, or somebody who hangs", test_silent);
	return tap_run();
}
