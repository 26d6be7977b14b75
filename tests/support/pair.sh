# pair.sh - a primary and its synchronous standby, throw-away, for tests of failover.
#
#	sh tests/support/pair.sh make DIR	clusters DIR/a and DIR/b, the second one following; prints their ports
#	sh tests/support/pair.sh part DIR	the standby stops: what the primary does from now on it never learns
#	sh tests/support/pair.sh crash DIR	the primary ends at once, with all its sessions
#	sh tests/support/pair.sh promote DIR	the standby becomes a primary
#	sh tests/support/pair.sh remove DIR
set -u
. "$(dirname "$0")/pg.sh"

sql() {
	pg_load "$1" && pg_as_owner "$pg_bindir/psql" -qAtX -h "$1" -p "$pg_port" -U postgres -c "$2" postgres
}

follow() {
	pg_load "$1/a" || return 1
	mkdir "$1/b" && chmod 755 "$1/b" || return 1
	[ "$(id -u)" != 0 ] || chown postgres "$1/b" || return 1
	pg_as_owner "$pg_bindir/pg_basebackup" -D "$1/b/data" -h "$1/a" -p "$pg_port" -U postgres -R -X stream -c fast --no-sync || return 1
	pg_port=$(pg_take_port "$1/b") || return 1
	printf "pg_bindir='%s'\npg_port=%s\n" "$pg_bindir" "$pg_port" >"$1/b/conf"
	printf "port = %s\nunix_socket_directories = '%s'\n" "$pg_port" "$1/b" >>"$1/b/data/postgresql.conf"
	pg_start "$1/b"
}

make() {
	mkdir -p "$1/a" || return 1
	chmod 755 "$1"
	pg_create "$1/a" && pg_configure "$1/a" "wal_level = replica" "max_wal_senders = 4" && pg_start "$1/a" || return 1
	follow "$1" || return 1
	sql "$1/a" "ALTER SYSTEM SET synchronous_standby_names = '*'" && sql "$1/a" "SELECT pg_reload_conf()" >/dev/null || return 1
	pg_load "$1/a" && echo "$pg_port" && pg_load "$1/b" && echo "$pg_port"
}

promote() {
	pg_load "$1/b" || return 1
	[ -e "$pg_state/data/postmaster.pid" ] || pg_start "$1/b" || return 1
	pg_as_owner "$pg_bindir/pg_ctl" -D "$pg_state/data" -w -t 60 -s promote
}

case "${1-} ${2:+DIR}" in
'make DIR') make "$2" ;;
'crash DIR') pg_stop "$2/a" immediate ;;
'promote DIR') promote "$2" ;;
'part DIR') pg_stop "$2/b" fast ;;
'remove DIR')
	for state in "$2/a" "$2/b"; do
		[ ! -e "$state/conf" ] || pg_stop "$state" immediate || pg_kill "$state"
	done
	pg_remove "$2"
	;;
*)
	echo "usage: sh tests/support/pair.sh make|part|crash|promote|remove DIR" >&2
	exit 64
	;;
esac
