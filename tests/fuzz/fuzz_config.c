/* Whatever the text: complaints or a configuration; and what is printed of one loads back, to be printed the same.
 *
 *	clang -std=c17 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -Isrc tests/fuzz/fuzz_config.c \
 *		src/config/[a-z]*.c src/base/{arena,buf,error,utf8}.c -lyaml -o fuzz_config
 *	./fuzz_config -max_len=4096 CORPUS tests/unit/config/bad etc
 */
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
parse(struct slice text, struct config *ret_cfg)
{
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	struct buf said __attribute__((cleanup(buf_done))) = BUF_INIT;
	int rc = config_parse("f", text, ret_cfg, &problems);

	config_problems_print(&problems, &said);
	if ((rc < 0) != (problems.errors > 0) || (rc < 0 && said.len == 0))
		abort();
	config_problems_done(&problems);
	return rc;
}

static void
round_trip(const struct config *cfg)
{
	struct buf first __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf second __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config again;

	config_print(cfg, &first);
	if (parse((struct slice){first.data, first.len}, &again) < 0)
		abort();
	config_print(&again, &second);
	config_done(&again);
	if (strcmp(buf_str(&first), buf_str(&second)) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config cfg;

	if (parse((struct slice){(const char *)data, size}, &cfg) == 0) {
		round_trip(&cfg);
		config_done(&cfg);
	}
	return 0;
}
