/* Tests of src/base/sha256.c: the vectors of FIPS 180-4 and its examples, and those of RFC 4231. */
#include "base/sha256.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/tap.h"

static const char *
hex(const unsigned char *bytes)
{
	static char text[2 * SHA256_BYTES + 1];

	for (size_t i = 0; i < SHA256_BYTES; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return text;
}

static const char *
digest(const void *data, size_t len, size_t step)
{
	unsigned char bytes[SHA256_BYTES];
	struct sha256 s;

	sha256_init(&s);
	for (size_t i = 0; i < len; i += step)
		sha256_add(&s, (const char *)data + i, len - i < step ? len - i : step);
	sha256_end(&s, bytes);
	return hex(bytes);
}

static void
test_digests(void)
{
	static const char two[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	static const char four[] =
		"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu";

	TAP_STR(digest("", 0, 1), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	TAP_STR(digest("abc", 3, 3), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	TAP_STR(digest(two, strlen(two), 100), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	TAP_STR(digest(four, strlen(four), 7), "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
}

/* However the bytes come, and at every place of the padding. */
static void
test_parts(void)
{
	char *million = malloc(1000000);

	CU_ASSERT_PTR_NOT_NULL_FATAL(million);
	memset(million, 'a', 1000000);
	for (size_t step = 1; step <= 1000000; step = step * 7 + 3)
		TAP_STR(digest(million, 1000000, step), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	for (size_t len = 0; len < 200; len++) {
		char whole[65];

		strcpy(whole, digest(million, len, 200));
		TAP_STR(digest(million, len, 1), whole);
	}
	free(million);
	TAP_STR(digest("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 64, 64),
	        "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
}

static const char *
mac(const void *key, size_t key_len, const void *data, size_t len)
{
	unsigned char bytes[SHA256_BYTES];
	const char *text = data;
	size_t half = len / 2;

	sha256_hmac((struct slice){key, key_len}, (struct slice[]){{text, half}, {text + half, len - half}}, 2, bytes);
	return hex(bytes);
}

static void
test_hmac(void)
{
	unsigned char key[131], data[152];

	memset(key, 0x0b, sizeof(key));
	TAP_STR(mac(key, 20, "Hi There", 8), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	TAP_STR(mac("Jefe", 4, "what do ya want for nothing?", 28), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	memset(data, 0xdd, sizeof(data));
	TAP_STR(mac(key, 20, data, 50), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
	for (unsigned i = 0; i < 25; i++)
		key[i] = (unsigned char)(i + 1);
	memset(data, 0xcd, sizeof(data));
	TAP_STR(mac(key, 25, data, 50), "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
	memset(key, 0xaa, sizeof(key));
	TAP_STR(mac(key, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 54),
	        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	TAP_STR(mac(key, 131,
	            "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed "
	            "before being used by the HMAC algorithm.", 152),
	        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

int
main(void)
{
	tap_suite("sha256");
	tap_test("the vectors of the standard", test_digests);
	tap_test("in parts of any size", test_parts);
	tap_test("HMAC: the vectors of RFC 4231", test_hmac);
	return tap_run();
}
