/* load.h - a writer (writer.h) in the background of a test, which goes on with other things meanwhile. */
#ifndef PGOUTBOX_TESTS_LOAD_H
#define PGOUTBOX_TESTS_LOAD_H

#include <pthread.h>

#include "support/writer.h"

/* Static or global: a test that fails leaves its writer behind. */
struct load {
	struct writer_options opt;
	struct writer_counts counts;
	struct error err;
	int rc;
	pthread_t thread;
};

/* Sets up load->opt's accounts, then writes. What fails fails the test. */
void load_start(struct load *load);
void load_join(struct load *load);

#endif
