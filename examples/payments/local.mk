# The worked example, which no package build needs: make examples. See examples/payments/README.md.
PAYMENTS = \
	examples/payments/payments-client \
	examples/payments/payments-consumer \
	examples/payments/payments-injector \
	examples/payments/payments-provider \
	examples/payments/payments-service

EXTRA_LIBRARIES = libpayments.a
libpayments_a_SOURCES = \
	examples/payments/database.c \
	examples/payments/database.h \
	examples/payments/fetch.c \
	examples/payments/fetch.h \
	examples/payments/idempotency.c \
	examples/payments/idempotency.h \
	examples/payments/options.c \
	examples/payments/options.h \
	examples/payments/server.c \
	examples/payments/server.h

EXTRA_PROGRAMS += $(PAYMENTS)
PAYMENTS_LDADD = libpayments.a $(LIBPGOUTBOX)

examples_payments_payments_client_SOURCES = examples/payments/client.c examples/payments/client_plan.c examples/payments/client_plan.h
examples_payments_payments_client_LDADD = $(PAYMENTS_LDADD)
examples_payments_payments_provider_SOURCES = examples/payments/provider.c
examples_payments_payments_provider_LDADD = $(PAYMENTS_LDADD)
examples_payments_payments_service_SOURCES = examples/payments/service.c
examples_payments_payments_service_LDADD = $(PAYMENTS_LDADD)

examples_payments_payments_consumer_SOURCES = \
	examples/payments/consumer.c \
	examples/payments/payment_event.c \
	examples/payments/payment_event.h \
	examples/payments/report.c \
	examples/payments/report.h \
	examples/payments/saga.c \
	examples/payments/saga.h \
	examples/payments/stop.c \
	examples/payments/stop.h \
	examples/payments/stream.c \
	examples/payments/stream.h
examples_payments_payments_consumer_LDADD = $(PAYMENTS_LDADD)
examples_payments_payments_injector_SOURCES = \
	examples/payments/injector.c \
	examples/payments/stop.c \
	examples/payments/stop.h \
	examples/payments/stream.c \
	examples/payments/stream.h
examples_payments_payments_injector_LDADD = $(PAYMENTS_LDADD)

EXTRA_DIST += \
	examples/payments/README.md \
	examples/payments/books \
	examples/payments/books.sql \
	examples/payments/break/compensation.sql \
	examples/payments/break/inbox.sql \
	examples/payments/break/provider.sql \
	examples/payments/pgoutboxd.yaml \
	examples/payments/run.sh \
	examples/payments/schema-provider.sql \
	examples/payments/schema-reports.sql \
	examples/payments/schema-shop.sql \
	examples/payments/schema.sql

# A test of the programs as they are; it uses their way to make HTTP requests.
tests_pg_test_payments_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/examples/payments
tests_pg_test_payments_LDADD = libpayments.a $(LDADD)
check-pg matrix pg-programs: $(PAYMENTS)

.PHONY: examples
examples: all-am $(PAYMENTS)
e2e-programs check-e2e: $(PAYMENTS)
CLEANFILES += libpayments.a
