#!/usr/bin/env bash
# Runs the real Apache Kafka (KRaft) for tests, from its Maven jars: N nodes, each broker and controller in one.
#
#   kafka.sh fetch                               gets the jars (once, then cached) and prints their directory
#   kafka.sh new DIR [-n NODES] [-p KEY=VALUE] [-l NAME:PROTOCOL[:proxied]] [-s USER:PASSWORD]
#                                                chooses ports and holds them as long as DIR is there, writes the
#                                                configuration, formats the storage; -l adds a
#                                                listener beside the plain one, -s a user of SCRAM, each as often as wanted.
#                                                A proxied listener tells its clients another port, where a proxy of the
#                                                test's own has to listen: see node-N/port-NAME and node-N/door-NAME
#   kafka.sh start|stop|kill9|restart DIR [NODE] all nodes, or one; start waits until what runs answers
#   kafka.sh launch DIR [NODE]                   as start, but waits for nothing
#   kafka.sh bootstrap DIR [LISTENER]            prints "127.0.0.1:PORT,...", of the doors where it has some
#   kafka.sh remove DIR                          ends all nodes and deletes DIR
#   kafka.sh remove-after DIR PID                the same, once the process has ended
#
# Data and ports stay the same from a stop to the next start. It may also be sourced, for the functions kafka_VERB.
# Needs java (17 or later) and mvn. PGOUTBOX_KAFKA_VERSION chooses the version, PGOUTBOX_CACHE where the jars are kept.

kafka_support=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kafka_version=${PGOUTBOX_KAFKA_VERSION:-3.9.2}
kafka_start_s=120 # on a machine that is busy with other things
kafka_stop_s=20

kafka_say() {
	echo "kafka: $*" >&2
}

kafka_need() { # COMMAND PACKAGE
	command -v "$1" >/dev/null && return
	kafka_say "\"$1\" is missing"
	kafka_say "hint: apt-get install $2"
	return 1
}

# ---- jars ----

kafka_cache_dir() {
	echo "${PGOUTBOX_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/pgoutbox}"
}

# The directory appears under its name only when it is complete, so that an interrupted run leaves nothing half done.
kafka_fetch_into() { # TARGET
	local part="$1.part.$$" log="$1.log"
	rm -rf "$part"
	if mvn -q -B -f "$kafka_support/kafka/pom.xml" -Dkafka.version="$kafka_version" \
		dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$part" >"$log" 2>&1; then
		mv -T "$part" "$1"
		rm -f "$log"
		return
	fi
	rm -rf "$part"
	kafka_say "could not get the jars of Apache Kafka $kafka_version"
	grep -m 1 ERROR "$log" >&2
	kafka_say "hint: the whole output is in $log"
	return 1
}

kafka_fetch() {
	local cache jars
	cache=$(kafka_cache_dir)
	jars=$cache/kafka-$kafka_version
	kafka_need java openjdk-17-jre-headless || return
	if [ ! -d "$jars" ]; then
		kafka_need mvn maven || return
		mkdir -p "$cache" || return
		(
			flock 9
			if [ ! -d "$jars" ]; then
				kafka_say "fetching Apache Kafka $kafka_version (first time only)"
				kafka_fetch_into "$jars"
			fi
		) 9>"$cache/kafka.lock" || return
	fi
	echo "$jars"
}

# ---- configuration ----

# What clients of a listener connect to.
kafka_door() { # DIR NODE LISTENER
	cat "$1/node-$2/door-$3" 2>/dev/null || cat "$1/node-$2/port-$3"
}

# The listeners beside the plain one, as server.properties wants them, with ",": in one of its three lists.
kafka_more() { # DIR NODE protocols|addresses|advertised
	local name protocol
	while IFS=: read -r name protocol _; do
		case $3 in
		protocols) printf ',%s:%s' "$name" "$protocol" ;;
		addresses) printf ',%s://127.0.0.1:%s' "$name" "$(cat "$1/node-$2/port-$name")" ;;
		advertised) printf ',%s://127.0.0.1:%s' "$name" "$(kafka_door "$1" "$2" "$name")" ;;
		esac
	done <"$1/listeners"
}

kafka_write_properties() { # DIR NODE
	local dir=$1 node=$2 nodes replicas in_sync port controller_port
	nodes=$(cat "$dir/nodes")
	port=$(cat "$dir/node-$node/port")
	controller_port=$(cat "$dir/node-$node/controller-port")
	replicas=$((nodes < 3 ? nodes : 3))
	in_sync=$((nodes < 3 ? 1 : 2))
	cat >"$dir/node-$node/server.properties" <<-END
		process.roles=broker,controller
		node.id=$node
		controller.quorum.voters=$(cat "$dir/voters")
		controller.listener.names=CONTROLLER
		inter.broker.listener.name=PLAINTEXT
		listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT$(kafka_more "$dir" "$node" protocols)
		listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller_port$(kafka_more "$dir" "$node" addresses)
		advertised.listeners=PLAINTEXT://127.0.0.1:$port$(kafka_more "$dir" "$node" advertised)
		log.dirs=$dir/node-$node/data
		num.partitions=4
		auto.create.topics.enable=true
		default.replication.factor=$replicas
		min.insync.replicas=$in_sync
		offsets.topic.num.partitions=4
		offsets.topic.replication.factor=$replicas
		transaction.state.log.num.partitions=4
		transaction.state.log.replication.factor=$replicas
		transaction.state.log.min.isr=$in_sync
		group.initial.rebalance.delay.ms=0
		broker.heartbeat.interval.ms=300
		broker.session.timeout.ms=3000
		initial.broker.registration.timeout.ms=600000
		log.cleaner.dedupe.buffer.size=4194304
		$(cat "$dir/properties")
	END
}

kafka_format() { # DIR NODE CLUSTER_ID
	local log=$1/node-$2/format.log user scram=()
	while IFS= read -r user; do
		scram+=(--add-scram "SCRAM-SHA-256=[name=${user%%:*},password=${user#*:}]")
		scram+=(--add-scram "SCRAM-SHA-512=[name=${user%%:*},password=${user#*:}]")
	done <"$1/users"
	java -Xmx128m -XX:TieredStopAtLevel=1 -cp "$(cat "$1/jars")/*" kafka.tools.StorageTool format \
		-t "$3" -c "$1/node-$2/server.properties" "${scram[@]}" >"$log" 2>&1 && return
	kafka_say "could not format the storage of node $2"
	tail -n 5 "$log" >&2
	return 1
}

kafka_new() { # DIR [-n NODES] [-p KEY=VALUE]... [-l NAME:PROTOCOL[:proxied]]... [-s USER:PASSWORD]...
	local dir nodes=1 jars ports node voters= cluster_id name proxied per_node=2 OPTIND=1 OPTARG option
	mkdir -p "$1" && dir=$(cd "$1" && pwd) && shift || return
	: >"$dir/properties"
	: >"$dir/listeners"
	: >"$dir/users"
	while getopts n:p:l:s: option; do
		case $option in
		n) nodes=$OPTARG ;;
		p) echo "$OPTARG" >>"$dir/properties" ;;
		l) echo "$OPTARG" >>"$dir/listeners" && per_node=$((per_node + 2)) ;;
		s) echo "$OPTARG" >>"$dir/users" ;;
		*) return 64 ;;
		esac
	done
	jars=$(kafka_fetch) || return
	ports=($("$kafka_support/hold-ports" "$dir" $((nodes * per_node)))) || return
	cluster_id=$(head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | head -c 22)
	echo "$jars" >"$dir/jars"
	echo "$nodes" >"$dir/nodes"
	for ((node = 1; node <= nodes; node++)); do
		mkdir -p "$dir/node-$node"
		echo "${ports[node * 2 - 2]}" >"$dir/node-$node/port"
		echo "${ports[node * 2 - 1]}" >"$dir/node-$node/controller-port"
		voters+=${voters:+,}$node@127.0.0.1:${ports[node * 2 - 1]}
	done
	ports=("${ports[@]:nodes * 2}")
	while IFS=: read -r name _ proxied; do
		for ((node = 1; node <= nodes; node++)); do
			echo "${ports[0]}" >"$dir/node-$node/port-$name"
			[ -z "$proxied" ] || echo "${ports[1]}" >"$dir/node-$node/door-$name"
			ports=("${ports[@]:2}")
		done
	done <"$dir/listeners"
	echo "$voters" >"$dir/voters"
	for ((node = 1; node <= nodes; node++)); do
		kafka_write_properties "$dir" "$node"
		kafka_format "$dir" "$node" "$cluster_id" || return
	done
}

kafka_bootstrap() { # DIR [LISTENER]
	local node list=
	for node in $(kafka_nodes "$1"); do
		list+=${list:+,}127.0.0.1:$(if [ -n "${2-}" ]; then kafka_door "$1" "$node" "$2"; else cat "$1/node-$node/port"; fi)
	done
	echo "$list"
}

# ---- life ----

kafka_nodes() { # DIR [NODE]
	if [ -n "${2-}" ]; then
		echo "$2"
	else
		seq "$(cat "$1/nodes")"
	fi
}

# A process id may belong to somebody else by now: only a java that was started with this directory counts.
kafka_pid() { # DIR NODE
	local pid
	pid=$(cat "$1/node-$2/pid" 2>/dev/null) || return
	tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$1/node-$2/server.properties" || return
	echo "$pid"
}

kafka_launch_one() { # DIR NODE
	local node_dir=$1/node-$2
	kafka_pid "$1" "$2" >/dev/null && return
	setsid java -server -Xms128m -Xmx512m -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true \
		-Dorg.slf4j.simpleLogger.logFile=System.out -Dorg.slf4j.simpleLogger.showDateTime=true \
		"-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS" \
		-cp "$(cat "$1/jars")/*" kafka.Kafka "$node_dir/server.properties" \
		</dev/null >>"$node_dir/server.log" 2>&1 9>&- &
	echo $! >"$node_dir/pid"
	disown $!
	# On a busy machine it is still this shell's fork for a while, which kafka_pid takes for somebody else.
	until kafka_pid "$1" "$2" >/dev/null || ! kill -0 $! 2>/dev/null; do
		sleep 0.02
	done
}

# How many brokers the node knows to be alive: a Metadata request (version 4) for no topics, by hand.
# The answer: length, correlation id, throttle time, number of brokers; four bytes each, and more behind them.
kafka_alive() { # PORT
	local answer
	answer=$(
		exec 2>/dev/null
		exec 3<>"/dev/tcp/127.0.0.1/$1" || exit
		printf '\0\0\0\017\0\003\0\004\0\0\0\001\377\377\0\0\0\0\0' >&3
		timeout 2 head -c 16 <&3 | od -An -v -tu1
	)
	set -- $answer
	echo "${16:-0}"
}

kafka_wait() { # DIR NODE
	local deadline=$((SECONDS + kafka_start_s)) want port
	port=$(cat "$1/node-$2/port")
	while :; do
		want=$(kafka_running "$1")
		[ "$want" -gt 0 ] && [ "$(kafka_alive "$port")" -ge "$want" ] && return
		if ! kafka_pid "$1" "$2" >/dev/null || [ $SECONDS -ge $deadline ]; then
			kafka_say "node $2 did not start"
			tail -n 20 "$1/node-$2/server.log" >&2
			return 1
		fi
		sleep 0.1
	done
}

kafka_running() { # DIR
	local node n=0
	for node in $(kafka_nodes "$1"); do
		kafka_pid "$1" "$node" >/dev/null && n=$((n + 1))
	done
	echo $n
}

kafka_launch() { # DIR [NODE]
	local node
	for node in $(kafka_nodes "$@"); do
		kafka_launch_one "$1" "$node"
	done
}

kafka_start() { # DIR [NODE]
	local node
	kafka_launch "$@"
	for node in $(kafka_nodes "$@"); do
		kafka_wait "$1" "$node" || return
	done
}

kafka_signal() { # SIGNAL DIR [NODE]
	local signal=$1 node pid
	shift
	for node in $(kafka_nodes "$@"); do
		pid=$(kafka_pid "$1" "$node") && kill "-$signal" "$pid" 2>/dev/null
	done
	return 0
}

kafka_wait_gone() { # SECONDS DIR [NODE]
	local deadline=$((SECONDS + $1)) node
	shift
	for node in $(kafka_nodes "$@"); do
		while kafka_pid "$1" "$node" >/dev/null; do
			[ $SECONDS -lt $deadline ] || return
			sleep 0.05
		done
	done
}

kafka_kill9() { # DIR [NODE]
	kafka_signal KILL "$@"
	kafka_wait_gone 10 "$@"
}

kafka_stop() { # DIR [NODE]
	kafka_signal TERM "$@"
	kafka_wait_gone "$kafka_stop_s" "$@" || kafka_kill9 "$@"
}

kafka_restart() { # DIR [NODE]
	kafka_stop "$@"
	kafka_start "$@"
}

# Nothing of it is kept, so there is nothing to shut down in order.
kafka_remove() { # DIR
	local tries left
	[ -f "$1/nodes" ] && kafka_kill9 "$1"
	# a test that was killed may have been starting one
	for ((tries = 0; tries < 20; tries++)); do
		left=$(pgrep -f -- "$1/node-") || break
		kill -KILL $left 2>/dev/null
		sleep 0.1
	done
	rm -rf "$1"
}

kafka_remove-after() { # DIR PID
	tail -f /dev/null --pid="$2"
	kafka_remove "$1"
}

kafka_main() {
	case ${1-} in
	fetch | new | launch | start | stop | kill9 | restart | bootstrap | remove | remove-after)
		local verb=$1
		shift
		if [ "$verb" != fetch ] && [ -z "${1-}" ]; then
			kafka_say "\"$verb\" needs a directory"
			return 64
		fi
		"kafka_$verb" "$@"
		;;
	*)
		sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
		return 64
		;;
	esac
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	kafka_main "$@"
fi
