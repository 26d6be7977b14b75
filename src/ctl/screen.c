/* screen.c - in: lines, keys, signals; out: escape sequences that every terminal of today knows. Knows nothing of what they say. */
#include "ctl/screen.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "ctl/term.h"

#define ENTER "\033[?1049h\033[?25l" /* the other screen, no cursor */
#define LEAVE "\033[?25h\033[?1049l"

static void
our_signals(sigset_t *ret_set)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP};

	sigemptyset(ret_set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(ret_set, numbers[i]);
}

static void
enter(struct screen *s)
{
	struct termios quiet = s->saved;

	if (s->keys >= 0) {
		quiet.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		quiet.c_cc[VMIN] = 0;
		quiet.c_cc[VTIME] = 0;
		tcsetattr(s->keys, TCSANOW, &quiet);
	}
	fputs(ENTER, s->out);
	fflush(s->out);
}

static void
leave(struct screen *s)
{
	fputs(LEAVE, s->out);
	fflush(s->out);
	if (s->keys >= 0)
		tcsetattr(s->keys, TCSANOW, &s->saved);
}

struct screen
screen_open(FILE *out)
{
	struct screen s = {.out = out, .live = term_is_live(out), .signals = -1, .keys = -1};
	sigset_t set;

	if (!s.live)
		return s;
	if (isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &s.saved) == 0)
		s.keys = STDIN_FILENO;
	our_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	enter(&s);
	return s;
}

void
screen_close(struct screen *s)
{
	sigset_t set;

	if (!s->live)
		return;
	leave(s);
	s->live = false;
	if (s->signals >= 0)
		close(s->signals);
	s->signals = -1;
	our_signals(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static enum screen_event
take_signal(struct screen *s)
{
	struct signalfd_siginfo info;

	if (read(s->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return SCREEN_CHANGED;
	if (info.ssi_signo == SIGWINCH)
		return SCREEN_CHANGED;
	if (info.ssi_signo != SIGTSTP)
		return SCREEN_QUIT;
	leave(s);
	raise(SIGSTOP);
	enter(s);
	return SCREEN_CHANGED;
}

/* Whether a key was that ends. A terminal that is gone has nothing to read for ever. */
static bool
take_key(struct screen *s, short revents)
{
	char key = '\0';

	if ((revents & POLLIN) == 0 || read(s->keys, &key, 1) != 1)
		return true;
	return key == 'q' || key == 'Q';
}

enum screen_event
screen_wait(struct screen *s, int64_t until_us)
{
	int64_t left_us;

	while ((left_us = until_us - clock_mono_us()) > 0) {
		struct pollfd fds[] = {{.fd = s->signals, .events = POLLIN}, {.fd = s->keys, .events = POLLIN}};

		if (poll(fds, 2, (int)((left_us + 999) / 1000)) <= 0)
			continue;
		if (fds[0].revents != 0)
			return take_signal(s);
		if (fds[1].revents != 0 && take_key(s, fds[1].revents))
			return SCREEN_QUIT;
	}
	return SCREEN_TIME;
}

/* The bytes of the line's first columns, each character taken to be one wide. */
static int
cut(const char *line, int len, int columns)
{
	int n = 0;

	for (int i = 0; i < len; i++)
		if (((unsigned char)line[i] & 0xc0) != 0x80 && n++ == columns)
			return i;
	return len;
}

void
screen_show(struct screen *s, const char *text, int coloured_line, const char *colour)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;
	int columns, lines;

	term_size(s->out, &columns, &lines);
	buf_add_str(&out, "\033[H");
	for (int n = 0; n < lines && *text != '\0'; n++) {
		int len = (int)strcspn(text, "\n");
		bool coloured = n == coloured_line && colour[0] != '\0';

		buf_printf(&out, "%s%s%.*s%s\033[K", n > 0 ? "\n" : "", coloured ? colour : "", cut(text, len, columns), text,
		           coloured ? "\033[0m" : "");
		text += len + (text[len] == '\n');
	}
	buf_add_str(&out, "\033[J");
	fputs(buf_str(&out), s->out);
	fflush(s->out);
}
