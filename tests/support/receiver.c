/* receiver.c - in: posts; out: what they said. */
#include "support/receiver.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sha256.h"
#include "support/tap.h"

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
answer(struct receiver *r, int fd, enum receiver_manner how)
{
	static char filler[65536];

	if (how == TAKES)
		dprintf(fd, "HTTP/1.1 204 No Content\r\n\r\n");
	else if (how == FAILS)
		dprintf(fd, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
	else if (how == REDIRECTS)
		dprintf(fd, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", r->url);
	else if (how == FLOODS) {
		dprintf(fd, "HTTP/1.1 200 OK\r\n\r\n");
		while (send(fd, filler, sizeof(filler), MSG_NOSIGNAL) > 0)
			;
	}
	while (how == HANGS && !r->stopping)
		usleep(5000);
}

static void *
serve(void *ctx)
{
	struct receiver *r = ctx;
	struct pollfd p = {.fd = r->listener, .events = POLLIN};

	while (!r->stopping) {
		char text[4096];
		int fd;

		if (poll(&p, 1, 20) <= 0 || (fd = accept(r->listener, NULL, NULL)) < 0)
			continue;
		if (read_request(fd, text, sizeof(text)) > 0) {
			if (r->requests < RECEIVER_KEPT)
				memcpy(r->kept[r->requests], text, sizeof(text));
			r->requests++;
			answer(r, fd, r->manner);
		}
		close(fd);
	}
	return NULL;
}

void
receiver_start(struct receiver *r)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	r->manner = TAKES;
	r->requests = 0;
	r->stopping = false;
	r->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CU_ASSERT_FATAL(bind(r->listener, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(r->listener, 64) == 0);
	CU_ASSERT_FATAL(getsockname(r->listener, (struct sockaddr *)&a, &len) == 0);
	snprintf(r->url, sizeof(r->url), "http://127.0.0.1:%d/x?token=hidden", ntohs(a.sin_port));
	CU_ASSERT_FATAL(pthread_create(&r->thread, NULL, serve, r) == 0);
}

void
receiver_stop(struct receiver *r)
{
	if (r->url[0] == '\0')
		return;
	r->stopping = true;
	pthread_join(r->thread, NULL);
	close(r->listener);
	r->url[0] = '\0';
}

bool
receiver_signed(const struct receiver *r, int request, const char *secret)
{
	const char *header = strstr(r->kept[request], "X-Pgoutbox-Signature: t=");
	const char *body = strstr(r->kept[request], "\r\n\r\n");
	unsigned char mac[SHA256_BYTES];
	char wanted[128] = ",v1=";
	struct slice parts[3];

	if (header == NULL || body == NULL || header > body)
		return false;
	parts[0] = (struct slice){header + 24, strcspn(header + 24, ",")};
	parts[1] = slice_from(".");
	parts[2] = slice_from(body + 4);
	sha256_hmac(slice_from(secret), parts, 3, mac);
	for (int i = 0; i < SHA256_BYTES; i++)
		snprintf(wanted + 4 + 2 * i, 3, "%02x", mac[i]);
	strcat(wanted, "\r\n");
	return strncmp(header + 24 + parts[0].len, wanted, strlen(wanted)) == 0;
}

int
receiver_count(const struct receiver *r, const char *text, int *ret_first)
{
	int kept = r->requests < RECEIVER_KEPT ? r->requests : RECEIVER_KEPT, count = 0;

	for (int i = kept - 1; i >= 0; i--)
		if (strstr(r->kept[i], text) != NULL) {
			count++;
			if (ret_first != NULL)
				*ret_first = i;
		}
	return count;
}
