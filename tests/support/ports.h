/* ports.h - TCP ports of 127.0.0.1 that are a test's own: chosen, and held until it ends.
 *
 * A port that was merely free a moment ago may be somebody else's by the time a server wants it, and again whenever the server
 * is down. So a socket stays bound to each: with SO_REUSEADDR, so that a server that sets it too, as all of ours do, may listen
 * there, and without listening, so that nobody is heard until then. Whoever chooses a port binds without SO_REUSEADDR
 * first, which fails where another holds it. tests/support/hold-ports does the same for scripts.
 *
 * Ports come from below the range that the kernel hands out by itself: no client that connects to one in vain ends up
 * connected to itself.
 */
#ifndef PGOUTBOX_TESTS_PORTS_H
#define PGOUTBOX_TESTS_PORTS_H

/* Held by this process until it ends. -1 when there is none. */
int ports_take(void);

/* Binds the socket, which then has SO_REUSEADDR and may listen. The port, or -1. */
int ports_bind(int fd);

#endif
