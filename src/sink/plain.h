/* plain.h - librdkafka's words about a broker that it cannot use, in plain ones where those name no cause or a wrong one. */
#ifndef PGOUTBOX_SINK_PLAIN_H
#define PGOUTBOX_SINK_PLAIN_H

/* What to say of it: a text of our own, or the same text. */
const char *plain_reason(const char *text);

#endif
