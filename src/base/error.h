/* error.h - what went wrong, and what may be done next.
 *
 * Fallible functions return 0 or -1 and take a struct error * last; on -1 it is filled.
 * The kind is a decision, not a category: it tells the caller how to go on.
 * The message is one line in lower case without a full stop, values quoted; the hint says what to do.
 */
#ifndef PGOUTBOX_BASE_ERROR_H
#define PGOUTBOX_BASE_ERROR_H

enum err_kind {
	ERR_CONFIG = 1, /* a person must change something: exit 78 */
	ERR_RETRY,      /* may heal by itself: back off and try again */
	ERR_POISON,     /* this event, unchanged, can never be sent: park it */
	ERR_FATAL,      /* drain what can be drained and exit */
};

struct error {
	enum err_kind kind;
	char message[640];
	char hint[384]; /* "" = none */
};

/* Fills *err (never NULL), clears its hint; too long a text is cut. Always returns -1. */
int error_set(struct error *err, enum err_kind kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Adds a hint to an error that is set already. Always returns -1. */
int error_hint(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "context: " before the message, keeping kind and hint. Always returns -1. */
int error_prefix(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The value is written out, so that compilers see in the caller what follows from a failure. */
static inline int
error_value(int rc)
{
	(void)rc;
	return -1;
}

#define error_set(...) error_value((error_set)(__VA_ARGS__))
#define error_hint(...) error_value((error_hint)(__VA_ARGS__))
#define error_prefix(...) error_value((error_prefix)(__VA_ARGS__))

/* What a program that ends with such an error returns, from sysexits.h. */
int error_exit_status(enum err_kind kind);

/* "config", "retry", "poison", "fatal". */
const char *error_kind_name(enum err_kind kind);

#endif
