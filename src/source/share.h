/* share.h - who should have which lanes. Pure: every relay computes the same from the same view.
 *
 * Relays announce themselves by a session advisory lock of their own, lanes are owned by one each; both are read from
 * pg_locks. The relays, ordered by their announced number, get lanes / relays each, and the first lanes % relays one more.
 */
#ifndef PGOUTBOX_SOURCE_SHARE_H
#define PGOUTBOX_SOURCE_SHARE_H

#include <stddef.h>
#include <stdint.h>

/* Advisory locks are (int4, int4) pairs: the table's oid, then a number. Lanes are 0 and up. */
#define SHARE_RELAY_FLAG 0x40000000U /* | a random number: one relay's presence */
#define SHARE_KEEPER 0x20000000U     /* the relay that prunes */
#define SHARE_SWITCH 0x10000000U     /* "pgoutboxctl lanes": all relays let their lanes go while it is held */

struct share {
	int quota; /* how many lanes; all of them together are as many as there are lanes */
	int first; /* where its own range of them begins, so that relays which look for lanes at once do not all try the same ones */
};

/* What the relay self should own, given all announced numbers (self among them or not yet: then it counts in). */
struct share share_of(const uint32_t *relays, size_t count, uint32_t self, int lanes);

#endif
