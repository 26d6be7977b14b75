# Clients in other languages: nothing of them is built here. tests/e2e/test_clients runs them.
EXTRA_DIST += \
	examples/clients/README.md \
	examples/clients/go/go.mod \
	examples/clients/go/go.sum \
	examples/clients/go/main.go \
	examples/clients/java/Outbox.java \
	examples/clients/java/pom.xml \
	examples/clients/node/outbox.js \
	examples/clients/node/package-lock.json \
	examples/clients/node/package.json \
	examples/clients/python/outbox.py \
	examples/clients/python/requirements.txt \
	examples/clients/schema.sql
