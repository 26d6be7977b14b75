/* load.c - a writer in the background. */
#include "support/load.h"

#include "support/env.h"
#include "support/tap.h"

static void *
load_main(void *arg)
{
	struct load *load = arg;

	load->rc = writer_run(&load->opt, &load->counts, &load->err);
	return NULL;
}

void
load_start(struct load *load)
{
	struct error err;

	ENV_MUST(writer_prepare(&load->opt, &err), &err);
	TAP_INT_FATAL(pthread_create(&load->thread, NULL, load_main, load), 0);
}

void
load_join(struct load *load)
{
	pthread_join(load->thread, NULL);
	ENV_MUST(load->rc, &load->err);
}
