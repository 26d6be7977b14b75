/* config-man - prints what config_print_man() gives: the options of pgoutboxd.yaml(5), for tests/man to compare or renew. */
#include <stdio.h>

#include "config/config.h"

int
main(void)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;

	config_print_man(&text);
	return !buf_failed(&text) && fputs(buf_str(&text), stdout) >= 0 && fflush(stdout) == 0 ? 0 : 1;
}
