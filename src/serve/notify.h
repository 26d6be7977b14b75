/* notify.h - tells systemd how the service is, by the protocol of sd_notify(3).
 *
 * Datagrams to the unix socket that $NOTIFY_SOCKET names ("/path" or "@abstract"). Everything is best effort and
 * non-blocking: a manager that does not read must not stop the relay. Without the variable every call does nothing.
 * To be used from one thread.
 */
#ifndef PGOUTBOX_SERVE_NOTIFY_H
#define PGOUTBOX_SERVE_NOTIFY_H

#include <stdint.h>

#include "base/error.h"

struct notify;

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the environment, and removes them from it, so that no
 * child speaks for the daemon. ERR_CONFIG: an address of a kind that is not known (systemd 256 also has "vsock:"), or
 * a watchdog interval that is not a number. ERR_FATAL: no memory, no descriptor. */
int notify_new(struct notify **ret_notify, struct error *err) __attribute__((warn_unused_result));
void notify_free(struct notify *n); /* NULL is fine */

/* How often to call notify_watchdog(): half of what systemd allows; 0 when it does not watch this process. */
int64_t notify_watchdog_interval_us(const struct notify *n);

void notify_ready(struct notify *n);     /* started, or done with a reload */
void notify_reloading(struct notify *n); /* to be followed by notify_ready() */
void notify_stopping(struct notify *n);
void notify_watchdog(struct notify *n);

/* One line for `systemctl status`; line breaks become spaces. Nothing is sent when the text is the same as before. */
void notify_status(struct notify *n, const char *text);

/* Asks for more time while starting or stopping: TimeoutStartSec or TimeoutStopSec is extended to now + us. */
void notify_extend_timeout(struct notify *n, int64_t us);

#endif
