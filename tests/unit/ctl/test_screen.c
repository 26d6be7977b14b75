/* test_screen.c - a pseudo-terminal is drawn on, listened to, and given back as it was. */
#include "ctl/screen.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/tap.h"

struct rig {
	int master, kept_stdin;
	FILE *out;
	struct screen screen;
};

static bool
rig_begin(struct rig *r)
{
	r->master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
	if (r->master < 0 || grantpt(r->master) != 0 || unlockpt(r->master) != 0) {
		tap_skip("there are no pseudo-terminals");
		return false;
	}
	r->out = fopen(ptsname(r->master), "r+");
	CU_ASSERT_PTR_NOT_NULL_FATAL(r->out);
	r->kept_stdin = dup(STDIN_FILENO);
	dup2(fileno(r->out), STDIN_FILENO);
	ioctl(r->master, TIOCSWINSZ, &(struct winsize){.ws_row = 3, .ws_col = 8});
	setenv("TERM", "xterm", 1);
	r->screen = screen_open(r->out);
	return true;
}

static void
rig_end(struct rig *r)
{
	screen_close(&r->screen);
	dup2(r->kept_stdin, STDIN_FILENO);
	close(r->kept_stdin);
	fclose(r->out);
	close(r->master);
}

/* What was written to the terminal since the last call. */
static const char *
shown(const struct rig *r, char *text, size_t size)
{
	ssize_t n = read(r->master, text, size - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static tcflag_t
flags(const struct rig *r)
{
	struct termios t;

	tcgetattr(fileno(r->out), &t);
	return t.c_lflag & (ICANON | ECHO);
}

static int64_t
later(int ms)
{
	return clock_mono_us() + ms * INT64_C(1000);
}

static void
test_given_back(void)
{
	struct rig r;
	char text[256];
	sigset_t blocked;

	if (!rig_begin(&r))
		return;
	CU_ASSERT(r.screen.live);
	TAP_STR(shown(&r, text, sizeof(text)), "\033[?1049h\033[?25l");
	TAP_INT(flags(&r), 0);
	screen_close(&r.screen);
	screen_close(&r.screen);
	TAP_STR(shown(&r, text, sizeof(text)), "\033[?25h\033[?1049l");
	TAP_INT(flags(&r), ICANON | ECHO);
	sigprocmask(SIG_BLOCK, NULL, &blocked);
	CU_ASSERT(!sigismember(&blocked, SIGINT) && !sigismember(&blocked, SIGWINCH));
	rig_end(&r);
}

static void
test_drawing(void)
{
	struct rig r;
	char text[256];

	if (!rig_begin(&r))
		return;
	shown(&r, text, sizeof(text));
	screen_show(&r.screen, "12345678\n123\303\2045678 too long\nc\ndoes not fit\n", 1, "\033[31m");
	TAP_STR(shown(&r, text, sizeof(text)), "\033[H12345678\033[K\r\n\033[31m123\303\2045678\033[0m\033[K\r\nc\033[K\033[J");
	screen_show(&r.screen, "a", 0, "");
	TAP_STR(shown(&r, text, sizeof(text)), "\033[Ha\033[K\033[J");
	rig_end(&r);
}

static void
test_events(void)
{
	struct rig r;

	if (!rig_begin(&r))
		return;
	TAP_INT(screen_wait(&r.screen, later(20)), SCREEN_TIME);
	TAP_INT(write(r.master, "x", 1), 1);
	TAP_INT(screen_wait(&r.screen, later(20)), SCREEN_TIME);
	TAP_INT(write(r.master, "yq", 2), 2);
	TAP_INT(screen_wait(&r.screen, later(20000)), SCREEN_QUIT);
	raise(SIGWINCH);
	TAP_INT(screen_wait(&r.screen, later(20000)), SCREEN_CHANGED);
	raise(SIGINT);
	TAP_INT(screen_wait(&r.screen, later(20000)), SCREEN_QUIT);
	raise(SIGTERM);
	TAP_INT(screen_wait(&r.screen, later(20000)), SCREEN_QUIT);
	rig_end(&r);
}

static void
test_no_terminal(void)
{
	FILE *f = tmpfile();
	struct screen s = screen_open(f);

	CU_ASSERT(!s.live);
	TAP_INT(screen_wait(&s, later(20)), SCREEN_TIME);
	screen_close(&s);
	TAP_INT(ftell(f), 0);
	fclose(f);
}

int
main(void)
{
	tap_suite("screen");
	tap_test("a terminal is given back", test_given_back);
	tap_test("drawing", test_drawing);
	tap_test("time, keys, signals", test_events);
	tap_test("no terminal", test_no_terminal);
	return tap_run();
}
