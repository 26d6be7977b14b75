# A test is one program, made of the one C file that has its name. Where it includes a room's C file and replaces that
# file's neighbours, its own definitions come before the library's, which then is not asked for them.
UNIT_TESTS = \
	tests/unit/admin/test_migrate \
	tests/unit/admin/test_script \
	tests/unit/base/test_arena \
	tests/unit/base/test_backoff \
	tests/unit/base/test_buf \
	tests/unit/base/test_clock \
	tests/unit/base/test_error \
	tests/unit/base/test_log \
	tests/unit/base/test_slice \
	tests/unit/base/test_utf8 \
	tests/unit/config/test_check \
	tests/unit/config/test_config \
	tests/unit/config/test_config_print \
	tests/unit/config/test_config_print_man \
	tests/unit/config/test_config_problems \
	tests/unit/config/test_conninfo \
	tests/unit/config/test_document \
	tests/unit/config/test_loader \
	tests/unit/config/test_options \
	tests/unit/config/test_password \
	tests/unit/config/test_quote \
	tests/unit/config/test_secret \
	tests/unit/config/test_suggest \
	tests/unit/config/test_syntax \
	tests/unit/config/test_value \
	tests/unit/metrics/test_exposition \
	tests/unit/metrics/test_metrics \
	tests/unit/metrics/test_process \
	tests/unit/metrics/test_rows \
	tests/unit/model/test_batch \
	tests/unit/relay/test_keyset \
	tests/unit/relay/test_outlet \
	tests/unit/relay/test_pipe \
	tests/unit/route/test_headers \
	tests/unit/route/test_router \
	tests/unit/route/test_template \
	tests/unit/route/test_text \
	tests/unit/route/test_topic \
	tests/unit/serve/test_health \
	tests/unit/serve/test_http \
	tests/unit/serve/test_listen \
	tests/unit/serve/test_loop \
	tests/unit/serve/test_notify \
	tests/unit/serve/test_signals \
	tests/unit/sink/test_classify \
	tests/unit/sink/test_events \
	tests/unit/sink/test_producer \
	tests/unit/sink/test_properties \
	tests/unit/sink/test_reach \
	tests/unit/sink/test_topics \
	tests/unit/source/test_bell \
	tests/unit/source/test_keeper \
	tests/unit/source/test_ladder \
	tests/unit/source/test_lane \
	tests/unit/source/test_layout \
	tests/unit/source/test_layout_problems \
	tests/unit/source/test_session \
	tests/unit/source/test_share \
	tests/unit/source/test_sqlstate \
	tests/unit/source/test_statements

MOCK_TESTS = \
	tests/mock/test_producer \
	tests/mock/test_producer_faults

# These need servers: PGOUTBOX_TEST_PG and PGOUTBOX_TEST_KAFKA say where they are.
PG_TESTS = \
	tests/pg/test_audit \
	tests/pg/test_ctl \
	tests/pg/test_grants \
	tests/pg/test_init \
	tests/pg/test_lane

E2E_TESTS = \
	tests/e2e/test_flow \
	tests/e2e/test_http \
	tests/e2e/test_late \
	tests/e2e/test_mapping \
	tests/e2e/test_outage \
	tests/e2e/test_parked \
	tests/e2e/test_payload \
	tests/e2e/test_refusal \
	tests/e2e/test_sharing \
	tests/e2e/test_upkeep \
	tests/mock/test_producer_kafka

check_LIBRARIES += libtestsupport.a
libtestsupport_a_SOURCES = \
	tests/support/audit.c \
	tests/support/audit.h \
	tests/support/db.c \
	tests/support/db.h \
	tests/support/env.c \
	tests/support/env.h \
	tests/support/load.c \
	tests/support/load.h \
	tests/support/proc.c \
	tests/support/proc.h \
	tests/support/sandbox.c \
	tests/support/sandbox.h \
	tests/support/servers.c \
	tests/support/servers.h \
	tests/support/tap.c \
	tests/support/tap.h \
	tests/support/topic.c \
	tests/support/topic.h \
	tests/support/writer.c \
	tests/support/writer.h

check_PROGRAMS += $(UNIT_TESTS) $(MOCK_TESTS) tests/support/config-man
EXTRA_PROGRAMS += $(PG_TESTS) $(E2E_TESTS) tests/support/mockbroker tests/support/outbox-audit tests/support/outbox-writer
LDADD = libtestsupport.a $(LIBPGOUTBOX) $(CUNIT_LIBS) $(CURL_LIBS)

TESTS = tests/layers tests/man tests/test_layers $(UNIT_TESTS) $(MOCK_TESTS)
LOG_DRIVER = env AM_TAP_AWK=$(AWK) $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
AM_TESTS_ENVIRONMENT = \
	srcdir='$(srcdir)'; builddir=.; AR='$(AR)'; CC='$(CC)'; NM='$(NM)'; export srcdir builddir AR CC NM;
dist_check_SCRIPTS = tests/layers tests/man tests/run-list tests/test_layers
EXTRA_DIST += \
	tests/fuzz/fuzz_config.c \
	tests/fuzz/fuzz_headers.c \
	tests/fuzz/fuzz_template.c \
	tests/mock/test_producer_rig.h \
	tests/support/install-packages.sh \
	tests/support/kafka.sh \
	tests/support/kafka/pom.xml \
	tests/support/pg.sh \
	tests/support/workshop.sh \
	tests/unit/config/bad \
	tests/unit/relay/test_pipe_world.h \
	tests/with-kafka \
	tests/with-postgres

# PG_TESTS=tests/pg/test_x, or E2E_TESTS, on the command line runs some of them.
.PHONY: check-pg check-e2e
check-pg: all $(check_LIBRARIES) $(PG_TESTS)
	@srcdir='$(srcdir)' TAP_DRIVER="$(LOG_DRIVER)" $(SHELL) $(srcdir)/tests/run-list check-pg $(PG_TESTS)
check-e2e: all $(check_LIBRARIES) $(E2E_TESTS)
	@srcdir='$(srcdir)' TAP_DRIVER="$(LOG_DRIVER)" $(SHELL) $(srcdir)/tests/run-list check-e2e $(E2E_TESTS)
CLEANFILES += $(EXTRA_PROGRAMS) $(PG_TESTS:=.log) $(PG_TESTS:=.trs) $(E2E_TESTS:=.log) $(E2E_TESTS:=.trs)
