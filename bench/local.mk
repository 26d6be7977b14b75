# The benchmark: make bench, make bench BENCH="drain latency", make bench BENCH=full. See bench/bench.
BENCHES = \
	bench/bare \
	bench/ceilings \
	bench/drain \
	bench/hostile \
	bench/idle \
	bench/latency \
	bench/report \
	bench/scale

check_LIBRARIES += libbench.a
libbench_a_SOURCES = \
	bench/bare_run.c \
	bench/bare_run.h \
	bench/ceiling_run.c \
	bench/ceiling_run.h \
	bench/cpu.c \
	bench/cpu.h \
	bench/drain_run.c \
	bench/drain_run.h \
	bench/figures.c \
	bench/figures.h \
	bench/latency_run.c \
	bench/latency_run.h \
	bench/options.c \
	bench/options.h \
	bench/plot.c \
	bench/plot.h \
	bench/say.c \
	bench/say.h \
	bench/world.c \
	bench/world.h
libbench_a_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)

EXTRA_PROGRAMS += $(BENCHES)
CLEANFILES += $(BENCHES)
BENCH_LDADD = libbench.a $(LDADD) -lm

bench_bare_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
bench_bare_LDADD = $(BENCH_LDADD)
bench_ceilings_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
bench_ceilings_LDADD = $(BENCH_LDADD)
bench_drain_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
bench_drain_LDADD = $(BENCH_LDADD)
bench_idle_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
bench_idle_LDADD = $(BENCH_LDADD)
bench_latency_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
bench_latency_LDADD = $(BENCH_LDADD)
bench_hostile_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
bench_hostile_LDADD = $(BENCH_LDADD)
bench_report_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
bench_report_LDADD = $(BENCH_LDADD)
bench_scale_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
bench_scale_LDADD = $(BENCH_LDADD)

EXTRA_DIST += \
	bench/bench \
	bench/dashboard-svg \
	bench/picture \
	docs/img/bench.svg \
	docs/img/dashboard.svg

# all-am and not all: which would make the library in a make of its own, at the same time.
.PHONY: bench
e2e-programs check-e2e: $(BENCHES)
BENCH = default
bench: all-am $(check_LIBRARIES) $(BENCHES)
	@srcdir='$(srcdir)' builddir=. $(srcdir)/bench/bench $(BENCH)

# docs/img/dashboard.svg, from a run of some four minutes; see bench/picture. Autovacuum looks more often than once a minute, which would
# be three times in the picture.
.PHONY: picture
picture: all-am $(check_LIBRARIES) tests/support/outbox-writer
	@srcdir='$(srcdir)' PGOUTBOX_PG_OPTIONS='autovacuum_naptime = 15s' $(srcdir)/tests/with-postgres $(srcdir)/tests/with-kafka \
		$(srcdir)/bench/picture $(PICTURE)
