/* proc.h - child processes of a test: their output in a file, waited for, signalled, and never left behind.
 *
 * A child dies with the thread that started it, by the kernel, whatever becomes of the test. It has a session of its own, so what is
 * typed at a terminal reaches the test alone.
 */
#ifndef PGOUTBOX_TESTS_PROC_H
#define PGOUTBOX_TESTS_PROC_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

struct proc {
	pid_t pid;      /* 0 = not running */
	int status;     /* as waitpid(2) gave it, once pid is 0 again */
	char name[64];  /* for messages */
	char log[512];  /* both output streams, appended */
	bool stopped;   /* by proc_stop() */
};

#define PROC_NONE ((struct proc){0, 0, "", "", false})

/* argv[0] is searched in PATH. Standard input is /dev/null. */
int proc_start(struct proc *p, const char *log, const char *const argv[], struct error *err)
    __attribute__((warn_unused_result));

bool proc_running(struct proc *p); /* reaps it when it has ended */

/* Waits for a text in the log. -1 when the child ends first or the time passes; err then quotes the log's end. */
int proc_wait_text(struct proc *p, const char *text, int timeout_ms, struct error *err)
    __attribute__((warn_unused_result));
bool proc_log_has(const struct proc *p, const char *text);
char *proc_log_text(const struct proc *p); /* the whole log, malloc'd, never NULL */

void proc_signal(struct proc *p, int signal);
void proc_stop(struct proc *p);     /* SIGSTOP */
void proc_continue(struct proc *p); /* SIGCONT */

/* The exit status; 128 + the signal that ended it; -1 when it still runs after the time. */
int proc_wait(struct proc *p, int timeout_ms);

int proc_terminate(struct proc *p, int timeout_ms); /* SIGTERM, then as proc_wait(); SIGKILL when the time passes */
void proc_kill(struct proc *p);                     /* SIGKILL and reap; for cleanup attributes too */

/* Runs to the end; the exit status as proc_wait() gives it, and both output streams, malloc'd, never NULL. */
int proc_run(const char *const argv[], int timeout_ms, char **ret_output);

void proc_sleep_ms(int ms);

#endif
