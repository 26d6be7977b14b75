/* Tests of the children that tests start. */
#include "support/proc.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/tap.h"

/* The session is the sixth field of /proc/PID/stat. */
static void
test_session(void)
{
	static const char *const argv[] = {"sh", "-c", "read pid name state parent group session rest </proc/$$/stat; echo $pid $session", NULL};
	char *output;
	int pid = 0, session = 0;

	TAP_INT(proc_run(argv, 10000, &output), 0);
	TAP_INT(sscanf(output, "%d %d", &pid, &session), 2);
	TAP_INT(session, pid);
	CU_ASSERT(session != getsid(0));
	free(output);
}

int
main(void)
{
	tap_suite("proc");
	tap_test("a child has a session of its own", test_session);
	return tap_run();
}
