/* password.c - a path in, the secret in the file out. Its content goes nowhere else. */
#include "config/password.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASSWORD_MAX 16384 /* tokens of cloud providers have some kilobytes */

static int
open_regular(const char *path, struct stat *st, struct error *err)
{
	/* A pipe or a device must not make the daemon wait. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0) {
		int reason = errno;

		error_set(err, ERR_CONFIG, "could not open \"%s\": %s", path, strerror(reason));
		if (reason == EACCES)
			error_hint(err, "the daemon's user must be able to read it, and to enter its directories");
		else if (reason == ENOENT)
			error_hint(err, "create it, or correct the path");
		return -1;
	}
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	(void)close(fd);
	return error_set(err, ERR_CONFIG, "\"%s\" is %s", path,
	                 S_ISDIR(st->st_mode) ? "a directory, not a file" : "not a regular file");
}

static ssize_t
read_all(int fd, char *text, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, text + len, size - len);

		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0)
			len += (size_t)n;
	}
	return (ssize_t)len;
}

/* The length without the end of the line. */
static size_t
trim(const char *text, size_t len)
{
	if (len > 0 && text[len - 1] == '\n')
		len--;
	if (len > 0 && text[len - 1] == '\r')
		len--;
	return len;
}

static int
check_text(const char *path, const char *text, size_t len, bool lines, struct error *err)
{
	if (len == 0) {
		error_set(err, ERR_CONFIG, "\"%s\" is empty", path);
		return error_hint(err, "write the secret into it, and nothing else");
	}
	if (len > PASSWORD_MAX)
		return error_set(err, ERR_CONFIG, "\"%s\" is longer than %d bytes", path, PASSWORD_MAX);
	if (!lines && memchr(text, '\n', len) != NULL) {
		error_set(err, ERR_CONFIG, "\"%s\" has more than one line", path);
		return error_hint(err, "it should hold the password and nothing else");
	}
	if (memchr(text, '\0', len) != NULL)
		return error_set(err, ERR_CONFIG, "\"%s\" holds a NUL byte, which no password can", path);
	return 0;
}

static int
read_secret(const char *path, bool lines, char **ret_text, bool *ret_exposed, struct error *err)
{
	char text[PASSWORD_MAX + 3]; /* the longest, its end of line, and one byte too many */
	struct stat st = {0};
	int fd = open_regular(path, &st, err);
	ssize_t got;
	size_t len;
	char *copy = NULL;

	if (fd < 0)
		return -1;
	got = read_all(fd, text, sizeof(text));
	if (got < 0)
		error_set(err, ERR_CONFIG, "could not read \"%s\": %s", path, strerror(errno));
	(void)close(fd);
	if (got < 0)
		return -1;
	len = trim(text, (size_t)got);
	if (check_text(path, text, len, lines, err) == 0) {
		copy = strndup(text, len);
		if (copy == NULL)
			error_set(err, ERR_RETRY, "out of memory");
	}
	explicit_bzero(text, sizeof(text));
	if (copy == NULL)
		return -1;
	*ret_text = copy;
	*ret_exposed = (st.st_mode & S_IROTH) != 0;
	return 0;
}

int
password_read(const char *path, char **ret_password, bool *ret_exposed, struct error *err)
{
	return read_secret(path, false, ret_password, ret_exposed, err);
}

int
password_read_lines(const char *path, char **ret_text, bool *ret_exposed, struct error *err)
{
	return read_secret(path, true, ret_text, ret_exposed, err);
}
