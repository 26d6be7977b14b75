/* test_plain.c - which of librdkafka's words are replaced. The texts are those of librdkafka 2.0.2 with OpenSSL 3. */
#include "sink/plain.h"

#include "support/tap.h"

#define WHO "ssl://kafka-1:9093/bootstrap: "
#define ALERT WHO "Receive failed: error:0A000400:SSL routines::"

static void
test_certificates(void)
{
	TAP_HAS(plain_reason(WHO "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker "
	                         "certificate could not be verified (after 9ms)"), "made out to");
	TAP_HAS(plain_reason(ALERT "sslv3 alert bad certificate: SSL alert number 42"), "or misses one");
	TAP_HAS(plain_reason(ALERT "sslv3 alert certificate expired: SSL alert number 45"), "has expired");
	TAP_HAS(plain_reason(ALERT "sslv3 alert certificate unknown: SSL alert number 46"), "does not trust");
	TAP_HAS(plain_reason(ALERT "tlsv1 alert unknown ca: SSL alert number 48"), "does not know the CA");
	TAP_HAS(plain_reason(ALERT "tlsv13 alert certificate required: SSL alert number 116"), "asks for");
}

static void
test_the_rest(void)
{
	static const char down[] = "kafka-1:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused";

	CU_ASSERT_PTR_EQUAL(plain_reason(down), down);
	TAP_STR(plain_reason(""), "");
}

int
main(void)
{
	tap_suite("plain");
	tap_test("certificates have a cause", test_certificates);
	tap_test("all else stays as it is", test_the_rest);
	return tap_run();
}
