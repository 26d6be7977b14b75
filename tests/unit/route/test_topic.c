/* Kafka's rule for topic names, byte by byte. */
#include <CUnit/CUnit.h>

#include "route/topic.h"
#include "support/tap.h"

static int
check(const char *name, struct error *err)
{
	return topic_check(slice_from(name), ERR_POISON, err);
}

static void
every_byte(void)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	struct error err;

	for (int c = 0; c < 256; c++) {
		char name[] = {'a', (char)c, 'b'};
		int want = c != 0 && strchr(allowed, c) != NULL ? 0 : -1;
		CU_ASSERT_EQUAL(topic_check((struct slice){name, sizeof name}, ERR_POISON, &err), want);
		CU_ASSERT_EQUAL(topic_bad_byte((struct slice){name, sizeof name}), want == 0 ? 3U : 1U);
	}
}

static void
dots(void)
{
	struct error err;

	CU_ASSERT_EQUAL(check(".", &err), -1);
	CU_ASSERT_STRING_EQUAL(err.message, "topic \".\" is not a legal name");
	CU_ASSERT_EQUAL(check("..", &err), -1);
	CU_ASSERT_EQUAL(check("...", &err), 0);
	CU_ASSERT_EQUAL(check("_", &err), 0);
	CU_ASSERT_EQUAL(check("-", &err), 0);
}

static void
length(void)
{
	char name[251];
	struct error err;

	memset(name, 'a', sizeof name);
	CU_ASSERT_EQUAL(topic_check((struct slice){name, 1}, ERR_POISON, &err), 0);
	CU_ASSERT_EQUAL(topic_check((struct slice){name, 249}, ERR_POISON, &err), 0);
	CU_ASSERT_EQUAL(topic_check((struct slice){name, 250}, ERR_POISON, &err), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "is too long"));
	CU_ASSERT_STRING_EQUAL(err.hint, "a topic name has at most 249 bytes");
	CU_ASSERT_EQUAL(check("", &err), -1);
	CU_ASSERT_STRING_EQUAL(err.message, "topic name is empty");
}

static void
messages(void)
{
	struct error err;

	CU_ASSERT_EQUAL(topic_check(slice_from("my topic"), ERR_CONFIG, &err), -1);
	CU_ASSERT_EQUAL(err.kind, ERR_CONFIG);
	CU_ASSERT_STRING_EQUAL(err.message, "topic \"my topic\" is not a legal name: \" \" at byte 3");
	CU_ASSERT_STRING_EQUAL(err.hint, "a topic name consists of ASCII letters, digits, \".\", \"_\" and \"-\"");
	CU_ASSERT_EQUAL(check("a\n", &err), -1);
	CU_ASSERT_EQUAL(err.kind, ERR_POISON);
	CU_ASSERT_STRING_EQUAL(err.message, "topic \"a\\x0a\" is not a legal name: \"\\x0a\" at byte 2");
}

int
main(void)
{
	tap_suite("topic");
	tap_test("every byte", every_byte);
	tap_test("dots", dots);
	tap_test("length", length);
	tap_test("messages", messages);
	return tap_run();
}
