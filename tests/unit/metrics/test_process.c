/* The figures of this very process. */
#include <dirent.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "metrics/process.h"
#include "support/tap.h"

static void
started_a_moment_ago(void)
{
	struct process_figures p = process_read();
	int64_t age_us = clock_wall_us() - p.start_us;
	CU_ASSERT(age_us > -2000000 && age_us < 60000000); /* the boot time of the kernel is in whole seconds */
	CU_ASSERT(process_read().start_us == p.start_us);
}

/* User time. */
static void
compute(void)
{
	volatile unsigned n = 0;
	while (n < 1000000)
		n++;
}

/* Mostly system time. */
static void
call(void)
{
	for (int i = 0; i < 1000; i++)
		close(-1);
}

/* A tenth of a second of the processor's time. */
static void
spend(void (*work)(void))
{
	struct timespec used, begin;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
	do {
		work();
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	} while ((used.tv_sec - begin.tv_sec) * 1000000000L + used.tv_nsec - begin.tv_nsec < 100000000L);
}

static void
cpu_time_is_counted(void)
{
	int64_t before_us = process_read().cpu_us;
	CU_ASSERT(before_us >= 0);
	spend(compute);
	int64_t after_us = process_read().cpu_us;
	CU_ASSERT(after_us - before_us >= 70000 && after_us - before_us < 1000000);
	spend(call);
	CU_ASSERT(process_read().cpu_us - after_us >= 70000);
}

static void
memory_is_counted(void)
{
	enum { SIZE = 32 << 20, SLACK = 4 << 20 };
	struct process_figures before = process_read();
	char *area = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(area != MAP_FAILED);
	memset(area, 1, SIZE);
	struct process_figures after = process_read();
	CU_ASSERT(before.resident_bytes > 0 && before.virtual_bytes >= before.resident_bytes);
	CU_ASSERT(after.resident_bytes - before.resident_bytes > SIZE - SLACK);
	CU_ASSERT(after.resident_bytes - before.resident_bytes < SIZE + SLACK);
	CU_ASSERT(after.virtual_bytes - before.virtual_bytes >= SIZE);
	munmap(area, SIZE);
}

static void
descriptors_are_counted(void)
{
	struct rlimit limit;
	int64_t before = -3; /* ".", ".." and the directory's own */
	DIR *dir = opendir("/proc/self/fd");
	CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
	while (readdir(dir) != NULL)
		before++;
	closedir(dir);
	TAP_INT(process_read().open_fds, before);
	int fds[2];
	TAP_INT_FATAL(pipe(fds), 0);
	TAP_INT(process_read().open_fds, before + 2);
	close(fds[0]);
	close(fds[1]);
	TAP_INT(process_read().open_fds, before);
	getrlimit(RLIMIT_NOFILE, &limit);
	TAP_INT(process_read().max_fds, limit.rlim_cur);
}

int
main(void)
{
	tap_suite("process");
	tap_test("it started a moment ago", started_a_moment_ago);
	tap_test("CPU time is counted", cpu_time_is_counted);
	tap_test("memory is counted", memory_is_counted);
	tap_test("descriptors are counted", descriptors_are_counted);
	return tap_run();
}
