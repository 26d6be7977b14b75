# For the archive of a release; dpkg-buildpackage needs no more than debian/ itself.
EXTRA_DIST += \
	debian/changelog \
	debian/control \
	debian/copyright \
	debian/rules \
	debian/source/format \
	debian/tests/control \
	debian/tests/relay
