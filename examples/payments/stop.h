/* stop.h - SIGTERM and SIGINT as a question that a loop asks, so that no work is left half done. */
#ifndef PAYMENTS_STOP_H
#define PAYMENTS_STOP_H

#include <stdbool.h>

void stop_block(void); /* before there is a second thread */
bool stop_wanted(void);

#endif
