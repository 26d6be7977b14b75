#!/usr/bin/env bash
# Makes the clients of examples/clients ready to run, and runs them.
#
#   clients.sh ready LANGUAGE DIR              fetches what the client rests on (once, then cached) and builds it in DIR
#   clients.sh run LANGUAGE DIR ARGUMENT...    runs what was built there, in place of this shell
#
# LANGUAGE is python, node, java or go. ready exits with 77 and a last line that says why, where the language is not on this
# machine or what is needed cannot be had within a minute: it is skipped then. Whatever is kept is in the cache of kafka.sh;
# the sources are only read.
set -u

support=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
sources=$(cd "$support/../../examples/clients" && pwd)
. "$support/kafka.sh"
limit_s=60
cache=$(kafka_cache_dir)/clients

skip() {
	echo "$*"
	exit 77
}

need() { # COMMAND...
	local command
	for command; do
		command -v "$command" >/dev/null || skip "there is no \"$command\" here"
	done
}

# Each language, and each set of versions, has a directory of its own.
home_of() { # LANGUAGE
	local manifest runtime=
	case $1 in
	python) manifest=requirements.txt runtime=$(python3 -c 'import sys; print(sys.implementation.cache_tag)' 2>/dev/null) ;;
	node) manifest=package-lock.json ;;
	java) manifest=pom.xml ;;
	go) manifest=go.sum ;;
	*) return 64 ;;
	esac
	echo "$cache/$1-$(cat - "$sources/$1/$manifest" <<<"$runtime" | cksum | cut -d' ' -f1)"
}

# ---- fetching: into $1, which is empty ----

fetch_python() {
	need python3
	python3 -m pip --version >/dev/null 2>&1 || skip "python3 has no pip"
	python3 -m pip install --quiet --no-input --only-binary :all: --timeout 15 --retries 1 --cache-dir "$cache/pip" --target "$1" \
		-r "$sources/python/requirements.txt"
}

# From within the directory: with --prefix npm would not see the configuration of its installation.
fetch_node() {
	need node npm
	cp "$sources"/node/package*.json "$1" && cd "$1" &&
		npm ci --cache "$cache/npm" --ignore-scripts --no-audit --no-fund --fetch-retries 1 --fetch-retry-mintimeout 1000
}

fetch_java() {
	need javac java mvn
	mvn -q -B -Dmaven.repo.local="$cache/m2" -f "$sources/java/pom.xml" dependency:copy-dependencies \
		-DincludeScope=runtime -DoutputDirectory="$1"
}

fetch_go() {
	need go
	go_here mod download
}

# Everything that go keeps, and its counters of use; what the user set for it by "go env -w" is read where that is.
go_here() {
	GOENV=${GOENV:-${XDG_CONFIG_HOME:-${HOME:-/tmp}/.config}/go/env} XDG_CONFIG_HOME=$cache/go/config \
		GOPATH=$cache/go GOMODCACHE=$cache/go/mod GOCACHE=$cache/go/build GOTOOLCHAIN=local GOFLAGS='-modcacherw -mod=readonly' \
		CGO_ENABLED=0 GOGC=off go -C "$sources/go" "$@"
}

# The directory appears under its name only when it is complete.
fetch() { # LANGUAGE HOME
	local part=$2.part log=$2.log status
	rm -rf "$part" && mkdir -p "$part" || return
	(fetch_"$1" "$part" >"$log" 2>&1) || {
		status=$?
		[ $status -ne 77 ] || skip "$(tail -n 1 "$log")"
		skip "what it needs could not be fetched: $(grep -m 1 -i error "$log" || tail -n 1 "$log"); more in $log"
	}
	mv -T "$part" "$2" && rm -f "$log"
}

# ---- building: into $2, from what is in $1 ----

build_python() {
	PYTHONPATH=$1 python3 -c 'import confluent_kafka, psycopg'
}

build_node() {
	NODE_PATH=$1/node_modules node --check "$sources/node/outbox.js"
}

build_java() {
	javac -proc:none -d "$2" -cp "$1/*" "$sources/java/Outbox.java"
}

# Unoptimized, which takes half the time where nothing is in the cache yet.
build_go() {
	go_here build -buildvcs=false -gcflags='all=-N -l' -o "$2/outbox" .
}

prepare() { # LANGUAGE DIR
	local home
	home=$(home_of "$1") || exit
	mkdir -p "$cache" || exit
	exec 9>"$cache/$1.lock"
	flock 9 # go's cache too is filled by one at a time
	[ -d "$home" ] || fetch "$1" "$home"
	"build_$1" "$home" "$2" 9>&-
}

ready() { # LANGUAGE DIR
	timeout -k 5 $limit_s "${BASH_SOURCE[0]}" prepare "$@" &
	local child=$! status
	trap 'kill -TERM $child 2>/dev/null; exit 143' TERM INT HUP
	wait $child
	status=$?
	case $status in
	124 | 137) skip "it was not fetched and built within $limit_s s; the next run begins where this one ended" ;;
	esac
	exit $status
}

run() { # LANGUAGE DIR ARGUMENT...
	local language=$1 dir=$2 home
	home=$(home_of "$1") || exit
	shift 2
	case $language in
	python) PYTHONPATH=$home PYTHONDONTWRITEBYTECODE=1 exec python3 "$sources/python/outbox.py" "$@" ;;
	node) NODE_PATH=$home/node_modules exec node "$sources/node/outbox.js" "$@" ;;
	java) exec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
		-cp "$dir:$home/*" Outbox "$@" ;;
	go) exec "$dir/outbox" "$@" ;;
	esac
}

case ${1-} in
ready | prepare | run)
	[ $# -ge 3 ] || exit 64
	"$@"
	;;
*)
	sed -n '2,/^set -u/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
	exit 64
	;;
esac
