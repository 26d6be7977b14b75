/* process.c - /proc in, figures of this process out. */
#include "metrics/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The whole file as a string, cut at size; "" when it cannot be read. */
static void
read_file(const char *path, char *text, size_t size)
{
	size_t len = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t got;
		while (len < size - 1 && (got = read(fd, text + len, size - 1 - len)) > 0)
			len += (size_t)got;
		close(fd);
	}
	text[len] = '\0';
}

static int64_t
ticks_to_us(uint64_t ticks)
{
	long per_second = sysconf(_SC_CLK_TCK);
	return per_second > 0 ? (int64_t)(ticks * 1000000 / (uint64_t)per_second) : -1;
}

/* "btime" follows the per-CPU lines and one that can be long, so the file is read by lines. */
static int64_t
boot_us(void)
{
	FILE *f = fopen("/proc/stat", "re");
	char line[256];
	int64_t boot_s = -1;
	if (f == NULL)
		return -1;
	while (boot_s < 0 && fgets(line, sizeof(line), f) != NULL)
		(void)sscanf(line, "btime %" SCNd64, &boot_s);
	fclose(f);
	return boot_s < 0 ? -1 : boot_s * 1000000;
}

/* The command name in field 2 may hold anything, so the fields are counted from its closing parenthesis. */
static void
read_stat(struct process_figures *p)
{
	char text[1024];
	uint64_t user, system, start, bytes;
	int64_t pages;
	read_file("/proc/self/stat", text, sizeof(text));
	const char *rest = strrchr(text, ')');
	if (rest == NULL ||
	    sscanf(rest + 1,
	           " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
	           " %*d %*d %*d %*d %*d %*d %" SCNu64 " %" SCNu64 " %" SCNd64,
	           &user, &system, &start, &bytes, &pages) != 5)
		return;
	int64_t booted_us = boot_us();
	p->cpu_us = ticks_to_us(user + system);
	p->start_us = booted_us < 0 ? -1 : booted_us + ticks_to_us(start);
	p->virtual_bytes = (int64_t)bytes;
	p->resident_bytes = pages * sysconf(_SC_PAGESIZE);
}

/* The descriptor that reads the directory is not counted. */
static int64_t
count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int64_t count = -1;
	if (dir == NULL)
		return -1;
	for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		if (entry->d_name[0] != '.')
			count++;
	}
	closedir(dir);
	return count;
}

struct process_figures
process_read(void)
{
	struct process_figures p = {-1, -1, -1, -1, -1, -1};
	struct rlimit limit;
	read_stat(&p);
	p.open_fds = count_fds();
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur <= INT64_MAX)
		p.max_fds = (int64_t)limit.rlim_cur;
	return p;
}
