#!/usr/bin/env bash
# Runs the worked example: a payment service with everything around it, hurt at random, and the books at the end.
#
#   examples/payments/run.sh [--payments N] [--seed N] [--quick] [--break WHAT] [--build DIR] [--no-install]
#
# --payments N   how many payments clients ask for (10000)
# --seed N       another load, other deaths, another disorder (1)
# --quick        300 payments, and each process dies once or twice
# --break WHAT   takes one of the safeguards away, to see the books tell: inbox, provider, compensation or relay
# --build DIR    the programs are built there already (make all examples)
# --no-install   without looking for missing packages
#
# Uses the Kafka that PGOUTBOX_TEST_KAFKA names, or else starts one; PostgreSQL is always a new one. Leaves nothing
# running, whatever ends it. Exit status: 0 when the books balance.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit
. "$here/../../tests/support/workshop.sh"
. "$here/../../tests/support/kafka.sh"

usage() {
	sed -n '2,/^set -u/s/^# \{0,1\}//p' "$here/run.sh"
}

payments=10000 seed=1 quick= broken= bin= install=yes inner=
arguments=("$@")
while [ $# -gt 0 ]; do
	case $1 in
	--help | -h) usage; exit 0 ;;
	--quick) quick=yes payments=300 ;;
	--no-install) install= ;;
	--inner) inner=yes ;; # beside the servers; for its own use
	--payments | --seed | --break | --build)
		[ $# -gt 1 ] || { usage >&2; exit 64; }
		case $1 in --payments) payments=$2 ;; --seed) seed=$2 ;; --break) broken=$2 ;; *) bin=$2 ;; esac
		shift
		;;
	*) usage >&2; exit 64 ;;
	esac
	shift
done
[[ $payments =~ ^[1-9][0-9]*$ && $seed =~ ^[0-9]+$ && $broken =~ ^(|inbox|provider|compensation|relay)$ ]] || { usage >&2; exit 64; }

# ---- outside: what has to be there ----

prepare() { # NAME COMMAND...
	local name=$1 log=$logs/payments-${1// /-}.log start=$SECONDS
	shift
	printf '  %-36s' "$name"
	if "$@" >"$log" 2>&1 </dev/null; then
		printf '%sdone%s %s(%d s)%s\n' "$green" "$plain" "$dim" $((SECONDS - start)) "$plain"
		return
	fi
	printf '%sfailed%s\n' "$red" "$plain"
	tail -n 15 "$log" | sed 's/^/    /'
	echo "    more in $log"
	exit 1
}

# If this shell is killed outright, somebody else must end the rest.
watch_over() { # COMMAND ARGUMENT, which is its $2
	setsid bash -c 'tail -f /dev/null --pid="$1"; '"$1" - $$ "$2" </dev/null >/dev/null 2>&1 &
	watcher=$!
	disown $!
}

build_all() {
	(copy_sources && build gcc CC=gcc --enable-werror && make -C "$workshop/gcc" examples)
}

outer() {
	local tests=$top/tests beside
	if [ -z "$bin" ]; then
		headline "Getting ready"
		choose_workshop
		[ -z "$install" ] || prepare "packages" "$tests/support/install-packages.sh" build postgresql kafka extras
		prepare "build" build_all
		bin=$workshop/gcc tests=$workshop/tree/tests
		arguments+=(--build "$bin")
		prepare "Apache Kafka's jars" "$tests/support/kafka.sh" fetch
	fi
	beside=("$tests/with-postgres")
	[ -n "${PGOUTBOX_TEST_KAFKA-}" ] || beside+=("$tests/with-kafka")
	"${beside[@]}" "$here/run.sh" "${arguments[@]}" --inner </dev/null &
	child=$!
	trap 'kill -TERM "$child" 2>/dev/null' INT TERM HUP
	watch_over 'kill -TERM "$2"' "$child"
	trap 'kill -- -"$watcher" 2>/dev/null' EXIT
	while :; do
		wait "$child"
		status=$?
		kill -0 "$child" 2>/dev/null || exit "$status"
	done
}

# ---- inside: the processes ----

dir= deaths=0 keepers=()
victims=(service provider saga report pgoutboxd) turn=()

clean_up() {
	touch "$dir/over"
	end_all TERM
	# not a bare wait, which would wait for the watcher too
	[ ${#keepers[@]} -eq 0 ] || wait "${keepers[@]}"
	kill -- -"$watcher" 2>/dev/null
	rm -rf "$dir/ports" # which lets the ports go
	if [ -n "${balanced-}${interrupted-}" ]; then
		rm -rf "$dir"
	else
		echo "what each process said is in $dir" >&2
	fi
}

# Each process has a keeper, which starts it again whenever it has died, until all is over.
keep() { # NAME COMMAND...
	local name=$1
	shift
	: >"$dir/$name.pid"
	(
		trap - EXIT
		trap '' INT TERM HUP
		while [ ! -e "$dir/over" ] && [ ! -e "$dir/$name.over" ]; do
			env --default-signal=INT,TERM,HUP -- "$@" >>"$dir/$name.log" 2>&1 </dev/null &
			echo $! >"$dir/$name.new" && mv "$dir/$name.new" "$dir/$name.pid"
			# over since the loop looked: whoever ended the others did not know of this one
			[ ! -e "$dir/over" ] || kill -TERM $! 2>/dev/null
			wait $!
			echo "status $?" >>"$dir/$name.ends"
			sleep 0.1
		done
	) 2>/dev/null &
	keepers+=($!)
}

signal() { # SIGNAL NAME
	local pid
	pid=$(cat "$dir/$2.pid" 2>/dev/null) && [ -n "$pid" ] && kill "-$1" "$pid" 2>/dev/null
}

end_all() { # SIGNAL
	local file name
	for file in "$dir"/*.pid; do
		name=${file##*/} name=${name%.pid}
		[ -e "$dir/$name.over" ] || signal "$1" "$name"
	done
	[ -z "${client-}" ] || kill "-$1" "$client" 2>/dev/null
	return 0
}

# For good, and not before what it had to do is done.
finish() { # NAME
	touch "$dir/$1.over"
	signal TERM "$1"
	await 30 ended "$1" || give_up "$1 did not end"
}

ended() { # NAME
	local pid
	pid=$(cat "$dir/$1.pid")
	! kill -0 "$pid" 2>/dev/null
}

give_up() {
	complain "$1"
	exit 1
}

await() { # SECONDS COMMAND...
	local limit=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$limit" ] || return 1
		sleep 0.1
	done
}

answers() { # PORT
	(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

start_all() {
	local ports name
	ports=($(mkdir "$dir/ports" && "$kafka_support/hold-ports" "$dir/ports" 3)) || give_up "there are no free ports"
	service_port=${ports[0]} provider_port=${ports[1]}
	export PAYMENTS_BROKERS=$brokers PAYMENTS_SHOP="$host dbname=shop user=pgoutboxd" PAYMENTS_HTTP=127.0.0.1:${ports[2]}
	sed "s/\"shop\\./\"$prefix./" "$here/pgoutboxd.yaml" >"$dir/pgoutboxd.yaml"
	keep injector "$bin/examples/payments/payments-injector" --brokers "$brokers" --from "$prefix.payment" \
		--to "$prefix.payment.shuffled" --progress "$dir/copies" --seed "$((seed % 65536))"
	keep provider "$bin/examples/payments/payments-provider" --conninfo "$host dbname=provider user=provider" \
		--listen "127.0.0.1:$provider_port" --seed "$seed" --late "$trouble" --silent "$trouble"
	keep service "$bin/examples/payments/payments-service" --conninfo "$host dbname=shop user=shop" \
		--listen "127.0.0.1:$service_port" --takeover "$takeover"
	keep pgoutboxd "$bin/pgoutboxd" -c "$dir/pgoutboxd.yaml"
	await 60 test -s "$dir/copies" || give_up "the topics did not appear: $(tail -n 3 "$dir/injector.log")"
	keep saga "$bin/examples/payments/payments-consumer" --role saga --group "$prefix.saga" --brokers "$brokers" \
		--topic "$prefix.payment" --conninfo "$host dbname=shop user=shop" --provider "http://127.0.0.1:$provider_port"
	keep report "$bin/examples/payments/payments-consumer" --role report --group "$prefix.report" --brokers "$brokers" \
		--topic "$prefix.payment.shuffled" --conninfo "$host dbname=reports user=reports"
	for name in saga report; do
		await 60 grep -qs id=ready "$dir/$name.log" || give_up "$name did not start: $(tail -n 3 "$dir/$name.log")"
	done
	for name in service provider; do
		local port=${name}_port
		await 60 answers "${!port}" || give_up "$name did not start: $(tail -n 3 "$dir/$name.log")"
	done
}

# ---- the load, the deaths, and calm ----

sql() { # DATABASE QUERY
	psql -qXAt -F ' ' -v ON_ERROR_STOP=1 -d "$super dbname=$1" -c "$2" 2>>"$dir/psql.log"
}

# Sets: asked all final written unsent saga_seen saga_again report_seen report_again forwarded copies
look() {
	read -r asked _ <<<"$(tail -n 1 "$dir/client.progress" 2>/dev/null || echo 0)"
	read -r forwarded copies <"$dir/copies"
	read -r all final written unsent saga_seen saga_again <<<"$(sql shop "SELECT
		(SELECT count(*) FROM pgoutbox.machine_items), (SELECT count(*) FROM pgoutbox.machine_items WHERE deadline IS NULL),
		(SELECT count(*) FROM outbox_events), (SELECT count(*) FROM outbox_events WHERE sent_at IS NULL),
		(SELECT count(*) FROM pgoutbox.processed_messages), (SELECT count(*) FROM pgoutbox.inbox_duplicates)")"
	read -r report_seen report_again <<<"$(sql reports "SELECT (SELECT count(*) FROM pgoutbox.processed_messages),
		(SELECT count(*) FROM pgoutbox.inbox_duplicates)")"
}

show_progress() {
	local line
	line=$(printf 'asked for %5d   payments %5d   final %5d   events %5d   read model %5d   again %5d   deaths %3d' "${asked:-0}" \
		"${all:-0}" "${final:-0}" "${written:-0}" "${report_seen:-0}" "$((${saga_again:-0} + ${report_again:-0}))" "$deaths")
	if [ -t 1 ]; then
		printf '\r  %s\e[K' "$line"
	elif [ "$SECONDS" -ge "${next_line:-0}" ]; then
		echo "  $line"
		next_line=$((SECONDS + line_every))
	fi
}

kill_one() { # NAME
	if [ ! -e "$dir/$1.over" ] && signal KILL "$1"; then
		deaths=$((deaths + 1))
		echo "$1" >>"$dir/deaths"
	fi
}

# Every one of them in turn, in another order each time.
next_victim() {
	local i
	if [ ${#turn[@]} -eq 0 ]; then
		turn=("${victims[@]}")
	fi
	i=$((RANDOM % ${#turn[@]}))
	victim=${turn[i]}
	turn=("${turn[@]:0:i}" "${turn[@]:i + 1}")
}

nobody_moved() {
	local now="$asked $all $final $unsent $saga_seen $saga_again $report_seen $report_again $forwarded"
	if [ "$now" != "${seen-}" ]; then
		seen=$now moved_at=$SECONDS
	fi
	[ $((SECONDS - moved_at)) -ge "$patience" ]
}

hurt() {
	next_victim
	kill_one "$victim"
	next_death=$(($(now_ms) + rest_ms + RANDOM % rest_ms))
}

now_ms() {
	echo $((${EPOCHREALTIME/./} / 1000))
}

all_is_handled() {
	[ "$all" -gt 0 ] && [ "$final" = "$all" ] && [ "$unsent" = 0 ] && [ "$forwarded" -ge "$written" ]
}

all_is_told() {
	[ "$saga_seen" = "$written" ] && [ "$report_seen" = "$written" ] && [ "$saga_again" -ge "$copies" ] &&
		[ "$report_again" -ge "$copies" ]
}

# Processes die until the clients have all they asked for, and each of the processes has died.
storm() {
	local status
	"$bin/examples/payments/payments-client" --url "http://127.0.0.1:$service_port" --payments "$payments" --seed "$seed" \
		--customers "$customers" --threads "$threads" --record "$dir/client.tsv" --progress "$dir/client.progress" >"$dir/client.log" 2>&1 </dev/null &
	client=$!
	next_death=$(($(now_ms) + 500))
	moved_at=$SECONDS
	while kill -0 "$client" 2>/dev/null || [ "$deaths" -lt ${#victims[@]} ]; do
		look
		show_progress
		[ "$broken" != relay ] || [ "$written" -lt $((payments / 2)) ] || [ -e "$dir/pgoutboxd.over" ] || finish pgoutboxd
		[ "$(now_ms)" -lt "$next_death" ] || [ "$deaths" -ge "$most_deaths" ] || hurt
		! nobody_moved || break
		sleep "$look_s"
	done
	# once it has ended its number may be anybody's
	! jobs -pr | grep -qx "$client" || kill -TERM "$client" 2>/dev/null
	wait "$client"
	status=$?
	client=
	[ "$status" -eq 0 ] || complain "the clients have failed: $(tail -n 3 "$dir/client.log")"
}

# Until the condition holds, or nothing moves any more: then the books will tell.
await_calm() { # CONDITION
	look
	until "$1"; do
		show_progress
		! nobody_moved || { complain "nothing moves any more, but not all is done"; return 1; }
		sleep "$look_s"
		look
	done
}

rest_of_progress() {
	next_line=0
	show_progress
	[ ! -t 1 ] || echo
}

tell_deaths() {
	local name count
	for name in "${victims[@]}"; do
		count=$(grep -cx "$name" "$dir/deaths")
		printf '  %-62s %12s   ' "killed: $name" "$count"
		if [ "$count" -gt 0 ]; then
			echo "${green}ok$plain"
		else
			echo "${red}WRONG, it should have died$plain" killed_all=
		fi
	done
}

inside() {
	local killed_all=yes
	super=$(sed 's/ *dbname=[^ ]*//' <<<"$PGOUTBOX_TEST_PG") host=$(sed 's/ *user=[^ ]*//' <<<"$super")
	brokers=$PGOUTBOX_TEST_KAFKA prefix=shop-$$
	# how long nothing may move; between two lines, two looks and two deaths
	patience=60 line_every=10 look_s=1 rest_ms=1500 customers=100 threads=8 trouble=50 takeover=10 most_deaths=10000
	[ -z "$quick" ] || patience=45 line_every=2 look_s=0.2 rest_ms=400 customers=20 threads=2 trouble=300 takeover=3 most_deaths=8
	RANDOM=$((seed % 32768))
	dir=$(mktemp -d "${TMPDIR:-/tmp}/pgoutbox-payments.XXXXXX") || exit
	trap 'interrupted=yes; exit 130' INT
	trap 'interrupted=yes; exit 143' TERM
	trap 'interrupted=yes; exit 129' HUP
	trap clean_up EXIT
	watch_over 'cd "$2" && touch over && rm -rf ports && kill -KILL $(cat ./*.pid)' "$dir"

	headline "Three databases, a relay, and six processes around them"
	psql -qX -v ON_ERROR_STOP=1 -v customers="$customers" -d "$super dbname=postgres" -f "$here/schema.sql" >"$dir/schema.log" 2>&1 ||
		give_up "the databases could not be made: $(tail -n 5 "$dir/schema.log")"
	if [ -n "$broken" ] && [ "$broken" != relay ]; then
		psql -qX -v ON_ERROR_STOP=1 -d "$super dbname=postgres" -f "$here/break/$broken.sql" || give_up "it could not be broken"
	fi
	start_all
	echo "  PostgreSQL $(sql shop 'SHOW server_version' | cut -d' ' -f1), Apache Kafka on ${brokers%%,*}${broken:+, and broken: $broken}"

	headline "$payments payments, and a death every now and then"
	storm
	await_calm all_is_handled
	finish injector
	await_calm all_is_told
	rest_of_progress

	headline "The books"
	tell_deaths
	"$here/books" "$super dbname=shop" "$super dbname=reports" "$super dbname=provider" "http://127.0.0.1:$provider_port" \
		"$dir/client.tsv" "$copies" && [ -n "$killed_all" ] && balanced=yes
	[ -n "${balanced-}" ]
}

if [ -n "$inner" ]; then
	inside
else
	outer
fi
