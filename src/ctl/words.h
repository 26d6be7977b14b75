/* words.h - numbers as people read them. */
#ifndef PGOUTBOX_CTL_WORDS_H
#define PGOUTBOX_CTL_WORDS_H

#include <stddef.h>
#include <stdint.h>

#define WORDS_SIZE 40 /* is enough for each of them */

char *words_duration(char *text, int64_t us); /* "12 s", "3 min", "5 h", "2 d"; below 0 is 0 */
char *words_latency(char *text, double seconds); /* "1.2 ms", "3.0 s"; "-" below 0 */
char *words_bytes(char *text, int64_t bytes); /* "8192 B", "12 MB" */
char *words_rate(char *text, double per_second); /* "12.5/s"; "-" below 0 */
char *words_time(char *text, int64_t us); /* "2026-11-21T09:38:28Z", the form of all our times */

#endif
