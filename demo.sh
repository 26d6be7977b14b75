#!/usr/bin/env bash
# Shows pgoutboxd at work: an application that writes events in its transactions, the daemon, a consumer, and the proof.
#
#   ./demo.sh [--kafka] [--events N] [--rate N] [--keep-log FILE] [--no-install]
#
# --kafka       the real Apache Kafka instead of librdkafka's mock broker
# --events N    how many events to commit (60000)
# --rate N      events a second (3000)
# --keep-log F  copy the daemon's log there
#
# Installs what is missing, builds in ./build, leaves nothing running. Exit status: 0 when the proof holds.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
. tests/support/workshop.sh

usage() {
	sed -n '2,/^set -u/s/^# \{0,1\}//p' demo.sh
}

events=60000 rate=3000 kafka= install=yes keep_log= inner=
arguments=("$@")
while [ $# -gt 0 ]; do
	case $1 in
	--help | -h) usage; exit 0 ;;
	--kafka) kafka=yes ;;
	--no-install) install= ;;
	--inner) inner=yes ;; # beside the servers; for its own use
	--events | --rate | --keep-log)
		[ $# -gt 1 ] || { usage >&2; exit 64; }
		case $1 in --events) events=$2 ;; --rate) rate=$2 ;; *) keep_log=$2 ;; esac
		shift
		;;
	*) usage >&2; exit 64 ;;
	esac
	shift
done

choose_workshop
bin=$workshop/gcc

# What has to work before there is anything to see.
prepare() {
	local name=$1 log=$logs/demo-${1// /-}.log start=$SECONDS
	shift
	printf '  %-36s' "$name"
	if "$@" >"$log" 2>&1 </dev/null; then
		printf '%sdone%s %s(%d s)%s\n' "$green" "$plain" "$dim" $((SECONDS - start)) "$plain"
		return
	fi
	printf '%sfailed%s\n' "$red" "$plain"
	tail -n 15 "$log" | sed 's/^/    /'
	echo "    more in ${log#"$top"/}"
	exit 1
}

build_all() {
	(copy_sources && build gcc CC=gcc --enable-werror &&
		make -C "$bin" tests/support/mockbroker tests/support/outbox-writer tests/support/outbox-audit)
}

outer() {
	headline "Getting ready"
	if [ -n "$install" ]; then
		prepare "packages" tests/support/install-packages.sh build postgresql ${kafka:+kafka}
	fi
	prepare "build" build_all
	local beside=("$workshop/tree/tests/with-postgres")
	if [ -n "$kafka" ]; then
		prepare "Apache Kafka's jars" "$workshop/tree/tests/support/kafka.sh" fetch
		beside+=("$workshop/tree/tests/with-kafka")
	fi
	"${beside[@]}" "$top/demo.sh" "${arguments[@]}" --inner 2>"$logs/demo-servers.log" </dev/null &
	child=$!
	trap 'kill -TERM "$child" 2>/dev/null' INT TERM HUP
	while :; do
		wait "$child"
		status=$?
		kill -0 "$child" 2>/dev/null || break
	done
	if [ "$status" -ne 0 ] && [ -s "$logs/demo-servers.log" ]; then
		tail -n 10 "$logs/demo-servers.log" >&2
	fi
	exit "$status"
}

dir= children=()

clean_up() {
	[ ${#children[@]} -eq 0 ] || kill -TERM "${children[@]}" 2>/dev/null
	wait
	[ -z "$dir" ] || rm -rf "$dir"
}

give_up() {
	complain "$1"
	[ ! -s "$dir/pgoutboxd.log" ] || { echo "the daemon said last:" >&2; tail -n 10 "$dir/pgoutboxd.log" >&2; }
	exit 1
}

# Until the command succeeds, or the seconds are over.
await() {
	local limit=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$limit" ] || return 1
		sleep 0.1
	done
}

get() {
	exec 3<>"/dev/tcp/127.0.0.1/$port" || return
	printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$1" >&3
	cat <&3
	exec 3>&-
} 2>/dev/null

is_ready() {
	get /readyz | grep -q '^HTTP/1.[01] 200'
}

# The sum of a metric over its labels.
metric() {
	get /metrics | awk -v name="$1" '$1 == name || index($1, name "{") == 1 { sum += $NF } END { printf "%d", sum }'
}

free_port() {
	local candidate
	for candidate in $(shuf -i 20000-30000 -n 50); do
		(exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null || { echo "$candidate"; return; }
	done
}

sql() { # CONNINFO ARGUMENT...
	psql -qXAt -v ON_ERROR_STOP=1 -d "$@"
}

start() { # LOG COMMAND...
	local log=$1
	shift
	"$@" >>"$dir/$log" 2>&1 </dev/null &
	children+=($!)
	last=$!
}

start_servers() {
	sql "$PGOUTBOX_TEST_PG" -c "CREATE ROLE pgoutboxd LOGIN" -c "CREATE DATABASE app" || give_up "the database could not be created"
	app="$PGOUTBOX_TEST_PG dbname=app"
	if [ -n "$kafka" ]; then
		brokers=$PGOUTBOX_TEST_KAFKA
		broker_name="Apache Kafka"
	else
		start mockbroker.log "$bin/tests/support/mockbroker" --topic account:4 --port-file "$dir/brokers"
		await 10 test -s "$dir/brokers" || give_up "the mock broker did not start"
		brokers=$(cat "$dir/brokers")
		broker_name="librdkafka's mock broker"
	fi
	echo "  PostgreSQL $(sql "$app" -c 'SHOW server_version' | cut -d' ' -f1), $broker_name on ${brokers%%,*}"
}

write_configuration() {
	local host
	port=$(free_port) host=$(sed 's/ *dbname=[^ ]*//; s/ *user=[^ ]*//' <<<"$PGOUTBOX_TEST_PG")
	cat >"$dir/pgoutboxd.yaml" <<-YAML
		database:
		  conninfo: "$host dbname=app user=pgoutboxd"
		kafka:
		  brokers: "$brokers"
		http:
		  listen: "127.0.0.1:$port"
	YAML
	sed 's/^/  /' "$dir/pgoutboxd.yaml"
	"$bin/pgoutboxctl" -c "$dir/pgoutboxd.yaml" init --database "$app" --role pgoutboxd >"$dir/init.log" 2>&1 ||
		give_up "pgoutboxctl init: $(cat "$dir/init.log")"
	echo "  ${dim}pgoutboxctl init: table outbox_events, its index, schema pgoutbox, and the grants are there$plain"
}

# The metric is refreshed every few seconds.
nothing_pending() {
	[ "$(metric pgoutbox_pending_events)" -eq 0 ]
}

# FILE FIELD: a number from a tool's progress file.
progress() {
	awk -v n="$2" '{ value = $n } END { printf "%d", value }' "$dir/$1" 2>/dev/null || echo 0
}

show_progress() {
	local line
	line=$(printf 'written %6d   rolled back %5d   sent %6d   pending %5d   consumed %6d' "$(progress written 1)" \
		"$(progress written 2)" "$(metric pgoutbox_events_sent_total)" "$(metric pgoutbox_pending_events)" "$(progress consumed 1)")
	if [ -t 1 ]; then
		printf '\r  %s\e[K' "$line"
	else
		echo "  $line"
	fi
}

# Until the writer is done and the consumer has it all, or nothing has moved for half a minute.
watch_events() {
	local pause=2 seen now still=0
	[ ! -t 1 ] || pause=0.3
	while kill -0 "$writer" 2>/dev/null || [ "$(progress consumed 1)" -lt "$(progress written 1)" ]; do
		show_progress
		seen=${now-} now=$(progress written 1)/$(progress consumed 1)
		if [ "$seen" != "$now" ]; then
			still=$SECONDS
		elif [ $((SECONDS - still)) -gt 30 ]; then
			break
		fi
		kill -0 "$daemon" 2>/dev/null || give_up "the daemon has ended"
		sleep "$pause"
	done
	show_progress
	[ ! -t 1 ] || echo
	wait "$writer" || give_up "the application failed: $(tail -n 3 "$dir/writer.log")"
}

field() { # NAME FILE: a number of a flat JSON object
	sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" "$dir/$2"
}

proof_line() { # TEXT VALUE WANTED
	local mark="${green}ok$plain"
	if [ "$2" != "$3" ]; then
		mark="${red}wrong, should be $3$plain"
		proven=
	fi
	printf '  %-44s %8d   %s\n' "$1" "$2" "$mark"
}

prove() {
	local written rolled_back
	written=$(field committed writer.log) rolled_back=$(field rolled_back writer.log)
	proven=yes
	if [ -z "$written" ] || [ -z "$(field delivered audit.json)" ]; then
		give_up "the consumer has no report: $(tail -n 3 "$dir/audit.log")"
	fi
	proof_line "events committed by the application" "$written" "$(sql "$app" -c 'SELECT count(*) FROM outbox_events')"
	printf '  %-44s %8d\n' "events rolled back" "$rolled_back"
	proof_line "committed events delivered to Kafka" "$(field delivered audit.json)" "$written"
	proof_line "missing" "$(field missing audit.json)" 0
	proof_line "duplicates" "$(field duplicates audit.json)" 0
	proof_line "delivered although rolled back" "$(field unknown audit.json)" 0
	proof_line "out of order within their key" "$(field out_of_order audit.json)" 0
	proof_line "altered on the way" "$(field altered audit.json)" 0
	proof_line "keys spread over two partitions" "$(field split_keys audit.json)" 0
	printf '  %-44s %8d\n' "keys" "$(field keys audit.json)"
	[ ! -s "$dir/audit.log" ] || head -n 20 "$dir/audit.log" | sed 's/^/    /'
	if [ -z "$proven" ]; then
		complain "The proof does not hold."
		return 1
	fi
	printf '\n%sEvery committed event arrived exactly once, unchanged and in the order of its key; none that was rolled back did.%s\n' \
		"$green" "$plain"
}

show() {
	dir=$(mktemp -d /tmp/pgoutbox-demo.XXXXXX) || exit
	trap 'exit 130' INT
	trap 'exit 143' TERM
	trap 'exit 129' HUP
	trap clean_up EXIT

	headline "Two servers"
	start_servers

	headline "The daemon"
	write_configuration
	start pgoutboxd.log "$bin/pgoutboxd" -c "$dir/pgoutboxd.yaml"
	daemon=$last
	await 20 is_ready || give_up "the daemon did not become ready"
	head -n 1 "$dir/pgoutboxd.log" | sed 's/.*msg="/  /; s/"$//; s/\\"/"/g'

	headline "An application writes $events events at $rate a second, in transactions of which some roll back"
	: >"$dir/written" && : >"$dir/consumed"
	"$bin/tests/support/outbox-audit" --live --json --progress "$dir/consumed" --database "$app" --brokers "$brokers" \
		--topic account >"$dir/audit.json" 2>"$dir/audit.log" </dev/null &
	audit=$!
	children+=("$audit")
	start writer.log "$bin/tests/support/outbox-writer" --database "$app" --events "$events" --rate "$rate" --keys 2000 \
		--pad 0 --json --progress "$dir/written"
	writer=$last
	watch_events

	await 10 nothing_pending
	headline "A look at http://127.0.0.1:$port/metrics"
	get /metrics | grep -E '^pgoutbox_(events_sent_total|pending_events|batches_total|lanes_owned|up|end_to_end_seconds_(sum|count)|acknowledgement_seconds_(sum|count))' |
		sed 's/^/  /'
	get /metrics | awk '/^pgoutbox_end_to_end_seconds_sum/ { sum = $NF } /^pgoutbox_end_to_end_seconds_count/ { count = $NF }
		END { if (count > 0) printf "  on average %.1f ms from created_at to the acknowledgement\n", sum / count * 1000 }'
	kill -TERM "$daemon"
	wait "$daemon" || give_up "the daemon did not stop cleanly"

	headline "What a consumer sees"
	"$bin/tests/support/outbox-audit" --peek 3 --brokers "$brokers" --topic account 2>>"$dir/audit.log"

	headline "The proof"
	kill -TERM "$audit"
	wait "$audit"
	[ -z "$keep_log" ] || cp "$dir/pgoutboxd.log" "$keep_log"
	prove
}

if [ -n "$inner" ]; then
	exec 2>&1
	show
else
	outer
fi
