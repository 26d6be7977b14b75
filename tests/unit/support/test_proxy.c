/* The proxy that other tests rest on: what it says it does to a connection is what both of its sides see. */
#include "support/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/proc.h"
#include "support/tap.h"

/* Far beyond what anything here takes, and long enough to say that nothing comes. */
enum { SOON_MS = 10000, QUIET_MS = 200, FEW_TURNS = 50 };

static int listener, server_port;
static struct proxy *proxy;

static void
must_begin(const char *host, int port)
{
	struct error err;

	if (proxy_new(host, port, &proxy, &err) == -1) {
		tap_diag("%s", err.message);
		CU_FAIL_FATAL("no proxy");
	}
}

static void
begin(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_FATAL(bind(listener, (struct sockaddr *)&addr, len) == 0 && listen(listener, 8) == 0);
	CU_ASSERT_FATAL(getsockname(listener, (struct sockaddr *)&addr, &len) == 0);
	server_port = ntohs(addr.sin_port);
	must_begin("127.0.0.1", server_port);
}

static void
end(void)
{
	proxy_close(&proxy);
	if (listener > 0)
		close(listener);
	listener = 0;
}

static bool
readable(int fd, int timeout_ms)
{
	struct pollfd look = {.fd = fd, .events = POLLIN};

	return poll(&look, 1, timeout_ms) == 1;
}

static int
dial(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)proxy_port(proxy))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int
answer_call(void)
{
	CU_ASSERT_FATAL(readable(listener, SOON_MS));
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

static void
open_pair(int *client, int *server)
{
	*client = dial();
	CU_ASSERT_FATAL(*client >= 0);
	*server = answer_call();
}

static void
say(int fd, const char *text)
{
	TAP_INT_FATAL(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Exactly this comes next. */
static void
hears(int fd, const char *text)
{
	char got[64] = "";
	size_t len = 0;

	while (len < strlen(text) && readable(fd, SOON_MS)) {
		ssize_t n = recv(fd, got + len, strlen(text) - len, 0);

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	TAP_STR(got, text);
}

static void
hears_nothing(int fd)
{
	CU_ASSERT(!readable(fd, QUIET_MS));
}

static void
sees_end(int fd)
{
	char byte;

	CU_ASSERT_FATAL(readable(fd, SOON_MS));
	TAP_INT(recv(fd, &byte, 1, 0), 0);
}

/* An RST, not an orderly end. */
static void
sees_reset(int fd)
{
	char bytes[65536];
	ssize_t n;

	do {
		CU_ASSERT_FATAL(readable(fd, SOON_MS));
		n = recv(fd, bytes, sizeof(bytes), 0);
	} while (n > 0);
	TAP_INT(n, -1);
	TAP_INT(errno, ECONNRESET);
}

static void
hang_up(int client, int server)
{
	close(client);
	close(server);
}

static void
passes_both_ways(void)
{
	int client, server;

	open_pair(&client, &server);
	say(client, "question");
	hears(server, "question");
	say(server, "answer");
	hears(client, "answer");
	TAP_INT(proxy_counts(proxy).connections, 1);
	TAP_INT(proxy_counts(proxy).open, 1);
	TAP_INT(proxy_counts(proxy).request_bytes, 8);
	TAP_INT(proxy_counts(proxy).answer_bytes, 6);
	shutdown(client, SHUT_WR);
	sees_end(server);
	say(server, "late");
	hears(client, "late");
	close(server);
	sees_end(client);
	close(client);
	for (int i = 0; i < 1000 && proxy_counts(proxy).open > 0; i++)
		proc_sleep_ms(10);
	TAP_INT(proxy_counts(proxy).open, 0);
	TAP_INT(proxy_counts(proxy).resets, 0);
}

/* More than fits into any buffer on the way, so that it has to wait for the reader. */
static void
much_at_once(void)
{
	enum { TOTAL = 32 << 20, LAG = 1 << 16 };
	static char bytes[65536];
	int client, server;
	size_t sent = 0, received = 0, wrong = 0;

	open_pair(&client, &server);
	while (received < TOTAL) {
		struct pollfd look[] = {{.fd = client, .events = sent < TOTAL ? POLLOUT : 0}, {.fd = server, .events = POLLIN}};
		ssize_t n;

		CU_ASSERT_FATAL(poll(look, 2, SOON_MS) > 0);
		if (look[0].revents & POLLOUT) {
			for (size_t i = 0; i < sizeof(bytes); i++)
				bytes[i] = (char)((sent + i) % 251);
			n = send(client, bytes, TOTAL - sent < sizeof(bytes) ? TOTAL - sent : sizeof(bytes), MSG_DONTWAIT);
			sent += n > 0 ? (size_t)n : 0;
		}
		if (!(look[1].revents & POLLIN) || (sent < TOTAL && sent < received + LAG))
			continue;
		n = recv(server, bytes, sizeof(bytes), MSG_DONTWAIT);
		for (ssize_t i = 0; i < n; i++)
			wrong += bytes[i] != (char)((received + (size_t)i) % 251);
		received += n > 0 ? (size_t)n : 0;
	}
	TAP_INT(wrong, 0);
	TAP_INT(proxy_counts(proxy).request_bytes, TOTAL);
	hang_up(client, server);
}

static void
refuses(void)
{
	int client, server;

	open_pair(&client, &server);
	proxy_set_mode(proxy, PROXY_REFUSE);
	sees_reset(client);
	sees_reset(server);
	hang_up(client, server);
	for (int i = 0; i < 3; i++) {
		TAP_INT(dial(), -1);
		TAP_INT(errno, ECONNREFUSED);
	}
	proxy_set_mode(proxy, PROXY_PASS);
	open_pair(&client, &server);
	say(client, "again");
	hears(server, "again");
	hang_up(client, server);
}

static void
nobody_gets_the_port_meanwhile(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)proxy_port(proxy))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	proxy_set_mode(proxy, PROXY_REFUSE);
	TAP_INT(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), -1);
	close(fd);
}

static void
delays(void)
{
	int client, server;
	int64_t start_us;

	open_pair(&client, &server);
	proxy_set_delay(proxy, 150, 50);
	proxy_set_mode(proxy, PROXY_DELAY);
	start_us = clock_mono_us();
	say(client, "one");
	proc_sleep_ms(20);
	say(client, "two");
	hears(server, "onetwo");
	say(server, "back");
	hears(client, "back");
	CU_ASSERT(clock_mono_us() - start_us >= 300000);
	hang_up(client, server);
}

static void
throttles(void)
{
	static char bytes[20000];
	int client, server;
	int64_t start_us;
	size_t received = 0;

	open_pair(&client, &server);
	proxy_set_rate(proxy, 50000);
	proxy_set_mode(proxy, PROXY_THROTTLE);
	start_us = clock_mono_us();
	TAP_INT_FATAL(send(client, bytes, sizeof(bytes), 0), sizeof(bytes));
	while (received < sizeof(bytes) && readable(server, SOON_MS))
		received += (size_t)recv(server, bytes, sizeof(bytes), 0);
	/* 0.4 s, of which the first tenth of a second may have been in hand */
	CU_ASSERT(clock_mono_us() - start_us >= 250000);
	hang_up(client, server);
}

static void
blackhole_keeps_everything(void)
{
	int client, server, late;

	open_pair(&client, &server);
	proxy_set_mode(proxy, PROXY_BLACKHOLE);
	say(client, "question");
	say(server, "answer");
	late = dial();
	CU_ASSERT_FATAL(late >= 0);
	say(late, "hello");
	hears_nothing(server);
	hears_nothing(client);
	hears_nothing(listener);
	proxy_set_mode(proxy, PROXY_PASS);
	hears(server, "question");
	hears(client, "answer");
	hang_up(client, server);
	server = answer_call();
	hears(server, "hello");
	hang_up(late, server);
}

/* Neither side learns that the other has gone. */
static void
blackhole_hides_the_end(void)
{
	int client, server;

	open_pair(&client, &server);
	proxy_set_mode(proxy, PROXY_BLACKHOLE);
	close(client);
	hears_nothing(server);
	proxy_set_mode(proxy, PROXY_PASS);
	sees_end(server);
	close(server);
}

static void
drop_ends_in_a_reset(void)
{
	int client, server;

	open_pair(&client, &server);
	proxy_set_mode(proxy, PROXY_DROP);
	say(client, "lost");
	hears_nothing(server);
	hears_nothing(client);
	proxy_set_mode(proxy, PROXY_PASS);
	sees_reset(client);
	sees_reset(server);
	hang_up(client, server);
	open_pair(&client, &server);
	say(client, "found");
	hears(server, "found");
	hang_up(client, server);
}

static void
one_way_loses_answers(void)
{
	int client, server;

	open_pair(&client, &server);
	proxy_set_mode(proxy, PROXY_ONE_WAY);
	say(client, "question");
	hears(server, "question");
	say(server, "answer");
	hears_nothing(client);
	proxy_reset_all(proxy);
	sees_reset(client);
	hang_up(client, server);
	open_pair(&client, &server);
	say(server, "waits");
	hears_nothing(client);
	proxy_set_mode(proxy, PROXY_PASS);
	hears(client, "waits");
	hang_up(client, server);
}

static void
cuts_in_the_middle(void)
{
	int client, server, other, other_server;

	open_pair(&client, &server);
	open_pair(&other, &other_server);
	proxy_cut_after(proxy, PROXY_ANSWERS, 5);
	say(client, "question");
	hears(server, "question");
	say(server, "answer");
	hears(client, "answe");
	sees_reset(client);
	sees_reset(server);
	TAP_INT(proxy_counts(proxy).cuts, 1);
	TAP_INT(proxy_counts(proxy).resets, 1);
	say(other_server, "a longer answer");
	hears(other, "a longer answer");
	hang_up(client, server);
	hang_up(other, other_server);
}

static void
a_cut_is_taken_back(void)
{
	int client, server;

	open_pair(&client, &server);
	proxy_cut_after(proxy, PROXY_BOTH, 3);
	proxy_cut_after(proxy, PROXY_BOTH, -1);
	say(client, "question");
	hears(server, "question");
	TAP_INT(proxy_counts(proxy).cuts, 0);
	hang_up(client, server);
}

static void
server_is_away(void)
{
	int client;

	close(listener);
	listener = 0;
	client = dial();
	CU_ASSERT_FATAL(client >= 0);
	sees_reset(client);
	close(client);
}

static void
close_by_reset(int fd)
{
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
	close(fd);
}

static void
a_reset_is_passed_on(void)
{
	int client, server;

	open_pair(&client, &server);
	close_by_reset(client);
	sees_reset(server);
	close(server);
}

static void
to_a_socket_of_postgresql(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/pgoutbox-proxy.XXXXXX";
	int client, server, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/.s.PGSQL.5432", dir);
	CU_ASSERT_FATAL(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(fd, 8) == 0);
	close(listener);
	listener = fd;
	proxy_close(&proxy);
	must_begin(dir, 5432);
	open_pair(&client, &server);
	say(client, "question");
	hears(server, "question");
	say(server, "answer");
	hears(client, "answer");
	proxy_reset_all(proxy);
	sees_reset(client);
	sees_end(server);
	hang_up(client, server);
	unlink(addr.sun_path);
	rmdir(dir);
}

static void
a_port_of_choice(void)
{
	struct proxy *second = NULL;
	struct error err = {0};
	int port = proxy_port(proxy);

	TAP_INT(proxy_listen_on(port, "127.0.0.1", server_port, &second, &err), -1);
	CU_ASSERT_PTR_NULL(second);
	proxy_close(&proxy);
	TAP_INT_FATAL(proxy_listen_on(port, "localhost", server_port, &proxy, &err), 0);
	TAP_INT(proxy_port(proxy), port);
	proxy_free(NULL);
	TAP_INT(proxy_new("no address", 1, &second, &err), -1);
}

/* In each mode, with something queued and with ends that are not looked at: no turning on the spot. */
static void
rests_when_idle(void)
{
	for (enum proxy_mode mode = PROXY_PASS; mode <= PROXY_ONE_WAY; mode++) {
		int client, server;
		int64_t before;

		open_pair(&client, &server);
		proxy_set_mode(proxy, mode);
		if (mode != PROXY_REFUSE) {
			say(client, "question");
			say(server, "answer");
			close_by_reset(server);
		}
		before = proxy_counts(proxy).turns;
		proc_sleep_ms(QUIET_MS);
		if (proxy_counts(proxy).turns - before > FEW_TURNS)
			tap_diag("mode \"%s\"", proxy_mode_name(mode));
		CU_ASSERT(proxy_counts(proxy).turns - before <= FEW_TURNS);
		proxy_set_mode(proxy, PROXY_PASS);
		close(client);
		if (mode == PROXY_REFUSE)
			close(server);
	}
}

int
main(void)
{
	tap_suite_fixture("proxy", begin, end);
	tap_test("passes bytes and ends both ways", passes_both_ways);
	tap_test("much at once", much_at_once);
	tap_test("refuses", refuses);
	tap_test("nobody gets the port meanwhile", nobody_gets_the_port_meanwhile);
	tap_test("delays, in order", delays);
	tap_test("throttles", throttles);
	tap_test("a black hole keeps everything", blackhole_keeps_everything);
	tap_test("a black hole hides the end", blackhole_hides_the_end);
	tap_test("what was dropped ends in a reset", drop_ends_in_a_reset);
	tap_test("one way loses answers", one_way_loses_answers);
	tap_test("cuts in the middle", cuts_in_the_middle);
	tap_test("a cut is taken back", a_cut_is_taken_back);
	tap_test("the server is away", server_is_away);
	tap_test("a reset is passed on", a_reset_is_passed_on);
	tap_test("to a socket of PostgreSQL", to_a_socket_of_postgresql);
	tap_test("a port of choice", a_port_of_choice);
	tap_test("rests when idle", rests_when_idle);
	return tap_run();
}
