#!/usr/bin/env bash
# pg-fetch.sh MAJOR - gets the server programs of that PostgreSQL (once, then cached) and prints their directory, for
# PGOUTBOX_PG_BINDIR.
#
# Needs mvn, tar and xz, on amd64. PGOUTBOX_CACHE says where they are kept; as root, user postgres must be able to read
# that. Exit status: 0, or 69 with the reason where they cannot be had.
set -u
support=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

declare -A versions=(
	[14]=14.24.0
	[15]=15.19.0
	[16]=16.15.0
	[17]=17.11.0
	[18]=18.6.0
)

die() {
	echo "pg-fetch: $*" >&2
	exit 69
}

# root's own cache is for nobody else, and PostgreSQL refuses to run as root.
cache_dir() {
	if [ -n "${PGOUTBOX_CACHE-}" ]; then
		echo "$PGOUTBOX_CACHE"
	elif [ "$(id -u)" = 0 ]; then
		echo /var/cache/pgoutbox
	else
		echo "${XDG_CACHE_HOME:-$HOME/.cache}/pgoutbox"
	fi
}

as_owner() {
	if [ "$(id -u)" = 0 ]; then
		runuser -u postgres -- "$@"
	else
		"$@"
	fi
}

# The directory appears under its name only when it is complete.
fetch_into() { # TARGET
	local part=$1.part.$$ log=$1.log
	rm -rf "$part"
	mkdir -p "$part" || return
	if mvn -q -B -f "$support/postgres/pom.xml" -Dpostgres.version="$version" dependency:unpack-dependencies \
		-DoutputDirectory="$part/jar" >"$log" 2>&1 &&
		tar -C "$part" -xJf "$part"/jar/*.txz >>"$log" 2>&1 && chmod -R go+rX "$part" && rm -r "$part/jar" && mv -T "$part" "$1"; then
		rm -f "$log"
		return
	fi
	rm -rf "$part"
	grep -m 1 -E 'ERROR|tar:' "$log" >&2
	die "could not get PostgreSQL $version; the whole output is in $log"
}

major=${1-}
version=${versions[$major]-}
if [ -z "$version" ]; then
	echo "usage: pg-fetch.sh $(printf '%s\n' "${!versions[@]}" | sort | paste -sd '|')" >&2
	exit 64
fi
[ "$(uname -m)" = x86_64 ] || die "there are programs for amd64 only"
cache=$(cache_dir)
target=$cache/postgresql-$version
if [ ! -x "$target/bin/postgres" ]; then
	for command in mvn xz; do
		command -v $command >/dev/null || die "\"$command\" is missing"
	done
	mkdir -p "$cache" && chmod go+rx "$cache" || exit 69
	(
		flock 9
		[ -x "$target/bin/postgres" ] || { echo "pg-fetch: fetching PostgreSQL $version (first time only)" >&2 && fetch_into "$target"; }
	) 9>"$cache/postgresql.lock" || exit
fi
as_owner "$target/bin/postgres" --version >/dev/null || die "PostgreSQL $version does not run here, or user postgres cannot read $target"
echo "$target/bin"
