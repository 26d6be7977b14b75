/* Tests of src/config/config.c: whole files. Each bad/NAME.yaml must give exactly the complaints in bad/NAME.err. */
#include "config/config.h"

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/tap.h"

static char dir[64];

/* Each test works in a directory of its own, and names files as an operator would. */
static void
begin(void)
{
	strcpy(dir, "/tmp/test_config.XXXXXX");
	if (mkdtemp(dir) == NULL || chdir(dir) < 0)
		abort();
}

static void
end(void)
{
	(void)unlink("pgoutboxd.yaml");
	(void)unlink("password");
	(void)unlink("key");
	if (chdir("/") < 0 || rmdir(dir) < 0)
		abort();
}

static void
put(const char *name, const char *text, size_t len, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CU_ASSERT_FATAL(fd >= 0 && write(fd, text, len) == (ssize_t)len && fchmod(fd, mode) == 0);
	close(fd);
}

static void
put_config(const char *text, mode_t mode)
{
	put("pgoutboxd.yaml", text, strlen(text), mode);
}

static config_check *also; /* given to config_load() */

static int
load(const char *path, struct config *ret_cfg, struct buf *said)
{
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	int rc = config_load(path, also, ret_cfg, &problems);

	TAP_INT(rc, problems.errors == 0 ? 0 : -1);
	config_problems_print(&problems, said);
	config_problems_done(&problems);
	return rc;
}

static void
loads(const char *path, const char *warnings)
{
	struct buf said __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config cfg = {0};

	TAP_INT(load(path, &cfg, &said), 0);
	TAP_STR(buf_str(&said), warnings);
	config_done(&cfg);
}

static void
refuses(const char *path, const char *expected)
{
	struct buf said __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config cfg, before;

	memset(&cfg, 0x5A, sizeof(cfg));
	before = cfg;
	TAP_INT(load(path, &cfg, &said), -1);
	TAP_STR(buf_str(&said), expected);
	CU_ASSERT(memcmp(&cfg, &before, sizeof(cfg)) == 0);
}

static void
read_text(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "r");

	CU_ASSERT_FATAL(f != NULL);
	text[fread(text, 1, size - 1, f)] = '\0';
	fclose(f);
}

static char bad_dir[4096];

static void
test_bad_files(void)
{
	static char expected[65536];
	char err_path[512];
	glob_t names;

	CU_ASSERT_FATAL(chdir(bad_dir) == 0);
	CU_ASSERT_FATAL(glob("*.yaml", 0, NULL, &names) == 0);
	CU_ASSERT(names.gl_pathc >= 50);
	for (size_t i = 0; i < names.gl_pathc; i++) {
		const char *name = names.gl_pathv[i];

		tap_diag("%s", name);
		(void)snprintf(err_path, sizeof(err_path), "%.*s.err", (int)strlen(name) - 5, name);
		read_text(err_path, expected, sizeof(expected));
		refuses(name, expected);
		CU_ASSERT(strstr(expected, "hunter2") == NULL);
	}
	globfree(&names);
}

static const char good[] = "database: {conninfo: dbname=app}\nkafka: {brokers: a}\n";

static void
test_good(void)
{
	put_config(good, 0644);
	loads("pgoutboxd.yaml", "");
}

static void
test_unreadable(void)
{
	bool root = geteuid() == 0;

	refuses("missing.yaml", "missing.yaml: could not read the file: No such file or directory; pgoutboxd "
	                        "--print-defaults writes an example to begin with\n");
	refuses("/", "/: could not read the file: Is a directory\n");
	put_config(good, 0000);
	CU_ASSERT_FATAL(!root || seteuid(65534) == 0);
	refuses("pgoutboxd.yaml", "pgoutboxd.yaml: could not read the file: Permission denied; the daemon's user "
	                          "must be able to read it, and to enter its directories\n");
	CU_ASSERT_FATAL(!root || seteuid(0) == 0);
}

static void
test_length(void)
{
	char *text = malloc(CONFIG_TEXT_MAX + 1);

	CU_ASSERT_FATAL(text != NULL);
	memset(text, '#', CONFIG_TEXT_MAX + 1);
	memcpy(text, good, strlen(good));
	put("pgoutboxd.yaml", text, CONFIG_TEXT_MAX, 0644);
	loads("pgoutboxd.yaml", "");
	put("pgoutboxd.yaml", text, CONFIG_TEXT_MAX + 1, 0644);
	refuses("pgoutboxd.yaml",
	        "pgoutboxd.yaml: longer than 1048576 bytes, which is no configuration of pgoutboxd\n");
	free(text);
}

static void
test_password_file(void)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf said __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf expected __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config cfg = {0};

	buf_printf(&text, "database:\n  conninfo: dbname=app\n  password_file: %s/password\nkafka: {brokers: "
	                  "a}\n", dir);
	put_config(buf_str(&text), 0644);
	buf_printf(&expected, "pgoutboxd.yaml:3:18: database.password_file: could not open \"%s/password\": No "
	                      "such file or directory; create it, or correct the path\n", dir);
	refuses("pgoutboxd.yaml", buf_str(&expected));
	put("password", "hunter2\n", 8, 0600);
	TAP_INT_FATAL(load("pgoutboxd.yaml", &cfg, &said), 0);
	TAP_STR(buf_str(&said), "");
	TAP_STR(cfg.database.password, "hunter2");
	config_done(&cfg);
	put("password", "hunter2\n", 8, 0644);
	buf_reset(&expected);
	buf_printf(&expected, "pgoutboxd.yaml:3:18: warning: database.password_file: everybody on this machine "
	                      "can read \"%s/password\"; chmod it to 0600 or 0640\n", dir);
	loads("pgoutboxd.yaml", buf_str(&expected));
}

static void
put_secrets(const char *password, const char *key)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;

	put("password", password, strlen(password), 0600);
	put("key", key, strlen(key), 0600);
	buf_printf(&text, "database:\n  conninfo: dbname=app\n  sslpassword_file: %s/password\nkafka:\n  brokers: a\n"
	                  "  property_files:\n    sasl.password: %s/password\n    ssl.key.pem: %s/key\n", dir, dir, dir);
	put_config(buf_str(&text), 0644);
}

static void
test_other_secret_files(void)
{
	struct buf said __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config cfg = {0};

	put_secrets("hunter2\n", "hunter3\nhunter4\n");
	TAP_INT_FATAL(load("pgoutboxd.yaml", &cfg, &said), 0);
	TAP_STR(buf_str(&said), "");
	TAP_STR(cfg.database.password, "");
	TAP_STR(cfg.database.sslpassword, "hunter2");
	TAP_INT_FATAL(cfg.kafka.secrets.count, 2);
	TAP_STR(cfg.kafka.secrets.items[0].name, "sasl.password");
	TAP_STR(cfg.kafka.secrets.items[0].value, "hunter2");
	TAP_STR(cfg.kafka.secrets.items[1].name, "ssl.key.pem");
	TAP_STR(cfg.kafka.secrets.items[1].value, "hunter3\nhunter4");
	config_print(&cfg, &said);
	CU_ASSERT_PTR_NULL(strstr(buf_str(&said), "hunter"));
	config_done(&cfg);
	CU_ASSERT_PTR_NULL(cfg.kafka.secrets.items);
}

/* Each with its own place, and without a word of what they hold. */
static void
test_bad_secret_files(void)
{
	struct buf expected __attribute__((cleanup(buf_done))) = BUF_INIT;

	put_secrets("hunter2\nhunter3\n", "");
	buf_printf(&expected, "pgoutboxd.yaml:3:21: database.sslpassword_file: \"%s/password\" has more than one line; it "
	                      "should hold the password and nothing else\n", dir);
	buf_printf(&expected, "pgoutboxd.yaml:7:20: kafka.property_files.sasl.password: \"%s/password\" has more than one "
	                      "line; it should hold the password and nothing else\n", dir);
	buf_printf(&expected, "pgoutboxd.yaml:8:18: kafka.property_files.ssl.key.pem: \"%s/key\" is empty; write the secret "
	                      "into it, and nothing else\n", dir);
	refuses("pgoutboxd.yaml", buf_str(&expected));
	put_secrets("hunter2\n", "hunter3\n");
	CU_ASSERT_FATAL(chmod("key", 0644) == 0);
	buf_reset(&expected);
	buf_printf(&expected, "pgoutboxd.yaml:8:18: warning: kafka.property_files.ssl.key.pem: everybody on this machine can "
	                      "read \"%s/key\"; chmod it to 0600 or 0640\n", dir);
	loads("pgoutboxd.yaml", buf_str(&expected));
}

/* librdkafka reads the key itself and does not look who else may. */
static void
test_exposed_key(void)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf expected __attribute__((cleanup(buf_done))) = BUF_INIT;

	put("key", "hunter2\n", 8, 0640);
	buf_printf(&text, "database: {conninfo: dbname=app}\nkafka:\n  brokers: a\n  properties:\n"
	                  "    ssl.key.location: %s/key\n    ssl.ca.location: /etc/passwd\n", dir);
	put_config(buf_str(&text), 0644);
	loads("pgoutboxd.yaml", "");
	CU_ASSERT_FATAL(chmod("key", 0644) == 0);
	buf_printf(&expected, "pgoutboxd.yaml:5:23: warning: kafka.properties.ssl.key.location: everybody on this machine "
	                      "can read \"%s/key\"; chmod it to 0600 or 0640\n", dir);
	loads("pgoutboxd.yaml", buf_str(&expected));
}

/* Whoever runs the tool may not be allowed to read what the daemon reads. */
static void
test_beside(void)
{
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	struct buf said __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config cfg = {0};

	put_config("database:\n  conninfo: dbname=app\n  password_file: /nonexistent/x\nkafka:\n  brokers: a\n"
	           "  property_files:\n    sasl.password: /nonexistent/y\n", 0644);
	TAP_INT(config_load_beside("pgoutboxd.yaml", NULL, &cfg, &problems), 0);
	config_problems_print(&problems, &said);
	TAP_STR(buf_str(&said), "pgoutboxd.yaml:3:18: warning: database.password_file: could not open \"/nonexistent/x\": "
	                        "No such file or directory; create it, or correct the path\n");
	TAP_STR(cfg.database.password, "");
	TAP_INT(cfg.kafka.secrets.count, 0);
	config_problems_done(&problems);
	config_done(&cfg);
}

/* A password file that cannot be read is not the only thing that is told. */
static void
test_all_at_once(void)
{
	put_config("database:\n  password_file: /nonexistent/x\noutbox:\n  lanes: 0\n  poll_min: 1s\n", 0644);
	refuses("pgoutboxd.yaml",
	        "pgoutboxd.yaml:1:1: database.conninfo: is required; add to the section \"database:\" the line "
	        "'conninfo: \"host=/run/postgresql dbname=app user=pgoutboxd\"'\n"
	        "pgoutboxd.yaml:2:18: database.password_file: could not open \"/nonexistent/x\": No such file or "
	        "directory; create it, or correct the path\n"
	        "pgoutboxd.yaml:4:10: outbox.lanes: 0 is outside 1..64 lanes\n"
	        "pgoutboxd.yaml:5:13: outbox.poll_min: 1s is longer than poll_max, which is 20ms\n"
	        "pgoutboxd.yaml: kafka.brokers: is required; add a section \"kafka:\" and in it, indented, the "
	        "line 'brokers: \"localhost:9092\"'\n");
}

static void
test_exposed_secrets(void)
{
	static const char text[] = "database:\n  conninfo: dbname=app password=hunter2\n"
	                           "kafka:\n  brokers: a\n  properties:\n    sasl.password: hunter2\n    "
	                           "linger.ms: 5\n";

	put_config(text, 0640);
	loads("pgoutboxd.yaml", "");
	put_config(text, 0644);
	loads("pgoutboxd.yaml",
	      "pgoutboxd.yaml:2:13: warning: database.conninfo: everybody on this machine can read this password; "
	      "chmod the file to 0640, or use password_file\n"
	      "pgoutboxd.yaml:6:20: warning: kafka.properties.sasl.password: everybody on this machine can read "
	      "this secret; chmod the file to 0640\n");
}

static void
test_parse_opens_nothing(void)
{
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	struct config cfg = {0};

	TAP_INT(config_parse("f", slice_from("database: {conninfo: x=y, password_file: /nonexistent}\nkafka: "
	                                     "{brokers: a, property_files: {sasl.password: /nonexistent}}"),
	                     &cfg, &problems), 0);
	TAP_INT(problems.count, 0);
	TAP_STR(cfg.database.password, "");
	config_done(&cfg);
	config_done(&cfg);
}

static void
test_complain(void)
{
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	struct buf said __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct error err;
	struct config cfg = {0};

	TAP_INT_FATAL(config_parse("f", slice_from("database: {conninfo: x=y}\nkafka:\n  brokers: a\n  properties:\n"
	                                           "    acks: 1\n"), &cfg, &problems), 0);
	config_complain(&cfg, "kafka.properties.acks", &problems, CONFIG_ERROR, "must be %s", "all");
	config_complain(&cfg, "kafka.properties.linger.ms", &problems, CONFIG_WARNING, "not given: at its map");
	config_complain(&cfg, "kafka.topic", &problems, CONFIG_ERROR, "not given: at its section");
	config_complain(&cfg, "kafka.brokersx", &problems, CONFIG_ERROR, "no neighbour's place");
	config_complain(&cfg, "log.level", &problems, CONFIG_ERROR, "no section");
	error_set(&err, ERR_CONFIG, "message");
	config_complain_error(&cfg, "kafka.brokers", &problems, CONFIG_ERROR, &err);
	error_hint(&err, "hint");
	config_complain_error(&cfg, "kafka.brokers", &problems, CONFIG_ERROR, &err);
	config_problems_print(&problems, &said);
	TAP_STR(buf_str(&said),
	        "f:2:1: kafka.topic: not given: at its section\n"
	        "f:2:1: kafka.brokersx: no neighbour's place\n"
	        "f:3:12: kafka.brokers: message\n"
	        "f:3:12: kafka.brokers: message; hint\n"
	        "f:5:5: warning: kafka.properties.linger.ms: not given: at its map\n"
	        "f:5:11: kafka.properties.acks: must be all\n"
	        "f: log.level: no section\n");
	config_problems_done(&problems);
	config_done(&cfg);
}

static void
complain_about_topic(const struct config *cfg, struct config_problems *problems)
{
	config_complain(cfg, "kafka.topic", problems, CONFIG_ERROR, "\"%s\" is not to my taste", cfg->kafka.topic);
}

/* What other rooms know is said together with all else. */
static void
test_also(void)
{
	struct buf said __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config cfg = {0};

	put_config("database: {conninfo: x=y}\nkafka:\n  brokers: a\n  topic: t\noutbox: {lanes: 99}\n", 0600);
	also = complain_about_topic;
	TAP_INT(load("pgoutboxd.yaml", &cfg, &said), -1);
	also = NULL;
	TAP_HAS(buf_str(&said), "pgoutboxd.yaml:4:");
	TAP_HAS(buf_str(&said), "\"t\" is not to my taste");
	TAP_HAS(buf_str(&said), "99 is outside");
}

int
main(void)
{
	const char *srcdir = getenv("srcdir");
	char relative[4096];

	(void)snprintf(relative, sizeof(relative), "%s/tests/unit/config/bad", srcdir == NULL ? "." : srcdir);
	if (realpath(relative, bad_dir) == NULL)
		bad_dir[0] = '\0';
	tap_suite_fixture("config", begin, end);
	tap_test("bad files get the complaints beside them", test_bad_files);
	tap_test("a good file", test_good);
	tap_test("files that cannot be read", test_unreadable);
	tap_test("a file may have a megabyte, and no byte more", test_length);
	tap_test("the password file", test_password_file);
	tap_test("the other files of secrets", test_other_secret_files);
	tap_test("files of secrets that are not good", test_bad_secret_files);
	tap_test("a key that everybody can read", test_exposed_key);
	tap_test("a tool beside the daemon", test_beside);
	tap_test("everything is told at once", test_all_at_once);
	tap_test("secrets that everybody can read", test_exposed_secrets);
	tap_test("a text in memory opens no file", test_parse_opens_nothing);
	tap_test("complaints of others find their place", test_complain);
	tap_test("checks of other rooms are said with all else", test_also);
	return tap_run();
}
