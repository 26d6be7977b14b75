/* Tests of src/base/log_writer.c: pipes that nobody reads, and a write(2) that does what the test tells it. */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

static atomic_int write_calls, failures_left, failure;
static _Atomic size_t write_most; /* bytes that one call takes, 0 = all */
static atomic_int delay_us;

static ssize_t
scripted_write(int fd, const void *data, size_t len)
{
	write_calls++;
	if (delay_us != 0)
		nanosleep(&(struct timespec){.tv_nsec = delay_us * 1000L}, NULL);
	if (failures_left > 0) {
		failures_left--;
		errno = failure;
		return failure == 0 ? 0 : -1;
	}
	return write(fd, data, write_most != 0 && len > write_most ? write_most : len);
}

#define write scripted_write
#include "base/log_writer.c"
#undef write

#include <fcntl.h>
#include <stdio.h>

#include "base/buf.h"
#include "support/tap.h"

enum { LINES = 6000, LINE_BYTES = 100 }; /* more than fits */

static int fds[2];
static struct log_writer *w;

static size_t
tell(const void *ctx, uint64_t dropped, char *ret_line, size_t size)
{
	TAP_STR(ctx, "ctx");
	return (size_t)snprintf(ret_line, size, "%llu dropped\n", (unsigned long long)dropped);
}

static void
setup(void)
{
	struct log_writer_options opt = {.tell_dropped = tell, .ctx = "ctx"};
	struct error err;

	write_calls = failures_left = delay_us = 0;
	write_most = 0;
	CU_ASSERT_FATAL(pipe2(fds, O_CLOEXEC) == 0);
	CU_ASSERT_FATAL(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
	opt.fd = fds[1];
	TAP_INT_FATAL(log_writer_new(&opt, &w, &err), 0);
}

static void
teardown(void)
{
	if (w != NULL)
		log_writer_free(w, 5000000);
	w = NULL;
	close(fds[0]);
	close(fds[1]);
}

static void
sleep_us(long us)
{
	nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000}, NULL);
}

static void
put(const char *line)
{
	log_writer_put(w, line, strlen(line));
}

/* Some are short: they would fit where a long one does not. */
static size_t
put_number(int i)
{
	char line[LINE_BYTES + 1];
	int len = snprintf(line, sizeof(line), "%0*d\n", i % 7 == 0 ? 8 : LINE_BYTES - 1, i);

	put(line);
	return (size_t)len;
}

/* Reads until there is a line that begins so, and returns all. */
static struct buf
read_until(const char *line)
{
	struct buf all = BUF_INIT;
	int64_t end_us = clock_mono_us() + 10000000;

	while (clock_mono_us() < end_us) {
		char chunk[4096];
		ssize_t n = read(fds[0], chunk, sizeof(chunk));
		const char *found;

		if (n > 0) {
			buf_add(&all, chunk, (size_t)n);
			continue;
		}
		found = strstr(buf_str(&all), line);
		if (found != NULL && strchr(found, '\n') != NULL)
			return all;
		sleep_us(1000);
	}
	CU_FAIL("the line does not come");
	return all;
}

static void
expect_text(const char *text, const char *last)
{
	struct buf all = read_until(last);

	TAP_STR(buf_str(&all), text);
	buf_done(&all);
}

static void
lines_come_in_order(void)
{
	put("one\n");
	put("two\n");
	put("three\n");
	expect_text("one\ntwo\nthree\n", "three");
	TAP_INT(write_calls, 3);
	TAP_INT(log_writer_dropped(w), 0);
}

/* What a program said is out, even when it crashes in the next instant. A busy machine may need more than one try. */
static void
caller_waits_for_its_line(void)
{
	bool there = false;

	for (int i = 0; i < 50 && !there; i++) {
		char line[8] = "";

		delay_us = 2000;
		put("line\n");
		there = read(fds[0], line, sizeof(line)) == 5;
		delay_us = 0;
		sleep_us(100000); /* the share of time is given back */
		(void)!read(fds[0], line, sizeof(line));
	}
	CU_ASSERT_TRUE(there);
}

/* A slow reader takes a small share of the caller's time, which is 2 s for these lines. */
static void
caller_is_not_slowed(void)
{
	int64_t start_us = clock_mono_us();

	delay_us = 5000;
	for (int i = 0; i < 400; i++)
		put("line\n");
	CU_ASSERT(clock_mono_us() - start_us < 1000000);
	delay_us = 0;
}

static size_t
flood(void)
{
	int64_t start_us = clock_mono_us();
	size_t bytes = 0;

	for (int i = 0; i < LINES; i++)
		bytes += put_number(i);
	CU_ASSERT(clock_mono_us() - start_us < 10000000);
	CU_ASSERT_FATAL(log_writer_dropped(w) > 0);
	return bytes;
}

/* Reads LINES numbers in a row, where each gap is told by a line in its place. Returns the sum of what was told. */
static int
read_numbers(size_t *ret_bytes)
{
	FILE *in = fdopen(dup(fds[0]), "r");
	int next = 0, dropped = 0;
	char line[256];

	CU_ASSERT_FATAL(fcntl(fds[0], F_SETFL, 0) == 0);
	*ret_bytes = 0;
	alarm(60); /* what does not come ends the test */
	while (next < LINES && fgets(line, sizeof(line), in) != NULL) {
		if (strstr(line, "dropped") != NULL) {
			next += atoi(line);
			dropped += atoi(line);
			continue;
		}
		TAP_INT_FATAL(atoi(line), next);
		*ret_bytes += strlen(line);
		next++;
	}
	alarm(0);
	fclose(in);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	TAP_INT(next, LINES);
	return dropped;
}

static void
nobody_reads(void)
{
	size_t said = flood(), kept;
	int dropped = read_numbers(&kept);

	TAP_INT(log_writer_dropped(w), dropped);
	CU_ASSERT(kept < said);
	CU_ASSERT(kept > HALF_BYTES - LINE_BYTES);
	CU_ASSERT(kept <= 2 * HALF_BYTES + 65536); /* the pipe has some, too */
	put("again\n");
	expect_text("again\n", "again");
	TAP_INT(log_writer_dropped(w), dropped);
}

static void
full_disk(void)
{
	failure = ENOSPC;
	failures_left = 2;
	put("one\n");
	put("two\n");
	sleep_us(300000);
	TAP_INT(write_calls, 1); /* does not try all the time */
	expect_text("one\ntwo\n", "two");
	TAP_INT(log_writer_dropped(w), 0);
}

static void
odd_writes(void)
{
	static const int reasons[] = {EINTR, EAGAIN, 0};

	write_most = 2;
	for (int i = 0; i < 3; i++) {
		failure = reasons[i];
		failures_left = 1;
		put("a line\n");
		expect_text("a line\n", "a line");
	}
}

static void
free_writes_what_waits(void)
{
	delay_us = 1000;
	for (int i = 0; i < 50; i++)
		put("line\n");
	put("last\n");
	CU_ASSERT_TRUE(log_writer_free(w, 10000000));
	w = NULL;
	struct buf all = read_until("last");
	TAP_INT(all.len, 51 * 5);
	buf_done(&all);
}

static void
free_gives_up(void)
{
	int64_t start_us = clock_mono_us();

	flood();
	CU_ASSERT_FALSE(log_writer_free(w, 100000));
	w = NULL;
	CU_ASSERT(clock_mono_us() - start_us < 5000000);
	for (int i = 0; i < 20; i++) { /* the thread comes to its end, and frees */
		char chunk[65536];

		(void)!read(fds[0], chunk, sizeof(chunk));
		sleep_us(10000);
	}
}

/* A write that failed is not tried again when all is to end. */
static void
free_gives_up_on_a_full_disk(void)
{
	failure = ENOSPC;
	failures_left = 1000;
	put("line\n");
	CU_ASSERT_FALSE(log_writer_free(w, 50000));
	w = NULL;
	sleep_us(200000);
	CU_ASSERT(write_calls <= 3);
}

static void *
put_many(void *ctx)
{
	for (int i = 0; i < 500; i++)
		put(ctx);
	return NULL;
}

static void
many_threads(void)
{
	char lines[2][17] = {"aaaaaaaaaaaaaaa\n", "bbbbbbbbbbbbbbb\n"};
	pthread_t threads[2];
	struct buf all;
	size_t count = 0;

	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, put_many, lines[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	put("end\n");
	all = read_until("end");
	for (const char *p = buf_str(&all); *p != 'e'; p += 16, count++)
		CU_ASSERT_FATAL(memcmp(p, lines[0], 16) == 0 || memcmp(p, lines[1], 16) == 0);
	TAP_INT(count, 1000);
	buf_done(&all);
}

int
main(void)
{
	tap_suite_fixture("log_writer", setup, teardown);
	tap_test("lines come in order", lines_come_in_order);
	tap_test("a caller waits for its line", caller_waits_for_its_line);
	tap_test("a slow reader does not slow the caller", caller_is_not_slowed);
	tap_test("nobody reads", nobody_reads);
	tap_test("a full disk", full_disk);
	tap_test("interrupted, short and refused writes", odd_writes);
	tap_test("free writes what waits", free_writes_what_waits);
	tap_test("free gives up", free_gives_up);
	tap_test("free gives up on a full disk", free_gives_up_on_a_full_disk);
	tap_test("many threads", many_threads);
	return tap_run();
}
