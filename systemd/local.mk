# The units name the program where it is installed. One is for a configuration of the usual name, the other for any.
EXTRA_DIST += systemd/pgoutboxd.service.in systemd/sysusers.conf systemd/tmpfiles.conf
UNITS = systemd/pgoutboxd.service systemd/pgoutboxd@.service
CLEANFILES += $(UNITS)
if WITH_SYSTEMD_UNIT
nodist_systemdsystemunit_DATA = $(UNITS)

# The user that the units name, and a directory that only it and root can read.
install-data-local:
	$(MKDIR_P) '$(DESTDIR)$(prefix)/lib/sysusers.d' '$(DESTDIR)$(prefix)/lib/tmpfiles.d'
	$(INSTALL_DATA) $(srcdir)/systemd/sysusers.conf '$(DESTDIR)$(prefix)/lib/sysusers.d/pgoutboxd.conf'
	$(INSTALL_DATA) $(srcdir)/systemd/tmpfiles.conf '$(DESTDIR)$(prefix)/lib/tmpfiles.d/pgoutboxd.conf'
uninstall-local:
	rm -f '$(DESTDIR)$(prefix)/lib/sysusers.d/pgoutboxd.conf' '$(DESTDIR)$(prefix)/lib/tmpfiles.d/pgoutboxd.conf'
endif

MAKE_UNIT = $(MKDIR_P) systemd && $(SED) -e 's|%SBINDIR%|$(sbindir)|g'
systemd/pgoutboxd.service: systemd/pgoutboxd.service.in Makefile
	$(AM_V_GEN)$(MAKE_UNIT) -e 's|%OF_NAME%||; s|%NAME%|pgoutboxd|g; s|%UNIT%|pgoutboxd.service|g' \
		$(srcdir)/systemd/pgoutboxd.service.in >$@.tmp && mv $@.tmp $@
systemd/pgoutboxd@.service: systemd/pgoutboxd.service.in Makefile
	$(AM_V_GEN)$(MAKE_UNIT) -e 's|%OF_NAME%| (%i)|; s|%NAME%|%i|g; s|%UNIT%|pgoutboxd@NAME.service|g' \
		$(srcdir)/systemd/pgoutboxd.service.in >$@.tmp && mv $@.tmp $@
