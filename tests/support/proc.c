/* proc.c - child processes of a test. Knows nothing of what they do. */
#include "support/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { LOOK_EVERY_MS = 10 };

void
proc_sleep_ms(int ms)
{
	struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000L};

	while (nanosleep(&ts, &ts) == -1 && errno == EINTR)
		;
}

/* In a session of its own, as a service is: Linux shares the processors among sessions (kernel.sched_autogroup_enabled), and what the
 * threads of the parent do would be taken from the child. */
static _Noreturn void
become(const char *log, const char *const argv[], pid_t parent)
{
	int null = open("/dev/null", O_RDONLY);
	int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid();
	if (getppid() != parent || null < 0 || out < 0)
		_exit(127);
	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	execvp(argv[0], (char *const *)(const void *)argv);
	dprintf(STDERR_FILENO, "could not run \"%s\": %s\n", argv[0], strerror(errno));
	_exit(127);
}

int
proc_start(struct proc *p, const char *log, const char *const argv[], struct error *err)
{
	const char *base = strrchr(argv[0], '/');
	pid_t parent = getpid(), pid;

	fflush(NULL);
	pid = fork();
	if (pid == -1)
		return error_set(err, ERR_RETRY, "could not fork: %s", strerror(errno));
	if (pid == 0)
		become(log, argv, parent);
	*p = PROC_NONE;
	p->pid = pid;
	snprintf(p->name, sizeof(p->name), "%s", base == NULL ? argv[0] : base + 1);
	snprintf(p->log, sizeof(p->log), "%s", log);
	return 0;
}

bool
proc_running(struct proc *p)
{
	int status;

	if (p->pid == 0)
		return false;
	if (waitpid(p->pid, &status, WNOHANG) != p->pid)
		return true;
	p->pid = 0;
	p->status = status;
	return false;
}

char *
proc_log_text(const struct proc *p)
{
	FILE *in = fopen(p->log, "re");
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	char chunk[4096];
	size_t n;

	if (out == NULL)
		abort();
	while (in != NULL && (n = fread(chunk, 1, sizeof(chunk), in)) > 0)
		fwrite(chunk, 1, n, out);
	if (in != NULL)
		fclose(in);
	fclose(out);
	return text;
}

bool
proc_log_has(const struct proc *p, const char *text)
{
	char *log = proc_log_text(p);
	bool found = strstr(log, text) != NULL;

	free(log);
	return found;
}

static int
waited_in_vain(const struct proc *p, const char *text, const char *what, struct error *err)
{
	char *log = proc_log_text(p);
	size_t len = strlen(log);
	const char *end = len > 400 ? log + len - 400 : log;

	error_set(err, ERR_FATAL, "%s %s \"%s\"; its log ends: %s", p->name, what, text, end);
	free(log);
	return -1;
}

int
proc_wait_text(struct proc *p, const char *text, int timeout_ms, struct error *err)
{
	int64_t deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000;

	for (;;) {
		bool running = proc_running(p);

		if (proc_log_has(p, text))
			return 0;
		if (!running)
			return waited_in_vain(p, text, "ended without saying", err);
		if (clock_mono_us() > deadline_us)
			return waited_in_vain(p, text, "did not say in time", err);
		proc_sleep_ms(LOOK_EVERY_MS);
	}
}

void
proc_signal(struct proc *p, int signal)
{
	if (p->pid > 0)
		kill(p->pid, signal);
}

void
proc_stop(struct proc *p)
{
	proc_signal(p, SIGSTOP);
	p->stopped = true;
}

void
proc_continue(struct proc *p)
{
	proc_signal(p, SIGCONT);
	p->stopped = false;
}

int
proc_wait(struct proc *p, int timeout_ms)
{
	int64_t deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000;

	while (proc_running(p)) {
		if (clock_mono_us() > deadline_us)
			return -1;
		proc_sleep_ms(LOOK_EVERY_MS);
	}
	return WIFEXITED(p->status) ? WEXITSTATUS(p->status) : 128 + WTERMSIG(p->status);
}

int
proc_terminate(struct proc *p, int timeout_ms)
{
	int rc;

	if (p->stopped)
		proc_continue(p);
	proc_signal(p, SIGTERM);
	rc = proc_wait(p, timeout_ms);
	if (rc == -1)
		proc_kill(p);
	return rc;
}

void
proc_kill(struct proc *p)
{
	if (p->pid <= 0)
		return;
	kill(p->pid, SIGKILL);
	while (waitpid(p->pid, &p->status, 0) == -1 && errno == EINTR)
		;
	p->pid = 0;
}

int
proc_run(const char *const argv[], int timeout_ms, char **ret_output)
{
	struct proc p = PROC_NONE;
	char log[] = "/tmp/pgoutbox-run.XXXXXX";
	int fd = mkstemp(log), rc;
	struct error err;

	if (fd == -1 || proc_start(&p, log, argv, &err) == -1) {
		if (fd != -1)
			close(fd);
		unlink(log);
		*ret_output = strdup("could not start");
		return -1;
	}
	close(fd);
	rc = proc_wait(&p, timeout_ms);
	proc_kill(&p);
	*ret_output = proc_log_text(&p);
	unlink(log);
	return rc;
}
