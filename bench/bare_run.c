/* bare_run.c - in: a world; out: bench/bare started in it, and what it counts. */
#include "bench/bare_run.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/say.h"

struct bare_counters *
bare_map(const char *path)
{
	struct bare_counters *counters = MAP_FAILED;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd != -1 && ftruncate(fd, sizeof(*counters)) == 0)
		counters = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (counters == MAP_FAILED)
		say_die("could not map %s", path);
	close(fd);
	return counters;
}

void
bare_launch(struct world *w, const char *program)
{
	char log[300], path[300];
	const char *const argv[] = {program, w->opt.bare == BARE_FOLLOWS ? "follow" : "drain", world_config(w, 0), path, NULL};
	struct error err;

	snprintf(log, sizeof(log), "%s/d0.log", w->dir);
	snprintf(path, sizeof(path), "%s/counters", w->dir);
	w->bare = bare_map(path);
	say_must(proc_start(&w->daemons[0], log, argv, &err), &err, "start the bare relay");
	w->daemons_count = 1;
}

/* A batch is claimed before its events count as sent, and settled after: read in this order nothing is seen too early. */
struct world_progress
bare_progress(struct world *w)
{
	double settled = (double)atomic_load(&w->bare->settled_batches);
	double sent = (double)atomic_load(&w->bare->sent);

	return (struct world_progress){
		.sent = sent,
		.claimed_batches = (double)atomic_load(&w->bare->claimed_batches),
		.settled_batches = settled,
		.lanes_owned = (double)atomic_load(&w->bare->lanes_begun),
		.lanes = (double)atomic_load(&w->bare->lanes),
		.serving = atomic_load(&w->bare->lanes_begun) > 0,
	};
}

void
bare_forget(struct world *w)
{
	if (w->bare != NULL)
		munmap(w->bare, sizeof(*w->bare));
	w->bare = NULL;
}
