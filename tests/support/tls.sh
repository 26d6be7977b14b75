#!/usr/bin/env bash
# A PostgreSQL and an Apache Kafka that want TLS, with certificates made for the occasion.
#
#   tls.sh up DIR                        makes the certificates and starts both, plain access for tests included
#   tls.sh down DIR                      ends both and deletes DIR
#   tls.sh down-after DIR PID            the same, once the process has ended
#   tls.sh client DIR NAME [CA] [DAYS]   a certificate for a client: DIR/NAME.crt, DIR/NAME.key
#   tls.sh lock DIR NAME PASSPHRASE_FILE encrypts the client's key
#   tls.sh pg-certificate DIR NAME       lets PostgreSQL use another server certificate
#
# Certificate authorities: ca, and stranger, which nobody trusts. Servers: server is good for localhost and 127.0.0.1;
# elsewhere is for another name, expired was valid until yesterday, foreign is by the stranger.
# PostgreSQL takes members of the role by_password with SCRAM, of by_cert with a client's certificate of their name, of
# by_both with both, all over TLS only. Kafka's listeners beside the plain one: TLS, MUTUAL (wants a client's
# certificate), SCRAM, ELSEWHERE, EXPIRED; the user "relay" has the password that PGOUTBOX_TLS_PASSWORD says.

. "$(dirname "${BASH_SOURCE[0]}")/kafka.sh"
. "$kafka_support/pg.sh"

tls_ca() { # DIR NAME
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=pgoutbox test $2" \
		-addext basicConstraints=critical,CA:true -keyout "$1/$2.key" -out "$1/$2.crt" 2>/dev/null
}

tls_issue() { # DIR NAME CA DAYS CN [SAN]
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$5" -keyout "$1/$2.key" \
		-out "$1/$2.csr" 2>/dev/null &&
		openssl x509 -req -in "$1/$2.csr" -CA "$1/$3.crt" -CAkey "$1/$3.key" -CAcreateserial -days "$4" \
			-extfile <(echo "subjectAltName=${6:-DNS:$5}") -out "$1/$2.crt" 2>/dev/null &&
		chmod 600 "$1/$2.key" && cat "$1/$2.key" "$1/$2.crt" >"$1/$2.pem"
}

tls_client() { # DIR NAME [CA] [DAYS]
	tls_issue "$1" "$2" "${3:-ca}" "${4:-1}" "$2"
}

tls_lock() { # DIR NAME PASSPHRASE_FILE
	openssl pkcs8 -topk8 -in "$1/$2.key" -passout "file:$3" -out "$1/$2.locked" && mv "$1/$2.locked" "$1/$2.key" &&
		chmod 600 "$1/$2.key"
}

tls_certificates() { # DIR
	local here=DNS:localhost,IP:127.0.0.1
	tls_ca "$1" ca && tls_ca "$1" stranger && tls_issue "$1" server ca 1 localhost $here &&
		tls_issue "$1" elsewhere ca 1 elsewhere.example && tls_issue "$1" expired ca -1 localhost $here &&
		tls_issue "$1" foreign stranger 1 localhost $here
}

# The key belongs to the server's user, which may not read our directory.
tls_pg-certificate() { # DIR NAME
	pg_load "$1/pg" && cp "$1/$2.crt" "$pg_state/data/server.crt" && cp "$1/$2.key" "$pg_state/data/server.new" &&
		chmod 600 "$pg_state/data/server.new" && { [ "$(id -u)" != 0 ] || chown postgres "$pg_state"/data/server.*; } &&
		mv "$pg_state/data/server.new" "$pg_state/data/server.key" &&
		{ [ ! -e "$pg_state/started" ] || pg_as_owner "$pg_bindir/pg_ctl" -D "$pg_state/data" -s reload; }
}

tls_pg() { # DIR
	mkdir "$1/pg" && pg_create "$1/pg" && cp "$1/ca.crt" "$1/pg/data/" && chmod 644 "$1/pg/data/ca.crt" &&
		pg_configure "$1/pg" "ssl = on" "ssl_ca_file = 'ca.crt'" "fsync = off" && tls_pg-certificate "$1" server || return
	cat >"$1/pg/data/pg_hba.conf" <<-END
		local all all trust
		hostssl all +by_password all scram-sha-256
		hostssl all +by_cert all cert
		hostssl all +by_both all scram-sha-256 clientcert=verify-full
	END
	pg_start "$1/pg" && pg_as_owner "$pg_bindir/psql" -q -h "$1/pg" -p "$pg_port" -U postgres \
		-c "CREATE ROLE by_password; CREATE ROLE by_cert; CREATE ROLE by_both" postgres
}

tls_kafka() { # DIR
	local name jaas="org.apache.kafka.common.security.scram.ScramLoginModule required;" options=()
	for name in TLS MUTUAL ELSEWHERE EXPIRED; do
		options+=(-l "$name:SSL")
	done
	options+=(-l SCRAM:SASL_SSL -s "relay:$PGOUTBOX_TLS_PASSWORD")
	for name in \
		ssl.keystore.type=PEM "ssl.keystore.location=$1/server.pem" ssl.truststore.type=PEM "ssl.truststore.location=$1/ca.crt" \
		listener.name.mutual.ssl.client.auth=required \
		"listener.name.elsewhere.ssl.keystore.location=$1/elsewhere.pem" \
		"listener.name.expired.ssl.keystore.location=$1/expired.pem" \
		listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512 \
		"listener.name.scram.scram-sha-256.sasl.jaas.config=$jaas" \
		"listener.name.scram.scram-sha-512.sasl.jaas.config=$jaas" \
		authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer \
		super.users=User:ANONYMOUS allow.everyone.if.no.acl.found=true; do
		options+=(-p "$name")
	done
	kafka_new "$1/kafka" "${options[@]}" && kafka_start "$1/kafka"
}

tls_up() { # DIR
	local kafka
	tls_certificates "$1" || { kafka_say "openssl could not make certificates" && return 1; }
	tls_kafka "$1" &
	kafka=$!
	tls_pg "$1"
	local status=$?
	wait "$kafka" && return $status
}

tls_down() { # DIR
	[ ! -e "$1/kafka" ] || kafka_remove "$1/kafka"
	[ ! -e "$1/pg/conf" ] || pg_stop "$1/pg" immediate
	rm -rf "$1"
}

tls_down-after() { # DIR PID
	tail -f /dev/null --pid="$2"
	tls_down "$1"
}

case ${1-} in
up | down | down-after | client | lock | pg-certificate)
	verb=$1
	shift
	"tls_$verb" "$@"
	;;
*)
	sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
	exit 64
	;;
esac
