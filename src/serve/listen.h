/* listen.h - "host:port" to a listening TCP socket. Internal to this room. */
#ifndef PGOUTBOX_SERVE_LISTEN_H
#define PGOUTBOX_SERVE_LISTEN_H

#include <stdint.h>

#include "base/error.h"

/* address is "host:port", "[ipv6]:port", or ":port" and "*:port" for every address of the host. A name may take a
 * look-up, and the first of its addresses that can be bound is taken. Port 0 lets the kernel choose. The socket is
 * non-blocking and close-on-exec; *ret_port is the port in use. ERR_CONFIG says what is wrong with the address. */
int listen_open(const char *address, int *ret_fd, uint16_t *ret_port, struct error *err)
	__attribute__((warn_unused_result));

#endif
