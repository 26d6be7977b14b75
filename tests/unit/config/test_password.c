/* Tests of src/config/password.c, on files of all sorts. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/password.h"
#include "support/tap.h"

static char dir[] = "/tmp/test_password.XXXXXX";
static char path[64];

static void
begin(void)
{
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	if (mkdtemp(dir) == NULL)
		abort();
	(void)snprintf(path, sizeof(path), "%s/password", dir);
}

static void
end(void)
{
	(void)unlink(path);
	(void)rmdir(path);
	(void)rmdir(dir);
}

static void
put(const void *text, size_t len, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CU_ASSERT_FATAL(fd >= 0 && write(fd, text, len) == (ssize_t)len && fchmod(fd, mode) == 0);
	close(fd);
}

static void
reads(const char *text, const char *expected)
{
	char *password = NULL;
	bool exposed;
	struct error err = {0};

	put(text, strlen(text), 0600);
	if (password_read(path, &password, &exposed, &err) < 0)
		TAP_STR(err.message, "");
	TAP_STR(password, expected);
	free(password);
}

static void
refuses(const char *what)
{
	char *password = NULL;
	bool exposed;
	struct error err = {0};

	TAP_INT(password_read(path, &password, &exposed, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_HAS(err.message, what);
	TAP_HAS(err.message, path);
	CU_ASSERT(strstr(err.message, "hunter") == NULL);
	CU_ASSERT_PTR_NULL(password);
}

static void
test_lines(void)
{
	reads("hunter2", "hunter2");
	reads("hunter2\n", "hunter2");
	reads("hunter2\r\n", "hunter2");
	reads(" with blanks \n", " with blanks ");
}

static void
test_contents(void)
{
	static char text[40000];

	put("", 0, 0600);
	refuses("is empty");
	put("\n", 1, 0600);
	refuses("is empty");
	put("hunter2\nhunter3\n", 16, 0600);
	refuses("more than one line");
	put("hunter\0002", 8, 0600);
	refuses("NUL byte");
	memset(text, 'x', sizeof(text));
	put(text, sizeof(text), 0600);
	refuses("longer than 16384 bytes");
	put(text, 16385, 0600);
	refuses("longer than 16384 bytes");
}

static void
test_longest(void)
{
	static char text[16386];
	char *password;
	bool exposed;
	struct error err;

	memset(text, 'x', 16384);
	text[16384] = '\r';
	text[16385] = '\n';
	put(text, 16386, 0600);
	TAP_INT_FATAL(password_read(path, &password, &exposed, &err), 0);
	TAP_INT(strlen(password), 16384);
	free(password);
}

static void
test_lines_are_kept(void)
{
	static const char key[] = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n";
	char *text;
	bool exposed;
	struct error err;

	put(key, strlen(key), 0600);
	refuses("more than one line");
	TAP_INT_FATAL(password_read_lines(path, &text, &exposed, &err), 0);
	TAP_STR(text, "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----");
	free(text);
	put("\n", 1, 0600);
	TAP_INT(password_read_lines(path, &text, &exposed, &err), -1);
	TAP_HAS(err.message, "is empty");
}

static void
test_no_file(void)
{
	refuses("No such file");
	CU_ASSERT_FATAL(mkdir(path, 0700) == 0);
	refuses("is a directory");
	CU_ASSERT_FATAL(rmdir(path) == 0);
	/* Nobody writes to it: opening it must not wait. */
	CU_ASSERT_FATAL(mkfifo(path, 0600) == 0);
	refuses("not a regular file");
}

static void
test_permission(void)
{
	put("hunter2", 7, 0000);
	/* Root may read everything, so it steps down for a moment. */
	bool root = geteuid() == 0;

	CU_ASSERT_FATAL(!root || seteuid(65534) == 0);
	refuses("Permission denied");
	CU_ASSERT_FATAL(!root || seteuid(0) == 0);
}

static void
test_exposed(void)
{
	char *password;
	bool exposed = false;
	struct error err;

	put("hunter2", 7, 0644);
	TAP_INT_FATAL(password_read(path, &password, &exposed, &err), 0);
	CU_ASSERT(exposed);
	free(password);
	put("hunter2", 7, 0640);
	TAP_INT_FATAL(password_read(path, &password, &exposed, &err), 0);
	CU_ASSERT(!exposed);
	free(password);
}

int
main(void)
{
	tap_suite_fixture("password", begin, end);
	tap_test("the end of the line is dropped, nothing else", test_lines);
	tap_test("what cannot be a password is refused unseen", test_contents);
	tap_test("the longest one is read whole", test_longest);
	tap_test("a key has lines", test_lines_are_kept);
	tap_test("no file, a directory, a pipe", test_no_file);
	tap_test("a file that may not be read", test_permission);
	tap_test("whether everybody can read it", test_exposed);
	return tap_run();
}
