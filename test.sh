#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test. Needs no arguments and asks nothing.
#
#   ./test.sh                 all of it, under 15 minutes on two cores
#   ./test.sh PART...         some of it: unit (and mock), pg, e2e, chaos, sanitizers
#   ./test.sh --no-install    without looking for missing packages
#
# unit         programs that need no server, and librdkafka's mock cluster
# pg           against a throw-away PostgreSQL
# e2e          the daemon between a throw-away PostgreSQL and a throw-away Apache Kafka, and shortly the oldest and newest versions
#              of both; "make matrix" does it at length
# chaos        all parts hurt at random for a while, with three brokers; "make chaos" does the same for hours
# sanitizers   unit and pg once more, built by clang with AddressSanitizer and UndefinedBehaviorSanitizer
#
# The last line tells how many tests passed and failed. Exit status: 0 when none failed. Logs are kept in build/log.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
. tests/support/workshop.sh

usage() {
	sed -n '2,/^set -u/s/^# \{0,1\}//p' test.sh
}

install=yes
parts=
for word; do
	case $word in
	--help | -h) usage; exit 0 ;;
	--no-install) install= ;;
	unit | pg | e2e | chaos | sanitizers) parts="$parts $word" ;;
	*) usage >&2; exit 64 ;;
	esac
done
parts=${parts:- unit pg e2e chaos sanitizers}

wanted() {
	[[ "$parts " = *" $1 "* ]]
}

passed=0 failed=0 skipped=0 child=

finish() {
	local counts="$passed passed, $failed failed"
	[ "$skipped" -eq 0 ] || counts="$counts, $skipped skipped"
	printf '\n%s\n' "$counts"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
	exit
}

stop() {
	[ -z "$child" ] || { kill -TERM "$child" 2>/dev/null; wait "$child" 2>/dev/null; }
	exit "$1"
}
trap 'stop 130' INT
trap 'stop 143' TERM
trap 'stop 129' HUP

# run SECONDS LOG COMMAND...: in the background, so that a signal is heard, and never for longer than that.
run() {
	local limit=$1 log=$2
	shift 2
	timeout -k 30 "$limit" "$@" >"$log" 2>&1 </dev/null &
	child=$!
	wait "$child"
	local status=$?
	child=
	return $status
}

log_name() {
	echo "${1#"$top"/}"
}

# step NAME SECONDS COMMAND...: what has to work before there is anything to test.
step() {
	local name=$1 limit=$2 log start=$SECONDS
	shift 2
	log=$logs/${name// /-}.log
	printf '  %-40s' "$name"
	if run "$limit" "$log" "$@"; then
		printf '%sdone%s %s(%d s)%s\n' "$green" "$plain" "$dim" $((SECONDS - start)) "$plain"
		return
	fi
	printf '%sfailed%s\n' "$red" "$plain"
	tail -n 15 "$log" | sed 's/^/    /'
	echo "    more in $(log_name "$log")"
	failed=$((failed + 1))
	return 1
}

# How many of the results that make check left are PASSED, FAILED or SKIPPED. That a program with a failed test exits
# with 1 is no failure of its own.
results() {
	find "$run_dir" -name '*.trs' -newer "$stamp" -exec awk -v wanted="$1" '
		FNR == 1 { failed = 0 }
		$1 != ":test-result:" { next }
		$2 == "PASS" || $2 == "XFAIL" { count["PASSED"]++ }
		$2 == "FAIL" || $2 == "XPASS" { count["FAILED"]++; failed = 1 }
		$2 == "ERROR" && !failed { count["FAILED"]++ }
		$2 == "SKIP" { count["SKIPPED"]++ }
		END { print count[wanted] + 0 }' {} + 2>/dev/null | awk '{ sum += $1 } END { print sum + 0 }'
}

# Programs of which there is a log but no result, because they were stopped. Their driver writes both a moment later than they end.
unfinished() {
	find "$run_dir/tests" -name '*.log' -newer "$stamp" 2>/dev/null |
		while read -r program; do
			[ "${program%.log}.trs" -nt "$stamp" ] || echo "$program"
		done
}

settle_results() {
	local tries=0
	while [ -n "$(unfinished)" ] && [ $((tries += 1)) -le 20 ]; do
		sleep 0.1
	done
}

show_failures() {
	{
		find "$run_dir" -name '*.trs' -newer "$stamp" -exec grep -lE '^:test-result: (FAIL|XPASS|ERROR)' {} + 2>/dev/null |
			sed 's/\.trs$/.log/'
		unfinished
	} | head -n 20 | while read -r program; do
		echo "    $(log_name "$program")"
		awk -f tests/support/failures.awk "$program"
	done
}

# check NAME SECONDS BUILD COMMAND...: runs tests in a build directory and counts their results.
check() {
	local name=$1 limit=$2 start=$SECONDS status good bad counted left log
	run_dir=$workshop/$3
	shift 3
	log=$logs/${name// /-}.log
	stamp=$logs/started
	printf '  %-40s' "$name"
	touch "$stamp" && sleep 0.02
	run "$limit" "$log" env -C "$run_dir" "$@"
	status=$?
	[ "$status" -eq 0 ] || settle_results
	good=$(results PASSED) bad=$(results FAILED) left=$(results SKIPPED)
	counted=$bad
	if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
		bad=1
	fi
	passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + left))
	if [ "$bad" -eq 0 ]; then
		printf '%s%4d passed%s %s(%d s)%s\n' "$green" "$good" "$plain" "$dim" $((SECONDS - start)) "$plain"
		return
	fi
	printf '%s%4d passed, %d failed%s %s(%d s)%s\n' "$red" "$good" "$bad" "$plain" "$dim" $((SECONDS - start)) "$plain"
	show_failures
	[ "$status" -ne 124 ] && [ "$status" -ne 137 ] || echo "    stopped after $limit s"
	[ "$counted" -gt 0 ] || tail -n 12 "$log" | sed 's/^/      /'
	[ "$good" -gt 0 ] || grep -E 'error:|\*\*\*|Error [0-9]|undefined reference|: hint:' "$log" | head -n 10 | sed 's/^/    /'
	echo "    more in $(log_name "$log")"
}

choose_workshop
support=$workshop/tree/tests

if [ -n "$install" ]; then
	headline "Packages"
	sets="build extras"
	wanted pg || wanted e2e || wanted chaos || wanted sanitizers && sets="$sets postgresql"
	wanted e2e || wanted chaos && sets="$sets kafka"
	wanted sanitizers && sets="$sets clang"
	# shellcheck disable=SC2086
	step "what is missing" 900 tests/support/install-packages.sh $sets || finish
fi

headline "Build"
step "copy of the sources" 120 bash -c '. tests/support/workshop.sh && choose_workshop && copy_sources' || finish
if wanted unit || wanted pg || wanted e2e || wanted chaos; then
	step "gcc" 600 bash -c '. tests/support/workshop.sh && choose_workshop && build gcc CC=gcc --enable-werror' || finish
fi
if wanted sanitizers; then
	step "clang with sanitizers" 600 bash -c '. tests/support/workshop.sh && choose_workshop &&
		build clang CC=clang --enable-werror --enable-sanitizers' || finish
fi

headline "Tests"
# Those without a server and those on PostgreSQL spend most of their time waiting, so they do it together.
together() {
	step "programs of the tests" 600 make -C "$workshop/$2" -j2 pg-programs &&
		check "$1" 900 "$2" "$support/side-by-side" "make -k check" "'$support/with-postgres' make -k run-pg"
}

if wanted unit && wanted pg; then
	together "unit, mock and PostgreSQL" gcc
elif wanted unit; then
	check "unit and mock" 600 gcc make -k check
elif wanted pg; then
	check "on PostgreSQL" 600 gcc "$support/with-postgres" make -k check-pg
fi
if wanted e2e; then
	step "programs of the end-to-end tests" 600 make -C "$workshop/gcc" -j2 e2e-programs &&
		check "on PostgreSQL and Kafka" 1200 gcc "$support/side-by-side" \
			"'$support/with-postgres' '$support/with-kafka' make -k run-e2e-calm" \
			"'$support/with-postgres' '$support/with-kafka' make -k run-e2e-rough"
	check "on other versions of both" 900 gcc make -k check-versions
fi
if wanted chaos; then
	check "chaos" 600 gcc make check-chaos NODES=3 SECONDS=75 CHAOS="--seed 1"
fi
if wanted sanitizers; then
	together "unit, mock, PostgreSQL, sanitizers" clang
fi
finish
