# Every room in one library: the programs and the tests link what they use of it.
noinst_LIBRARIES += libpgoutbox.a

libpgoutbox_a_SOURCES = \
	src/admin/adopt.c \
	src/admin/adopt.h \
	src/admin/audit.c \
	src/admin/audit.h \
	src/admin/checkup.c \
	src/admin/checkup.h \
	src/admin/checkup_impl.h \
	src/admin/checkup_kafka.c \
	src/admin/checkup_postgresql.c \
	src/admin/claim_index.c \
	src/admin/claim_index.h \
	src/admin/conn.c \
	src/admin/conn.h \
	src/admin/inspect.c \
	src/admin/inspect.h \
	src/admin/install.c \
	src/admin/install.h \
	src/admin/known.c \
	src/admin/known.h \
	src/admin/lanes.c \
	src/admin/lanes.h \
	src/admin/migrate.c \
	src/admin/migrate.h \
	src/admin/outbox.c \
	src/admin/outbox.h \
	src/admin/pace.c \
	src/admin/pace.h \
	src/admin/parked.c \
	src/admin/parked.h \
	src/admin/parked_decide.c \
	src/admin/parked_impl.h \
	src/admin/pruning.c \
	src/admin/pruning.h \
	src/admin/replay.c \
	src/admin/replay.h \
	src/admin/pause.c \
	src/admin/pause.h \
	src/admin/script.c \
	src/admin/script.h \
	src/admin/survey.c \
	src/admin/survey.h \
	src/admin/target.c \
	src/admin/target.h \
	src/admin/texts.h \
	src/admin/topic_sql.c \
	src/admin/topic_sql.h \
	src/admin/turn.c \
	src/admin/turn.h \
	src/base/arena.c \
	src/base/arena.h \
	src/base/backoff.c \
	src/base/backoff.h \
	src/base/buf.c \
	src/base/buf.h \
	src/base/clock.c \
	src/base/clock.h \
	src/base/error.c \
	src/base/error.h \
	src/base/failpoint.def \
	src/base/failpoint.h \
	src/base/log.c \
	src/base/log.h \
	src/base/log_limit.c \
	src/base/log_limit.h \
	src/base/log_writer.c \
	src/base/log_writer.h \
	src/base/sha256.c \
	src/base/sha256.h \
	src/base/slice.h \
	src/base/thread.c \
	src/base/thread.h \
	src/base/utf8.c \
	src/base/utf8.h \
	src/base/watch.h \
	src/config/check.c \
	src/config/check.h \
	src/config/config.c \
	src/config/config.h \
	src/config/config_print.c \
	src/config/config_print_man.c \
	src/config/config_print_schema.c \
	src/config/config_problems.c \
	src/config/conninfo.c \
	src/config/conninfo.h \
	src/config/document.c \
	src/config/document.h \
	src/config/expand.c \
	src/config/expand.h \
	src/config/loader.c \
	src/config/loader.h \
	src/config/loader_impl.h \
	src/config/loader_outboxes.c \
	src/config/options.c \
	src/config/options.def \
	src/config/options.h \
	src/config/outboxes.c \
	src/config/outboxes.h \
	src/config/password.c \
	src/config/password.h \
	src/config/quote.c \
	src/config/quote.h \
	src/config/reload.c \
	src/config/secret.c \
	src/config/secret.h \
	src/config/secret_files.c \
	src/config/secret_files.h \
	src/config/suggest.c \
	src/config/suggest.h \
	src/config/syntax.c \
	src/config/syntax.h \
	src/config/value.c \
	src/config/value.h \
	src/ctl/adopt.c \
	src/ctl/arguments.c \
	src/ctl/arguments.h \
	src/ctl/checkup.c \
	src/ctl/drain.c \
	src/ctl/endpoint.c \
	src/ctl/endpoint.h \
	src/ctl/lanes.c \
	src/ctl/outboxes.c \
	src/ctl/outboxes.h \
	src/ctl/parked.c \
	src/ctl/pause.c \
	src/ctl/progress.c \
	src/ctl/progress.h \
	src/ctl/pulse.c \
	src/ctl/pulse.h \
	src/ctl/prune.c \
	src/ctl/replay.c \
	src/ctl/report.c \
	src/ctl/report.h \
	src/ctl/samples.c \
	src/ctl/samples.h \
	src/ctl/screen.c \
	src/ctl/screen.h \
	src/ctl/setup.c \
	src/ctl/status.c \
	src/ctl/table.c \
	src/ctl/table.h \
	src/ctl/term.c \
	src/ctl/term.h \
	src/ctl/top.c \
	src/ctl/usage.c \
	src/ctl/usage.h \
	src/ctl/verb.c \
	src/ctl/verb.h \
	src/ctl/verdict.c \
	src/ctl/verdict.h \
	src/ctl/words.c \
	src/ctl/words.h \
	src/hook/news.c \
	src/hook/news.h \
	src/hook/post.c \
	src/hook/post.h \
	src/hook/webhook.c \
	src/hook/webhook.h \
	src/metrics/exposition.c \
	src/metrics/metrics.c \
	src/metrics/metrics.def \
	src/metrics/metrics.h \
	src/metrics/process.c \
	src/metrics/process.h \
	src/metrics/rows.c \
	src/metrics/rows.h \
	src/metrics/storage.h \
	src/model/batch.c \
	src/model/batch.h \
	src/model/event.h \
	src/model/message.h \
	src/relay/budget.c \
	src/relay/budget.h \
	src/relay/crew.c \
	src/relay/crew.h \
	src/relay/doorman.c \
	src/relay/doorman.h \
	src/relay/holds.c \
	src/relay/holds.h \
	src/relay/keyset.c \
	src/relay/keyset.h \
	src/relay/link.c \
	src/relay/link.h \
	src/relay/outage.c \
	src/relay/outage.h \
	src/relay/outlet.c \
	src/relay/outlet.h \
	src/relay/pausing.c \
	src/relay/pausing.h \
	src/relay/pipe.c \
	src/relay/pipe.h \
	src/relay/pipe_impl.h \
	src/relay/plan.c \
	src/relay/plan.h \
	src/relay/progress.c \
	src/relay/progress.h \
	src/relay/publish.c \
	src/relay/relay.c \
	src/relay/relay.h \
	src/relay/relay_impl.h \
	src/relay/relay_lanes.c \
	src/relay/relay_reload.c \
	src/relay/spread.c \
	src/relay/spread.h \
	src/relay/stranded.c \
	src/relay/stranded.h \
	src/relay/upkeep.c \
	src/relay/upkeep.h \
	src/route/headers.c \
	src/route/headers.h \
	src/route/router.c \
	src/route/router.h \
	src/route/template.c \
	src/route/template.h \
	src/route/text.c \
	src/route/text.h \
	src/route/topic.c \
	src/route/topic.h \
	src/serve/descriptors.c \
	src/serve/descriptors.h \
	src/serve/health.c \
	src/serve/health.h \
	src/serve/http.c \
	src/serve/http.h \
	src/serve/listen.c \
	src/serve/listen.h \
	src/serve/loop.c \
	src/serve/loop.h \
	src/serve/notify.c \
	src/serve/notify.h \
	src/serve/signals.c \
	src/serve/signals.h \
	src/sink/classify.c \
	src/sink/classify.h \
	src/sink/cluster.c \
	src/sink/cluster.h \
	src/sink/events.c \
	src/sink/flusher.c \
	src/sink/flusher.h \
	src/sink/gate.c \
	src/sink/gate.h \
	src/sink/plain.c \
	src/sink/plain.h \
	src/sink/producer.c \
	src/sink/producer.h \
	src/sink/producer_impl.h \
	src/sink/properties.c \
	src/sink/properties.h \
	src/sink/reach.c \
	src/sink/reach.h \
	src/sink/redact.c \
	src/sink/redact.h \
	src/sink/send.c \
	src/sink/sockets.c \
	src/sink/sockets.h \
	src/sink/statistics.c \
	src/sink/statistics.h \
	src/sink/topics.c \
	src/sink/topics.h \
	src/source/barrier.c \
	src/source/barrier.h \
	src/source/bell.c \
	src/source/bell.h \
	src/source/keeper.c \
	src/source/keeper.h \
	src/source/ladder.c \
	src/source/ladder.h \
	src/source/lane.c \
	src/source/lane.h \
	src/source/layout.c \
	src/source/layout.h \
	src/source/layout_problems.c \
	src/source/pauses.c \
	src/source/pauses.h \
	src/source/prune.c \
	src/source/prune.h \
	src/source/refusal.c \
	src/source/refusal.h \
	src/source/session.c \
	src/source/session.h \
	src/source/share.c \
	src/source/share.h \
	src/source/sqlstate.c \
	src/source/sqlstate.h \
	src/source/statements.c \
	src/source/statements.h \
	src/source/stats.c \
	src/source/stats.h

# sql/ is the single source of what the programs say to PostgreSQL when they set things up.
EMBEDDED_SQL = \
	sql/claim-index.sql \
	sql/drop-index.sql \
	sql/grant-delete.sql \
	sql/grants.sql \
	sql/notify.sql \
	sql/register.sql \
	sql/schema-2.sql \
	sql/schema.sql \
	sql/table.sql
sqldir = $(pkgdatadir)/sql
dist_sql_DATA = sql/init.sql $(EMBEDDED_SQL) \
	sql/kit-idempotency.sql \
	sql/kit-inbox.sql \
	sql/kit-ledger.sql \
	sql/kit-machine.sql \
	sql/kit-outbox.sql \
	sql/kit-reconcile.sql

nodist_libpgoutbox_a_SOURCES = src/admin/texts.c
src/admin/texts.c: $(EMBEDDED_SQL) src/admin/embed.sh
	$(AM_V_GEN)$(MKDIR_P) src/admin && \
		(cd $(srcdir) && $(SHELL) src/admin/embed.sh $(EMBEDDED_SQL)) >$@.tmp && mv $@.tmp $@
CLEANFILES += src/admin/texts.c
EXTRA_DIST += src/admin/embed.sh

LIBPGOUTBOX = libpgoutbox.a \
	$(LIBPQ_LIBS) $(RDKAFKA_LIBS) $(YAML_LIBS) $(MICROHTTPD_LIBS) $(JANSSON_LIBS) $(CURL_LIBS)

sbin_PROGRAMS += pgoutboxd
pgoutboxd_SOURCES = src/pgoutboxd.c src/pgoutboxd_reload.c src/pgoutboxd_reload.h src/pgoutboxd_run.c src/pgoutboxd_run.h
pgoutboxd_LDADD = $(LIBPGOUTBOX)

bin_PROGRAMS += pgoutboxctl
pgoutboxctl_SOURCES = src/pgoutboxctl.c
pgoutboxctl_LDADD = $(LIBPGOUTBOX)

dist_man_MANS = \
	man/pgoutbox.7 \
	man/pgoutboxctl.8 \
	man/pgoutboxd.8 \
	man/pgoutboxd.yaml.5
