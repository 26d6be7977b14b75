/* Tests of uuids as text. */
#include "base/uuid.h"

#include <string.h>

#include "support/tap.h"

static void
test_text(void)
{
	char text[UUID_TEXT_LEN + 1];

	memset(text, '!', sizeof(text));
	uuid_text("\x01\x23\x45\x67\x89\xab\xcd\xef\x00\x11\x22\x33\x44\x55\xfe\xff", text);
	CU_ASSERT(memcmp(text, "01234567-89ab-cdef-0011-22334455feff!", sizeof(text)) == 0);
}

int
main(void)
{
	tap_suite("uuid");
	tap_test("sixteen bytes become 36", test_text);
	return tap_run();
}
