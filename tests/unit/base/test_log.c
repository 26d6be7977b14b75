/* Tests of src/base/log.c: what arrives at the other end of a pipe, and of a write(2) that misbehaves. */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static int64_t wall_us;
static int write_calls;
static size_t write_most; /* bytes that one call takes, 0 = all */
static int write_errno;   /* the first call fails with it */

static ssize_t
scripted_write(int fd, const void *data, size_t len)
{
	write_calls++;
	if (write_errno != 0 && write_calls == 1) {
		errno = write_errno;
		return -1;
	}
	return write(fd, data, write_most != 0 && len > write_most ? write_most : len);
}

int64_t
clock_wall_us(void)
{
	return wall_us;
}

int64_t
clock_mono_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

#define write scripted_write
#include "../../../src/base/log.c"
#undef write

#include <fcntl.h>
#include <jansson.h>

#include "base/buf.h"
#include "support/tap.h"

static int fds[2] = {-1, -1};
static struct log log_;
static char output[65536];

static void
setup(void)
{
	wall_us = INT64_C(1767323045678901); /* 2026-01-02 03:04:05.678901 UTC */
	write_calls = 0;
	write_most = 0;
	write_errno = 0;
	unsetenv("JOURNAL_STREAM");
	CU_ASSERT_FATAL(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
	log_init(&log_, fds[1], LOG_INFO, LOG_FORMAT_LOGFMT);
}

static void
teardown(void)
{
	close(fds[0]);
	close(fds[1]);
}

/* Everything written so far. */
static const char *
written(void)
{
	ssize_t n = read(fds[0], output, sizeof output - 1);

	output[n > 0 ? n : 0] = '\0';
	return output;
}

static void
test_logfmt(void)
{
	log_write(&log_, LOG_INFO, "lane-owned", "lane %d is ours", 3);
	TAP_STR(written(), "ts=2026-01-02T03:04:05.678Z level=info id=lane-owned msg=\"lane 3 is ours\"\n");
	TAP_INT(write_calls, 1);
}

static void
test_json(void)
{
	log_.format = LOG_FORMAT_JSON;
	log_write(&log_, LOG_WARNING, "kafka-down", "no broker answers");
	TAP_STR(written(), "{\"ts\":\"2026-01-02T03:04:05.678Z\",\"level\":\"warning\",\"id\":\"kafka-down\","
	                   "\"msg\":\"no broker answers\"}\n");
}

/* Where one log is of several, in either format; a name of any length is cut at a character. */
static void
test_outbox(void)
{
	char name[LOG_OUTBOX_MAX + 8];

	log_.outbox = "app.\"Events\"";
	log_write(&log_, LOG_INFO, "lane-owned", "ours");
	TAP_STR(written(), "ts=2026-01-02T03:04:05.678Z level=info id=lane-owned outbox=\"app.\\\"Events\\\"\" msg=\"ours\"\n");
	log_.format = LOG_FORMAT_JSON;
	log_write(&log_, LOG_INFO, "lane-owned", "ours");
	TAP_HAS(written(), "\"id\":\"lane-owned\",\"outbox\":\"app.\\\"Events\\\"\",\"msg\":\"ours\"}");
	memset(name, 'x', sizeof(name) - 1);
	memcpy(name + LOG_OUTBOX_MAX - 1, "\xc3\xa9y", 4);
	log_.outbox = name;
	log_write(&log_, LOG_INFO, "lane-owned", "ours");
	TAP_HAS(written(), "xx\",\"msg\":\"ours\"}");
}

static void
test_journal(void)
{
	log_.journal = true;
	log_write(&log_, LOG_INFO, "lane-owned", "ours");
	TAP_STR(written(), "<6>level=info id=lane-owned msg=\"ours\"\n");
	log_.format = LOG_FORMAT_JSON;
	log_write(&log_, LOG_ERR, "lost", "gone");
	TAP_STR(written(), "<3>{\"level\":\"error\",\"id\":\"lost\",\"msg\":\"gone\"}\n");
}

static void
test_priorities(void)
{
	static const char *const names[] = {"error", "error", "error", "error", "warning", "notice", "info", "debug"};

	log_.level = LOG_DEBUG;
	log_.journal = true;
	for (int priority = LOG_EMERG; priority <= LOG_DEBUG; priority++) {
		char wanted[100];

		log_write(&log_, priority, "x", "y");
		snprintf(wanted, sizeof wanted, "<%d>level=%s id=x msg=\"y\"\n", priority, names[priority]);
		TAP_STR(written(), wanted);
	}
}

static void
test_level_drops(void)
{
	struct error err;

	log_.level = LOG_WARNING;
	log_write(&log_, LOG_NOTICE, "x", "y");
	error_set(&err, ERR_RETRY, "z");
	log_error(&log_, LOG_DEBUG, "x", &err);
	TAP_STR(written(), "");
	TAP_INT(write_calls, 0);
	log_write(&log_, LOG_WARNING, "x", "y");
	TAP_HAS(written(), "level=warning");
}

static void
test_error_and_hint(void)
{
	struct error err;

	error_set(&err, ERR_CONFIG, "no table \"%s\"", "t");
	error_prefix(&err, "outbox");
	log_error(&log_, LOG_ERR, "no-table", &err);
	TAP_STR(written(), "ts=2026-01-02T03:04:05.678Z level=error id=no-table msg=\"outbox: no table \\\"t\\\"\"\n");
	error_hint(&err, "run \"pgoutboxctl init\"");
	log_error(&log_, LOG_ERR, "no-table", &err);
	TAP_STR(written(), "ts=2026-01-02T03:04:05.678Z level=error id=no-table msg=\"outbox: no table \\\"t\\\"\" "
	                   "hint=\"run \\\"pgoutboxctl init\\\"\"\n");
	log_.format = LOG_FORMAT_JSON;
	log_error(&log_, LOG_ERR, "no-table", &err);
	TAP_STR(written(), "{\"ts\":\"2026-01-02T03:04:05.678Z\",\"level\":\"error\",\"id\":\"no-table\","
	                   "\"msg\":\"outbox: no table \\\"t\\\"\",\"hint\":\"run \\\"pgoutboxctl init\\\"\"}\n");
}

static void
test_fields(void)
{
	log_fields(&log_, LOG_INFO, "x", LOG_FIELDS(LOG_TEXT("topic", "a \"b\""), LOG_NUMBER("duration_ms", -12)), "y %d", 1);
	TAP_STR(written(), "ts=2026-01-02T03:04:05.678Z level=info id=x msg=\"y 1\" topic=\"a \\\"b\\\"\" duration_ms=-12\n");
	log_.format = LOG_FORMAT_JSON;
	log_fields(&log_, LOG_INFO, "x", LOG_FIELDS(LOG_TEXT("topic", "a \"b\""), LOG_NUMBER("duration_ms", -12)), "y %d", 1);
	TAP_STR(written(), "{\"ts\":\"2026-01-02T03:04:05.678Z\",\"level\":\"info\",\"id\":\"x\",\"msg\":\"y 1\","
	                   "\"topic\":\"a \\\"b\\\"\",\"duration_ms\":-12}\n");
	log_fields(&log_, LOG_DEBUG, "x", LOG_FIELDS(LOG_NUMBER("n", 1)), "y");
	TAP_STR(written(), "");
}

/* Behind the hint, and the outbox before the text. */
static void
test_error_fields(void)
{
	struct error err;

	error_set(&err, ERR_RETRY, "z");
	error_hint(&err, "h");
	log_.outbox = "public.o";
	log_error_fields(&log_, LOG_ERR, "x", LOG_FIELDS(LOG_NUMBER("lane", 3)), &err);
	TAP_HAS(written(), " id=x outbox=\"public.o\" msg=\"z\" hint=\"h\" lane=3\n");
}

/* Of warnings those above the limit are counted and told of; nothing else is held back. */
static void
test_repeats(void)
{
	struct error err;
	struct log part;
	int lines = 0;

	TAP_INT_FATAL(log_start(&log_, &err), 0);
	part = log_;
	for (int i = 0; i < 40; i++)
		log_write(&part, LOG_WARNING, "again", "number %d", i);
	for (int i = 0; i < 40; i++)
		log_write(&log_, LOG_INFO, "chatter", "y");
	log_tick(&log_); /* too early */
	log_stop(&log_);
	for (const char *at = written(); (at = strstr(at, "id=again")) != NULL; at++)
		lines++;
	TAP_INT(lines, LOG_LIMIT_BURST + 1);
	lines = 0;
	for (const char *at = output; (at = strstr(at, "id=chatter")) != NULL; at++)
		lines++;
	TAP_INT(lines, 40);
	TAP_HAS(output, "level=warning id=again msg=\"repeated 30 times, the last time: number 39\" repeated=30\n");
}

/* A percent sign in an error's text is text. */
static void
test_error_is_no_format(void)
{
	struct error err;

	error_set(&err, ERR_RETRY, "%s", "100%s %n");
	log_error(&log_, LOG_ERR, "x", &err);
	TAP_HAS(written(), "msg=\"100%s %n\"");
}

static void
test_escapes(void)
{
	log_write(&log_, LOG_INFO, "x", "%s", "a\"b\\c\nd\re\tf\x1b[0m\x7f\x01");
	TAP_HAS(written(), "msg=\"a\\\"b\\\\c\\nd\\re\\tf\\x1b[0m\\x7f\\x01\"\n");
	log_.format = LOG_FORMAT_JSON;
	log_write(&log_, LOG_INFO, "x", "%s", "a\"b\\c\nd\re\tf\x1b[0m\x7f\x01");
	TAP_HAS(written(), "\"msg\":\"a\\\"b\\\\c\\nd\\re\\tf\\u001b[0m\\u007f\\u0001\"}");
}

static void
test_utf8(void)
{
	log_write(&log_, LOG_INFO, "x", "%s", "\xe2\x82\xac \xf0\x9f\x90\x98 \xc2\x9b \xc2\xa0 \xff\xe2\x82");
	TAP_HAS(written(), "msg=\"\xe2\x82\xac \xf0\x9f\x90\x98 \\u009b \xc2\xa0 \\xff\\xe2\\x82\"\n");
	log_.format = LOG_FORMAT_JSON;
	log_write(&log_, LOG_INFO, "x", "%s", "\xe2\x82\xac \xc2\x9b \xff");
	TAP_HAS(written(), "\"msg\":\"\xe2\x82\xac \\u009b \\ufffd\"}");
}

/* Any bytes at all give one line, and in JSON one object with these fields and no more. */
static void
test_any_bytes(void)
{
	char text[256];

	for (unsigned int first = 1; first < 256; first++) {
		json_error_t why;
		json_t *object;

		for (unsigned int i = 0; i < 255; i++)
			text[i] = (char)((first * (i + 1) * 7 + i / 3) % 255 + 1);
		text[255] = '\0';
		log_.format = LOG_FORMAT_LOGFMT;
		log_write(&log_, LOG_INFO, "x", "%s", text);
		(void)written();
		TAP_INT_FATAL(strlen(output), strcspn(output, "\n") + 1);
		log_.format = LOG_FORMAT_JSON;
		log_write(&log_, LOG_INFO, "x", "%s", text);
		object = json_loads(written(), JSON_REJECT_DUPLICATES, &why);
		CU_ASSERT_PTR_NOT_NULL_FATAL(object);
		TAP_INT(json_object_size(object), 4);
		json_decref(object);
	}
}

static void
test_long_text_is_cut(void)
{
	char text[4000];
	const char *msg;

	memset(text, 'a', sizeof text);
	text[2048] = '\0';
	log_write(&log_, LOG_INFO, "x", "%s", text);
	msg = strstr(written(), "msg=\"") + 5;
	TAP_INT(strspn(msg, "a"), 2048);
	TAP_STR(msg + 2048, "\"\n");
	text[2048] = 'a';
	text[2049] = '\0';
	log_write(&log_, LOG_INFO, "x", "%s", text);
	msg = strstr(written(), "msg=\"") + 5;
	TAP_INT(strspn(msg, "a"), 2045);
	TAP_STR(msg + 2045, "...\"\n");
}

static void
test_cut_keeps_characters_whole(void)
{
	char text[4000];

	for (size_t shift = 0; shift < 3; shift++) {
		const char *end;

		memset(text, 'a', shift);
		for (size_t i = shift; i + 3 < sizeof text; i += 3)
			strcpy(text + i, "\xe2\x82\xac");
		log_write(&log_, LOG_INFO, "x", "%s", text);
		end = strstr(written(), "...\"\n");
		CU_ASSERT_PTR_NOT_NULL_FATAL(end);
		TAP_INT(strncmp(end - 3, "\xe2\x82\xac", 3), 0);
	}
}

/* The longest that a line can become: what it is made in must hold it. */
static void
test_worst_case(void)
{
	char text[TEXT_MAX + 1];
	char id[ID_MAX + 1];
	char name[FIELD_NAME_MAX + 1];
	struct error err;

	memset(name, 'n', FIELD_NAME_MAX);
	name[FIELD_NAME_MAX] = '\0';

	memset(text, 1, TEXT_MAX);
	text[TEXT_MAX] = '\0';
	memset(id, 'i', ID_MAX);
	id[ID_MAX] = '\0';
	log_.format = LOG_FORMAT_JSON;
	log_write(&log_, LOG_WARNING, id, "%s", text);
	CU_ASSERT(strlen(written()) > 6 * TEXT_MAX);
	error_set(&err, ERR_RETRY, "%s", text);
	error_hint(&err, "%s", text);
	log_error(&log_, LOG_WARNING, id, &err);
	CU_ASSERT(strlen(written()) > 6 * (sizeof err.message + sizeof err.hint - 2));
	log_.outbox = text;
	log_fields(&log_, LOG_WARNING, id,
	           LOG_FIELDS(LOG_TEXT(name, text), LOG_TEXT(name, text), LOG_TEXT(name, text), LOG_TEXT(name, text), LOG_TEXT(name, text),
	                      LOG_TEXT(name, text)), "%s", text);
	CU_ASSERT(strlen(written()) > 6 * (TEXT_MAX + LOG_OUTBOX_MAX + 6 * LOG_FIELD_TEXT_MAX));
}

static void
test_errno_is_kept(void)
{
	errno = ENOENT;
	write_errno = EPIPE;
	log_write(&log_, LOG_INFO, "x", "y");
	TAP_INT(errno, ENOENT);
}

static void
test_interrupted_write(void)
{
	write_errno = EINTR;
	log_write(&log_, LOG_INFO, "x", "y");
	TAP_STR(written(), "ts=2026-01-02T03:04:05.678Z level=info id=x msg=\"y\"\n");
}

static void
test_short_write(void)
{
	write_most = 10;
	log_write(&log_, LOG_INFO, "x", "y");
	TAP_STR(written(), "ts=2026-01-02T03:04:05.678Z level=info id=x msg=\"y\"\n");
	CU_ASSERT(write_calls > 3);
}

/* Nobody reads: the entry is lost, the caller is not held up. */
static void
test_full_pipe(void)
{
	char filler[4096] = {0};

	while (write(fds[1], filler, sizeof filler) > 0)
		;
	log_write(&log_, LOG_INFO, "x", "y");
	TAP_INT(write_calls, 1);
}

/* Each entry as before, but written by the thread; after log_stop() by the caller again. */
static void
test_writer(void)
{
	struct error err;

	TAP_INT_FATAL(log_start(&log_, &err), 0);
	for (int i = 0; i < 3; i++)
		log_write(&log_, LOG_INFO, "x", "%d", i);
	TAP_INT(log_dropped(&log_), 0);
	log_stop(&log_);
	TAP_STR(written(), "ts=2026-01-02T03:04:05.678Z level=info id=x msg=\"0\"\n"
	                   "ts=2026-01-02T03:04:05.678Z level=info id=x msg=\"1\"\n"
	                   "ts=2026-01-02T03:04:05.678Z level=info id=x msg=\"2\"\n");
	log_write(&log_, LOG_INFO, "x", "3");
	TAP_HAS(written(), "msg=\"3\"");
	log_stop(&log_);
}

static void
test_writer_tells_what_was_lost(void)
{
	static const struct {
		enum log_format format;
		bool journal;
		const char *text;
	} forms[] = {
		{LOG_FORMAT_LOGFMT, false,
		 "\nts=2026-01-02T03:04:05.678Z level=warning id=log-dropped msg=\"5 entries were lost here\" hint=\"what"},
		{LOG_FORMAT_LOGFMT, true, "\n<4>level=warning id=log-dropped msg=\"5 entries were lost here\" hint=\""},
		{LOG_FORMAT_JSON, true,
		 "\n<4>{\"level\":\"warning\",\"id\":\"log-dropped\",\"msg\":\"5 entries were lost here\",\"hint\":\""},
	};

	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		struct error err;
		struct buf all = BUF_INIT;

		log_.format = forms[i].format;
		log_.journal = forms[i].journal;
		TAP_INT_FATAL(log_start(&log_, &err), 0);
		while (log_dropped(&log_) < 5)
			log_write(&log_, LOG_INFO, "x", "%0200d", 0);
		for (int64_t wait = 0; strstr(buf_str(&all), "log-dropped") == NULL && wait < 5000; wait++) {
			buf_add_str(&all, written());
			usleep(1000);
		}
		TAP_HAS(buf_str(&all), forms[i].text);
		buf_done(&all);
		log_stop(&log_);
	}
}

/* A program that ends must not wait for whoever does not read. */
static void
test_stop_gives_up(void)
{
	struct error err;
	struct timespec start, end;

	TAP_INT_FATAL(log_start(&log_, &err), 0);
	while (log_dropped(&log_) == 0)
		log_write(&log_, LOG_INFO, "x", "%0200d", 0);
	clock_gettime(CLOCK_MONOTONIC, &start);
	log_stop(&log_);
	clock_gettime(CLOCK_MONOTONIC, &end);
	CU_ASSERT(end.tv_sec - start.tv_sec <= LOG_STOP_US / 1000000 + 2);
	log_write(&log_, LOG_INFO, "x", "said to nobody");
	CU_ASSERT_PTR_NULL(strstr(written(), "said to nobody"));
	for (int i = 0; i < 20; i++) { /* the thread comes to its end before the pipe does */
		(void)written();
		usleep(10000);
	}
}

static void
test_journal_is_detected(void)
{
	struct stat st;
	char stream[100];

	CU_ASSERT_FATAL(fstat(fds[1], &st) == 0);
	snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init(&log_, fds[1], LOG_INFO, LOG_FORMAT_LOGFMT);
	CU_ASSERT(log_.journal);
	snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init(&log_, fds[1], LOG_INFO, LOG_FORMAT_LOGFMT);
	CU_ASSERT(!log_.journal);
	snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev + 1, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init(&log_, fds[1], LOG_INFO, LOG_FORMAT_LOGFMT);
	CU_ASSERT(!log_.journal);
	setenv("JOURNAL_STREAM", "what", 1);
	log_init(&log_, fds[1], LOG_INFO, LOG_FORMAT_LOGFMT);
	CU_ASSERT(!log_.journal);
	unsetenv("JOURNAL_STREAM");
	log_init(&log_, fds[1], LOG_INFO, LOG_FORMAT_LOGFMT);
	CU_ASSERT(!log_.journal);
}

static void
test_level_names(void)
{
	static const char *const names[] = {"error", "warning", "notice", "info", "debug"};

	for (int i = 0; i < 5; i++) {
		TAP_INT(log_level_parse(names[i]), LOG_ERR + i);
		TAP_STR(log_level_name(LOG_ERR + i), names[i]);
	}
	TAP_INT(log_level_parse("Info"), -1);
	TAP_INT(log_level_parse(""), -1);
	TAP_INT(log_level_parse("informative"), -1);
	TAP_STR(log_level_name(LOG_CRIT), NULL);
	TAP_STR(log_level_name(8), NULL);
	TAP_STR(log_level_name(-1), NULL);
}

int
main(void)
{
	tap_suite_fixture("log", setup, teardown);
	tap_test("logfmt", test_logfmt);
	tap_test("json", test_json);
	tap_test("an outbox by its name", test_outbox);
	tap_test("journal", test_journal);
	tap_test("priorities", test_priorities);
	tap_test("entries above the level are dropped", test_level_drops);
	tap_test("error with a hint field", test_error_and_hint);
	tap_test("fields", test_fields);
	tap_test("an error with fields", test_error_fields);
	tap_test("repeats are counted", test_repeats);
	tap_test("an error's text is no format", test_error_is_no_format);
	tap_test("escapes", test_escapes);
	tap_test("utf-8", test_utf8);
	tap_test("any bytes give one line", test_any_bytes);
	tap_test("a long text is cut", test_long_text_is_cut);
	tap_test("a cut keeps characters whole", test_cut_keeps_characters_whole);
	tap_test("the longest line fits", test_worst_case);
	tap_test("errno is kept", test_errno_is_kept);
	tap_test("an interrupted write goes on", test_interrupted_write);
	tap_test("a short write goes on", test_short_write);
	tap_test("a full pipe loses the entry", test_full_pipe);
	tap_test("a thread writes", test_writer);
	tap_test("what was lost is told", test_writer_tells_what_was_lost);
	tap_test("the end waits for no reader", test_stop_gives_up);
	tap_test("the journal is detected", test_journal_is_detected);
	tap_test("names of the levels", test_level_names);
	return tap_run();
}
