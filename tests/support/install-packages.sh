#!/usr/bin/env bash
# install-packages.sh SET... - installs the Debian packages that are missing, and does nothing when none is.
#
# Sets: build, postgresql, kafka, clang, extras. Looks for what a package gives, not for its name, so that whatever is there
# already serves. As a plain user it goes through sudo. Services that come with a package are not started.
set -u

missing=()

# need PACKAGE KIND NAME: KIND is command, library (of pkg-config) or file.
need() {
	case $2 in
	command) command -v "$3" >/dev/null || [ -x "/usr/sbin/$3" ] ;;
	library) pkg-config --exists "$3" 2>/dev/null ;;
	file) compgen -G "$3" >/dev/null ;;
	esac || missing+=("$1")
}

look() {
	case $1 in
	build)
		need gcc command gcc
		need libc6-dev file /usr/include/stdio.h
		need make command make
		need autoconf command autoreconf
		need automake command automake
		need pkg-config command pkg-config
		need libpq-dev library libpq
		need librdkafka-dev library rdkafka
		need libyaml-dev library yaml-0.1
		need libcurl4-openssl-dev library libcurl
		need libmicrohttpd-dev library libmicrohttpd
		need libjansson-dev library jansson
		need libcunit1-dev library cunit
		need uthash-dev file /usr/include/uthash.h
		;;
	postgresql)
		need postgresql file '/usr/lib/postgresql/*/bin/initdb'
		need postgresql-client command psql
		need util-linux command runuser
		;;
	kafka)
		need openjdk-17-jre-headless command java
		need maven command mvn
		need procps command pgrep
		need openssl command openssl
		need xz-utils command xz
		;;
	clang)
		need clang command clang
		need llvm file '/usr/lib/llvm-*/bin/llvm-symbolizer'
		need libclang-rt-14-dev file '/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.asan*'
		;;
	extras)
		need curl command curl
		need mandoc command mandoc
		need pgbouncer command pgbouncer
		need prometheus command promtool
		;;
	*)
		echo "install-packages.sh: there is no set \"$1\"" >&2
		exit 64
		;;
	esac
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo -- "$@"
	fi
}

known() {
	apt-cache show "$1" >/dev/null 2>&1
}

# While this file is there, dpkg's scripts start no service; and PostgreSQL's package makes no cluster of its own.
policy=/usr/sbin/policy-rc.d
no_cluster=/etc/postgresql-common/createcluster.d/pgoutbox-none.conf
made=()

hold_services() {
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null && as_root chmod 755 $policy && made+=($policy)
	fi
	if [ ! -e $no_cluster ]; then
		as_root mkdir -p "${no_cluster%/*}" && echo 'create_main_cluster = false' | as_root tee $no_cluster >/dev/null &&
			made+=($no_cluster)
	fi
}

release_services() {
	[ ${#made[@]} -eq 0 ] || as_root rm -f "${made[@]}"
	made=()
}

install() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
		-o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=120 "$@" </dev/null
}

[ $# -gt 0 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 64; }
for set_name; do look "$set_name"; done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "missing: ${missing[*]}"
if ! command -v apt-get >/dev/null; then
	echo "this machine has no apt-get: install them by its own means" >&2
	exit 69
fi
if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
	echo "neither root nor sudo here: as root, run apt-get install ${missing[*]}" >&2
	exit 77
fi
trap release_services EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
hold_services
for package in "${missing[@]}"; do
	known "$package" || { as_root apt-get update -q </dev/null; break; }
done
install "${missing[@]}" && exit
echo "trying again with fresh package lists"
as_root apt-get update -q </dev/null && install "${missing[@]}"
