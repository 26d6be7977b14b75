# The unit names the program where it is installed.
EXTRA_DIST += systemd/pgoutboxd.service.in
if WITH_SYSTEMD_UNIT
nodist_systemdsystemunit_DATA = systemd/pgoutboxd.service
CLEANFILES += systemd/pgoutboxd.service
endif

systemd/pgoutboxd.service: systemd/pgoutboxd.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && \
		$(SED) 's|@sbindir[@]|$(sbindir)|g' $(srcdir)/systemd/pgoutboxd.service.in >$@.tmp && mv $@.tmp $@
