# pg.sh - a throw-away PostgreSQL cluster for tests; sourced by tests/with-postgres, and run on its own to hurt a
# server.
#
# A cluster is a state directory: data/, log, and conf with what start needs. It may be stopped, killed and started
# again; it keeps its port. PostgreSQL refuses to run as root, so as root everything is done as user postgres.
#
#	. tests/support/pg.sh; pg_create STATE; pg_start STATE; ...; pg_stop STATE immediate; pg_remove STATE
#	sh tests/support/pg.sh start|stop|kill|restart STATE [fast|immediate|smart]

pg_die() {
	echo "with-postgres: $*" >&2
	return 1
}

# The newest server on this machine, or PGOUTBOX_PG_BINDIR.
pg_find_bindir() {
	if [ -n "${PGOUTBOX_PG_BINDIR-}" ]; then
		[ -x "$PGOUTBOX_PG_BINDIR/initdb" ] || pg_die "PGOUTBOX_PG_BINDIR has no initdb" || return 1
		echo "$PGOUTBOX_PG_BINDIR"
		return 0
	fi
	pg_newest=$(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null |
		sed 's/.*[^0-9]\([0-9][0-9]*\)\/bin$/\1 &/' |
		sort -n | tail -n 1 | cut -d ' ' -f 2-)
	if [ -z "$pg_newest" ] && command -v initdb >/dev/null 2>&1; then
		pg_newest=$(dirname "$(command -v initdb)")
	fi
	[ -x "$pg_newest/initdb" ] || pg_die "no PostgreSQL server here: apt-get install postgresql" || return 1
	echo "$pg_newest"
}

# As the cluster's owner.
pg_as_owner() {
	if [ "$(id -u)" = 0 ]; then
		(cd / && exec runuser -u postgres -- "$@")
	else
		(cd / && exec "$@")
	fi
}

# Nobody else takes it as long as the directory is there, whether a server listens there or is down.
pg_take_port() { # DIR
	for pg_dir in "${support-}" "$(dirname "$0")" "$(dirname "$0")/support"; do
		[ -x "$pg_dir/hold-ports" ] || continue
		"$pg_dir/hold-ports" "$1" 1
		return
	done
	pg_die "hold-ports is not beside pg.sh"
}

pg_load() {
	pg_state=$1
	# shellcheck disable=SC1091
	. "$pg_state/conf" || return 1
}

# The directory must be empty and is given to the owner.
pg_create() {
	pg_bindir=$(pg_find_bindir) || return 1
	chmod 755 "$1" || return 1
	[ "$(id -u)" != 0 ] || chown postgres "$1" || return 1
	pg_as_owner "$pg_bindir/initdb" -D "$1/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync \
		>"$1/initdb.log" 2>&1 || {
		cat "$1/initdb.log" >&2
		return 1
	}
	pg_port=$(pg_take_port "$1") || return 1
	printf "pg_bindir='%s'\npg_port=%s\n" "$pg_bindir" "$pg_port" >"$1/conf"
	pg_load "$1"
	cat >>"$1/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $pg_port
unix_socket_directories = '$1'
max_connections = 100
shared_buffers = 128MB
logging_collector = off
log_line_prefix = '%m [%p] %a '
timezone = 'UTC'
CONF
}

# More settings: pg_configure STATE "name = value" ...
pg_configure() {
	pg_load "$1" || return 1
	shift
	for pg_setting; do
		echo "$pg_setting" >>"$pg_state/data/postgresql.conf"
	done
}

# A port that somebody else took in the meantime is the one failure worth another try, with another port.
pg_start() {
	pg_load "$1" || return 1
	[ ! -e "$pg_state/over" ] || return 1
	for pg_try in 1 2 3; do
		: >>"$pg_state/log"
		[ "$(id -u)" != 0 ] || chown postgres "$pg_state/log"
		if pg_as_owner "$pg_bindir/pg_ctl" -D "$pg_state/data" -l "$pg_state/log" -w -t 60 -s start \
			>/dev/null 2>&1; then
			: >"$pg_state/started"
			return 0
		fi
		[ ! -e "$pg_state/started" ] && grep -q 'could not bind' "$pg_state/log" || break
		pg_new_port=$(pg_take_port "$pg_state") || return 1
		sed -i "s/^port = $pg_port\$/port = $pg_new_port/" "$pg_state/data/postgresql.conf"
		sed -i "s/^pg_port=.*/pg_port=$pg_new_port/" "$pg_state/conf"
		pg_load "$pg_state"
	done
	tail -n 20 "$pg_state/log" >&2
	pg_die "PostgreSQL did not start"
}

# pg_stop STATE [smart|fast|immediate]; immediate is a crash: what was not flushed is lost.
pg_stop() {
	pg_load "$1" || return 1
	[ -e "$pg_state/data/postmaster.pid" ] || return 0
	pg_as_owner "$pg_bindir/pg_ctl" -D "$pg_state/data" -m "${2:-fast}" -w -t 60 -s stop >/dev/null 2>&1
}

pg_restart() {
	pg_stop "$1" "${2:-fast}"
	pg_start "$1"
}

# SIGKILL for the postmaster and all that it started. Stopped first, it starts no more of them meanwhile; as long as one
# is left, the server cannot be started again.
pg_kill() {
	pg_load "$1" || return 1
	pg_pid=$(head -n 1 "$pg_state/data/postmaster.pid" 2>/dev/null) || return 0
	[ -n "$pg_pid" ] || return 0
	kill -STOP "$pg_pid" 2>/dev/null
	pg_children=$(ps -o pid= --ppid "$pg_pid")
	# shellcheck disable=SC2086
	kill -KILL "$pg_pid" $pg_children 2>/dev/null
	for pg_one in $pg_pid $pg_children; do
		while kill -0 "$pg_one" 2>/dev/null; do
			sleep 0.05
		done
	done
}

pg_remove() {
	rm -rf "$1"
}

# Whatever becomes of it meanwhile: a test that is killed may leave one that is just being started.
pg_end() {
	: >"$1/over"
	[ ! -e "$1/conf" ] || pg_stop "$1" immediate || pg_kill "$1"
	for pg_try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		pg_left=$(pgrep -f -- "$1" | grep -vx $$)
		[ -n "$pg_left" ] || break
		# shellcheck disable=SC2086
		kill -KILL $pg_left 2>/dev/null
		sleep 0.1
	done
	pg_remove "$1"
}

# Once the process has ended.
pg_remove_after() { # STATE PID
	tail -f /dev/null --pid="$2"
	[ ! -d "$1" ] || pg_end "$1"
}

# The superuser's connection string: over the socket, so that it needs no free TCP anything.
pg_conninfo() {
	pg_load "$1" || return 1
	echo "host=$pg_state port=$pg_port dbname=postgres user=postgres"
}

case "${0##*/}" in
pg.sh)
	case "${1-}" in
	start) pg_start "$2" ;;
	stop) pg_stop "$2" "${3-fast}" ;;
	restart) pg_restart "$2" "${3-fast}" ;;
	kill) pg_kill "$2" ;;
	remove-after) pg_remove_after "$2" "$3" ;;
	*)
		echo "usage: sh tests/support/pg.sh start|stop|kill|restart STATE [smart|fast|immediate]" >&2
		exit 64
		;;
	esac
	;;
esac
