# The worked example, which no package build needs: make examples. See examples/payments/README.md.
EXTRA_LIBRARIES = libpayments.a
libpayments_a_SOURCES = \
	examples/payments/database.c \
	examples/payments/database.h \
	examples/payments/fetch.c \
	examples/payments/fetch.h \
	examples/payments/options.c \
	examples/payments/options.h

EXTRA_DIST += \
	examples/payments/schema-provider.sql \
	examples/payments/schema-reports.sql \
	examples/payments/schema-shop.sql \
	examples/payments/schema.sql

.PHONY: examples
examples: all-am libpayments.a
CLEANFILES += libpayments.a
