/* cpu.c - in: process ids; out: what /proc tells of them. */
#include "bench/cpu.h"

#include <ctype.h>
#include <dirent.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct stat_line {
	pid_t parent;
	int64_t own_us, reaped_us;
};

/* The name, in parentheses, may hold anything: the fields begin behind the last of them. */
static bool
read_stat(pid_t pid, struct stat_line *ret_line)
{
	int64_t tick_us = 1000000 / sysconf(_SC_CLK_TCK);
	char path[64], text[1024], *fields;
	unsigned long user, system;
	long reaped_user, reaped_system;
	FILE *in;
	size_t len;
	int parent;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	in = fopen(path, "re");
	if (in == NULL)
		return false;
	len = fread(text, 1, sizeof(text) - 1, in);
	fclose(in);
	text[len] = '\0';
	fields = strrchr(text, ')');
	if (fields == NULL || sscanf(fields + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld", &parent, &user,
	                             &system, &reaped_user, &reaped_system) != 5)
		return false;
	ret_line->parent = parent;
	ret_line->own_us = (int64_t)(user + system) * tick_us;
	ret_line->reaped_us = (int64_t)(reaped_user + reaped_system) * tick_us;
	return true;
}

static int64_t
of_children(pid_t pid)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	struct stat_line line;
	int64_t sum_us = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		pid_t child = (pid_t)strtol(entry->d_name, NULL, 10);

		if (isdigit((unsigned char)entry->d_name[0]) && read_stat(child, &line) && line.parent == pid)
			sum_us += line.own_us + line.reaped_us;
	}
	if (dir != NULL)
		closedir(dir);
	return sum_us;
}

int64_t
cpu_of_family(pid_t pid)
{
	struct stat_line line;
	int64_t children_us = of_children(pid);

	if (!read_stat(pid, &line))
		return -1;
	return line.own_us + line.reaped_us + children_us;
}

pid_t
cpu_parent(pid_t pid)
{
	struct stat_line line;

	return read_stat(pid, &line) ? line.parent : -1;
}

int
cpu_cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
}

int64_t
cpu_peak_bytes(pid_t pid)
{
	char path[64], line[256];
	int64_t kib = -1;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	in = fopen(path, "re");
	while (in != NULL && fgets(line, sizeof(line), in) != NULL) {
		if (strncmp(line, "VmHWM:", 6) == 0)
			kib = strtoll(line + 6, NULL, 10);
	}
	if (in != NULL)
		fclose(in);
	return kib < 0 ? -1 : kib * 1024;
}
