# A test is one program, made of the one C file that has its name. Where it includes a room's C file and replaces that
# file's neighbours, its own definitions come before the library's, which then is not asked for them.
UNIT_TESTS = \
	tests/unit/admin/test_checkup_clock \
	tests/unit/admin/test_checkup_kafka \
	tests/unit/admin/test_compare \
	tests/unit/admin/test_known \
	tests/unit/admin/test_migrate \
	tests/unit/admin/test_script \
	tests/unit/base/test_arena \
	tests/unit/base/test_backoff \
	tests/unit/base/test_be \
	tests/unit/base/test_buf \
	tests/unit/base/test_clock \
	tests/unit/base/test_error \
	tests/unit/base/test_log \
	tests/unit/base/test_log_limit \
	tests/unit/base/test_log_writer \
	tests/unit/base/test_sha256 \
	tests/unit/base/test_siphash \
	tests/unit/base/test_slice \
	tests/unit/base/test_sorter \
	tests/unit/base/test_thread \
	tests/unit/base/test_utf8 \
	tests/unit/base/test_uuid \
	tests/unit/base/test_worker \
	tests/unit/chaos/test_plan \
	tests/unit/config/test_check \
	tests/unit/config/test_config \
	tests/unit/config/test_config_print \
	tests/unit/config/test_config_print_man \
	tests/unit/config/test_config_print_schema \
	tests/unit/config/test_config_problems \
	tests/unit/config/test_conninfo \
	tests/unit/config/test_document \
	tests/unit/config/test_expand \
	tests/unit/config/test_loader \
	tests/unit/config/test_options \
	tests/unit/config/test_outboxes \
	tests/unit/config/test_password \
	tests/unit/config/test_quote \
	tests/unit/config/test_reload \
	tests/unit/config/test_secret \
	tests/unit/config/test_suggest \
	tests/unit/config/test_syntax \
	tests/unit/config/test_value \
	tests/unit/ctl/test_arguments \
	tests/unit/ctl/test_endpoint \
	tests/unit/ctl/test_outboxes \
	tests/unit/ctl/test_progress \
	tests/unit/ctl/test_pulse \
	tests/unit/ctl/test_report \
	tests/unit/ctl/test_samples \
	tests/unit/ctl/test_screen \
	tests/unit/ctl/test_table \
	tests/unit/ctl/test_term \
	tests/unit/ctl/test_usage \
	tests/unit/ctl/test_verb \
	tests/unit/ctl/test_verdict \
	tests/unit/ctl/test_words \
	tests/unit/metrics/test_dashboard \
	tests/unit/hook/test_webhook \
	tests/unit/metrics/test_exposition \
	tests/unit/metrics/test_metrics \
	tests/unit/metrics/test_process \
	tests/unit/metrics/test_readings \
	tests/unit/metrics/test_rows \
	tests/unit/model/test_batch \
	tests/unit/model/test_fingerprint \
	tests/unit/relay/test_doorman \
	tests/unit/relay/test_budget \
	tests/unit/relay/test_holds \
	tests/unit/relay/test_keyset \
	tests/unit/relay/test_link \
	tests/unit/relay/test_outage \
	tests/unit/relay/test_outlet \
	tests/unit/relay/test_pipe \
	tests/unit/relay/test_plan \
	tests/unit/relay/test_progress \
	tests/unit/relay/test_relay \
	tests/unit/relay/test_relay_lanes \
	tests/unit/relay/test_relay_reload \
	tests/unit/relay/test_spread \
	tests/unit/relay/test_stranded \
	tests/unit/relay/test_upkeep \
	tests/unit/route/test_headers \
	tests/unit/route/test_router \
	tests/unit/route/test_template \
	tests/unit/route/test_text \
	tests/unit/route/test_topic \
	tests/unit/serve/test_descriptors \
	tests/unit/serve/test_health \
	tests/unit/serve/test_http \
	tests/unit/serve/test_listen \
	tests/unit/serve/test_loop \
	tests/unit/serve/test_notify \
	tests/unit/serve/test_signals \
	tests/unit/sink/test_classify \
	tests/unit/sink/test_events \
	tests/unit/sink/test_gate \
	tests/unit/sink/test_plain \
	tests/unit/sink/test_producer \
	tests/unit/sink/test_properties \
	tests/unit/sink/test_reach \
	tests/unit/sink/test_redact \
	tests/unit/sink/test_sockets \
	tests/unit/sink/test_statistics \
	tests/unit/sink/test_topics \
	tests/unit/source/test_asker \
	tests/unit/source/test_barrier \
	tests/unit/source/test_bell \
	tests/unit/source/test_claimed \
	tests/unit/source/test_keeper \
	tests/unit/source/test_ladder \
	tests/unit/source/test_lane \
	tests/unit/source/test_layout \
	tests/unit/source/test_layout_problems \
	tests/unit/source/test_literal \
	tests/unit/source/test_receipts \
	tests/unit/source/test_refusal \
	tests/unit/source/test_session \
	tests/unit/source/test_share \
	tests/unit/source/test_sqlstate \
	tests/unit/source/test_statements \
	tests/unit/support/test_ports \
	tests/unit/support/test_proc \
	tests/unit/support/test_proxy \
	tests/unit/test_pgoutboxd

MOCK_TESTS = \
	tests/mock/test_flusher \
	tests/mock/test_producer \
	tests/mock/test_producer_faults

# These need servers: PGOUTBOX_TEST_PG and PGOUTBOX_TEST_KAFKA say where they are.
PG_TESTS = \
	tests/pg/test_adopt \
	tests/pg/test_audit \
	tests/pg/test_bell \
	tests/pg/test_check \
	tests/pg/test_ctl \
	tests/pg/test_drain \
	tests/pg/test_examples \
	tests/pg/test_grants \
	tests/pg/test_init \
	tests/pg/test_kit_idempotency \
	tests/pg/test_kit_inbox \
	tests/pg/test_kit_ledger \
	tests/pg/test_kit_machine \
	tests/pg/test_kit_outbox \
	tests/pg/test_kit_reconcile \
	tests/pg/test_lane \
	tests/pg/test_parked \
	tests/pg/test_lanes \
	tests/pg/test_pause \
	tests/pg/test_payments \
	tests/pg/test_queries \
	tests/pg/test_receipts \
	tests/pg/test_replay \
	tests/pg/test_status \
	tests/pg/test_top

# The rough ones stop, kill and freeze their servers. Both lists run side by side on servers of their own, so those that
# take long and bear it are with the rough ones.
E2E_CALM = \
	tests/e2e/test_bench \
	tests/e2e/test_clients \
	tests/e2e/test_failover \
	tests/e2e/test_holds \
	tests/e2e/test_http \
	tests/e2e/test_lanes \
	tests/e2e/test_layouts \
	tests/e2e/test_limits \
	tests/e2e/test_mapping \
	tests/e2e/test_network \
	tests/e2e/test_outboxes \
	tests/e2e/test_parked \
	tests/e2e/test_pause \
	tests/e2e/test_payload \
	tests/e2e/test_payments \
	tests/e2e/test_refusal \
	tests/e2e/test_reload \
	tests/e2e/test_replay \
	tests/e2e/test_secrets \
	tests/e2e/test_sharing \
	tests/e2e/test_sweep \
	tests/mock/test_producer_kafka

E2E_ROUGH = \
	tests/e2e/test_alerts \
	tests/e2e/test_crash \
	tests/e2e/test_database \
	tests/e2e/test_flow \
	tests/e2e/test_hang \
	tests/e2e/test_kill \
	tests/e2e/test_late \
	tests/e2e/test_outage \
	tests/e2e/test_tls \
	tests/e2e/test_tool \
	tests/e2e/test_upkeep \
	tests/e2e/test_verify

# test_brokers needs three brokers, as make check-chaos has them.
E2E_TESTS = $(E2E_CALM) $(E2E_ROUGH) tests/e2e/test_brokers tests/e2e/test_versions

# make matrix runs these on other versions of the servers, check-versions one of them.
VERSIONS_TESTS = \
	tests/e2e/test_flow \
	tests/e2e/test_late \
	tests/e2e/test_crash \
	tests/e2e/test_parked \
	tests/e2e/test_sharing \
	tests/e2e/test_versions \
	$(PG_TESTS)
VERSIONS = 3.9.2:14,15,16,17,18 4.3.1:14,18

# The daemon once more, with means to hurt it that the product has nothing of. What is named here comes before the library's.
E2E_VARIANTS = \
	tests/support/pgoutboxd-failpoints \
	tests/support/pgoutboxd-sweep
tests_support_pgoutboxd_failpoints_SOURCES = \
	src/pgoutboxd.c \
	src/pgoutboxd_reload.c \
	src/pgoutboxd_run.c \
	src/relay/outlet.c \
	src/relay/pipe.c \
	src/relay/publish.c \
	src/relay/relay.c \
	src/source/lane.c \
	tests/support/failpoint.c
tests_support_pgoutboxd_failpoints_CPPFLAGS = $(AM_CPPFLAGS) -DPGOUTBOX_FAILPOINTS -DLOOP_STALL_US=2000000
tests_support_pgoutboxd_failpoints_LDADD = $(LIBPGOUTBOX)

tests_support_pgoutboxd_sweep_SOURCES = src/pgoutboxd.c src/pgoutboxd_reload.c src/pgoutboxd_run.c tests/support/sweep.c
tests_support_pgoutboxd_sweep_LDFLAGS = $(AM_LDFLAGS) -Wl,@tests/support/sweep.wraps
tests_support_pgoutboxd_sweep_LDADD = $(LIBPGOUTBOX)
EXTRA_tests_support_pgoutboxd_sweep_DEPENDENCIES = tests/support/sweep.wraps
tests/support/sweep.wraps: tests/support/sweep.def
	$(AM_V_GEN)$(MKDIR_P) tests/support && sed -n 's/^SWEPT(\(.*\))$$/--wrap=\1/p' $(srcdir)/tests/support/sweep.def >$@
CLEANFILES += tests/support/sweep.wraps

# Everything hurt at random, for as long as one likes: make chaos SECONDS=3600 NODES=3 CHAOS="--seed 7 --settle delete".
tests_chaos_chaos_SOURCES = \
	tests/chaos/chaos.c \
	tests/chaos/faults.c \
	tests/chaos/faults.def \
	tests/chaos/faults.h \
	tests/chaos/faults_brokers.c \
	tests/chaos/faults_impl.h \
	tests/chaos/faults_postgres.c \
	tests/chaos/plan.c \
	tests/chaos/plan.h \
	tests/chaos/stage.c \
	tests/chaos/stage.h \
	tests/chaos/storm.c \
	tests/chaos/storm.h \
	tests/chaos/verdict.c \
	tests/chaos/verdict.h

check_LIBRARIES += libtestsupport.a
libtestsupport_a_SOURCES = \
	tests/support/audit.c \
	tests/support/audit.h \
	tests/support/away.c \
	tests/support/away.h \
	tests/support/db.c \
	tests/support/db.h \
	tests/support/env.c \
	tests/support/env.h \
	tests/support/foreign.h \
	tests/support/kit.c \
	tests/support/kit.h \
	tests/support/load.c \
	tests/support/load.h \
	tests/support/ports.c \
	tests/support/ports.h \
	tests/support/proc.c \
	tests/support/proc.h \
	tests/support/proxy.c \
	tests/support/proxy.h \
	tests/support/proxy_link.c \
	tests/support/proxy_link.h \
	tests/support/proxy_sockets.c \
	tests/support/proxy_sockets.h \
	tests/support/receiver.c \
	tests/support/receiver.h \
	tests/support/relays.c \
	tests/support/relays.h \
	tests/support/sandbox.c \
	tests/support/sandbox.h \
	tests/support/servers.c \
	tests/support/servers.h \
	tests/support/tap.c \
	tests/support/tap.h \
	tests/support/tls.c \
	tests/support/tls.h \
	tests/support/topic.c \
	tests/support/topic.h \
	tests/support/writer.c \
	tests/support/writer.h

check_PROGRAMS += $(UNIT_TESTS) $(MOCK_TESTS) tests/support/config-man tests/support/ctl-completion
EXTRA_PROGRAMS += $(PG_TESTS) $(E2E_TESTS) $(E2E_VARIANTS) tests/chaos/chaos tests/support/mockbroker tests/support/outbox-audit \
	tests/support/outbox-writer
LDADD = libtestsupport.a $(LIBPGOUTBOX) $(CUNIT_LIBS) $(CURL_LIBS)

TESTS = tests/alerts tests/completion tests/docs tests/layers tests/man tests/messages tests/options tests/sweep-list tests/systemd tests/test_coverage tests/test_failures tests/test_layers tests/version $(UNIT_TESTS) $(MOCK_TESTS)
LOG_DRIVER = env AWK=$(AWK) AM_TAP_AWK=$(srcdir)/tests/support/tap-awk $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
# A program that is stopped leaves its log.
.PRECIOUS: $(TEST_LOGS)
AM_TESTS_ENVIRONMENT = \
	srcdir='$(srcdir)'; builddir=.; AR='$(AR)'; CC='$(CC)'; NM='$(NM)'; export srcdir builddir AR CC NM;
dist_check_SCRIPTS = tests/alerts tests/completion tests/coverage tests/docs tests/layers tests/man tests/matrix tests/messages tests/options tests/run-list tests/sweep-list tests/systemd tests/test_coverage tests/test_failures tests/test_layers tests/version
EXTRA_DIST += \
	tests/alerts.yaml \
	tests/chaos/README \
	tests/fuzz/fuzz_config.c \
	tests/fuzz/fuzz_headers.c \
	tests/fuzz/fuzz_template.c \
	tests/mock/test_producer_rig.h \
	tests/pg/test_lane_rig.h \
	tests/side-by-side \
	tests/soak/soak \
	tests/support/failures.awk \
	tests/support/clients.sh \
	tests/support/hold-ports \
	tests/support/install-packages.sh \
	tests/support/kafka.sh \
	tests/support/kafka/pom.xml \
	tests/support/pair.sh \
	tests/support/pg-fetch.sh \
	tests/support/pg.sh \
	tests/support/postgres/pom.xml \
	tests/support/sweep.def \
	tests/support/tap-awk \
	tests/support/tls.sh \
	tests/support/workshop.sh \
	tests/unit/config/bad \
	tests/unit/failing_alloc.h \
	tests/unit/relay/test_pipe_world.h \
	tests/unit/relay/test_relay_world.h \
	tests/unit/source/session_stand_in.h \
	tests/valgrind-e2e \
	tests/valgrind.supp \
	tests/with-kafka \
	tests/with-postgres

# PG_TESTS=tests/pg/test_x, or E2E_TESTS, on the command line runs some of them. The targets run-... run what pg-programs and e2e-programs have built.
# Such rules want all-am and not all, here and below: all makes the same in a make of its own, at the same time.
.PHONY: check-pg check-e2e pg-programs e2e-programs run-pg run-e2e-calm run-e2e-rough
pg-programs: all-am $(check_LIBRARIES) $(check_PROGRAMS) $(PG_TESTS)
e2e-programs: all-am $(check_LIBRARIES) $(E2E_VARIANTS) $(E2E_TESTS)
run-pg:
	@srcdir='$(srcdir)' TAP_DRIVER="$(LOG_DRIVER)" $(SHELL) $(srcdir)/tests/run-list run-pg $(PG_TESTS)
run-e2e-calm:
	@srcdir='$(srcdir)' TAP_DRIVER="$(LOG_DRIVER)" $(SHELL) $(srcdir)/tests/run-list run-e2e-calm $(E2E_CALM)
run-e2e-rough:
	@srcdir='$(srcdir)' TAP_DRIVER="$(LOG_DRIVER)" $(SHELL) $(srcdir)/tests/run-list run-e2e-rough $(E2E_ROUGH)
check-pg: all-am $(check_LIBRARIES) $(PG_TESTS)
	@srcdir='$(srcdir)' TAP_DRIVER="$(LOG_DRIVER)" $(SHELL) $(srcdir)/tests/run-list check-pg $(PG_TESTS)
check-e2e: all-am $(check_LIBRARIES) $(E2E_VARIANTS) $(E2E_TESTS)
	@srcdir='$(srcdir)' TAP_DRIVER="$(LOG_DRIVER)" $(SHELL) $(srcdir)/tests/run-list check-e2e $(E2E_TESTS)

# The servers' versions; what each has to be fetched with is in tests/support. All of it takes half an hour.
RUN_MATRIX = srcdir='$(srcdir)'; export srcdir; $(LOG_DRIVER) --color-tests no --enable-hard-errors yes --expect-failure no
.PHONY: matrix check-versions
matrix: e2e-programs $(PG_TESTS)
	@$(RUN_MATRIX) --test-name matrix --log-file tests/matrix.log --trs-file tests/matrix.trs -- \
		$(srcdir)/tests/matrix $(VERSIONS) -- $(VERSIONS_TESTS)
	@! grep -E '^:test-result: (FAIL|ERROR|XPASS)' tests/matrix.trs
check-versions: all-am $(check_LIBRARIES) tests/e2e/test_versions
	@$(RUN_MATRIX) --test-name versions --log-file tests/versions.log --trs-file tests/versions.trs -- \
		$(srcdir)/tests/matrix --skip-missing 4.3.1:14,18 -- tests/e2e/test_versions
	@! grep -E '^:test-result: (FAIL|ERROR|XPASS)' tests/versions.trs
CLEANFILES += tests/matrix.log tests/matrix.trs tests/versions.log tests/versions.trs

# chaos starts its own servers and shows what it does; check-chaos is the same as one program of tests, for test.sh.
SECONDS = 600
NODES = 1
CHAOS =
CHAOS_SERVERS = \
	srcdir='$(srcdir)' builddir=. PGOUTBOX_CHAOS='--seconds $(SECONDS) $(CHAOS)' PGOUTBOX_PG_OPTIONS='max_connections = 50' \
	$(srcdir)/tests/with-postgres $(srcdir)/tests/with-kafka -n $(NODES) -p broker.heartbeat.interval.ms=1000 \
	-l RELAY1:PLAINTEXT:proxied -l RELAY2:PLAINTEXT:proxied
.PHONY: chaos check-chaos
chaos: all-am $(check_LIBRARIES) tests/chaos/chaos
	@$(CHAOS_SERVERS) tests/chaos/chaos
check-chaos: all-am $(check_LIBRARIES) tests/chaos/chaos tests/e2e/test_brokers
	@TAP_DRIVER="$(LOG_DRIVER)" $(CHAOS_SERVERS) $(SHELL) $(srcdir)/tests/run-list check-chaos tests/chaos/chaos tests/e2e/test_brokers
CLEANFILES += $(EXTRA_PROGRAMS) tests/chaos/chaos.log tests/chaos/chaos.trs $(PG_TESTS:=.log) $(PG_TESTS:=.trs) $(E2E_TESTS:=.log) $(E2E_TESTS:=.trs)

# Each call of libpq, librdkafka and the allocator fails once; test.sh takes a sample. Some ten minutes.
.PHONY: sweep
sweep: all-am $(check_LIBRARIES) $(E2E_VARIANTS) tests/e2e/test_sweep
	@srcdir='$(srcdir)' TAP_DRIVER="$(LOG_DRIVER)" PGOUTBOX_SWEEP_RUNS=all $(srcdir)/tests/with-postgres \
		$(srcdir)/tests/with-kafka $(SHELL) $(srcdir)/tests/run-list sweep tests/e2e/test_sweep

# SOAK=-t 600 makes it shorter; see tests/soak/soak.
.PHONY: soak
soak: all-am tests/support/outbox-writer tests/support/outbox-audit
	srcdir='$(srcdir)' $(srcdir)/tests/with-postgres $(srcdir)/tests/with-kafka $(srcdir)/tests/soak/soak $(SOAK)

# How much of src/ the tests run, from a build of its own for gcov (GCOV=gcov-13 where CC=gcc-13), which is of a copy, so that
# it does not matter where this one is. Where the servers are given, what needs them runs too, and docs/coverage.md is checked:
# tests/with-postgres tests/with-kafka make coverage. Some ten minutes.
GCOV = gcov
COVERAGE = coverage-build
.PHONY: coverage
coverage:
	$(MKDIR_P) $(COVERAGE)
	$(MAKE) $(AM_MAKEFLAGS) distdir distdir=$(COVERAGE)/tree
	cd $(COVERAGE) && { test -f Makefile || tree/configure --enable-coverage --disable-hardening CC='$(CC)'; }
	find $(COVERAGE) -name '*.gcda' -exec rm -f {} +
	@page=; failed=; cd $(COVERAGE) && { $(MAKE) -k check || failed=yes; \
	if test -n "$$PGOUTBOX_TEST_PG"; then $(MAKE) -k check-pg || failed=yes; fi; \
	if test -n "$$PGOUTBOX_TEST_PG" && test -n "$$PGOUTBOX_TEST_KAFKA"; then \
		$(MAKE) -k -j1 check-e2e || failed=yes; page="--check tree/docs/coverage.md"; fi; \
	srcdir=tree GCOV='$(GCOV)' $(SHELL) tree/tests/coverage $$page || failed=yes; \
	test -n "$$page" || echo "Without PostgreSQL and Kafka docs/coverage.md is not checked."; \
	test -z "$$failed"; }
clean-local:
	rm -rf $(COVERAGE)

# What needs no server under valgrind's memcheck, and then the daemon for a while, which starts servers of its own.
VALGRIND = valgrind --quiet --leak-check=full --show-leak-kinds=definite,possible --errors-for-leak-kinds=definite,possible \
	--error-exitcode=99 --num-callers=30 --suppressions=$(abs_srcdir)/tests/valgrind.supp
.PHONY: valgrind
valgrind: all-am tests/support/outbox-writer tests/support/outbox-audit
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(UNIT_TESTS) $(MOCK_TESTS)' LOG_COMPILER='$(VALGRIND)'
	srcdir='$(srcdir)' VALGRIND='$(VALGRIND)' $(srcdir)/tests/with-postgres $(srcdir)/tests/with-kafka $(srcdir)/tests/valgrind-e2e
