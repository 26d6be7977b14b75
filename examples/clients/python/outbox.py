#!/usr/bin/env python3
"""Writes events through pgoutboxd's outbox kit, and consumes them once each with its inbox kit.

outbox.py emit ACCOUNT AMOUNT REQUEST_ID    withdraws, and says so in an event of the same transaction
outbox.py consume MESSAGES SECONDS          ends after so many messages, or when none came for so long

Environment: DATABASE_URL, KAFKA_BROKERS, KAFKA_TOPIC, KAFKA_GROUP. Whatever goes wrong ends the program, not with
status 0: nothing of the message is in the database then, and it comes again.
"""

import json
import os
import sys

import psycopg
from confluent_kafka import Consumer, KafkaException
from psycopg.types.json import Jsonb

CONSUMER = "statements"  # who remembers what was processed: one name for one purpose, and never another later


def emit(account, amount, request_id):
    # One transaction: both the change and the event, or neither. "with" commits, or rolls back when anything raises.
    with psycopg.connect(os.environ["DATABASE_URL"]) as db:
        # SET LOCAL, with a parameter.
        db.execute("SELECT set_config('pgoutbox.request_id', %s, true)", [request_id])
        # The change comes first: its row lock gives the events of an account their order.
        changed = db.execute("UPDATE account SET balance = balance - %s WHERE id = %s", [amount, account])
        if changed.rowcount != 1:
            raise LookupError(f'there is no account "{account}"')
        event = db.execute("SELECT pgoutbox.emit('account', %s, 'withdrawn', %s)",
                           [account, Jsonb({"account": account, "amount": amount})]).fetchone()[0]
    print(f"emitted {event}")


def process(db, message):
    """Returns whether the message was new. When this returns, its transaction is committed."""
    headers = {name: value.decode() for name, value in message.headers() or [] if value is not None}
    if "id" not in headers or "type" not in headers:
        raise ValueError(f"offset {message.offset()} of partition {message.partition()} is no event")
    with db.transaction():
        # A duplicate commits too: the inbox counts it.
        new = db.execute("SELECT pgoutbox.inbox_begin(%s, %s)", [CONSUMER, headers["id"]]).fetchone()[0]
        if new and headers["type"] == "withdrawn":
            event = json.loads(message.value())
            db.execute("INSERT INTO statement (account, amount, request_id) VALUES (%s, %s, %s)",
                       [event["account"], event["amount"], headers.get("request_id")])
    return new


def consume(messages, seconds):
    counts = {True: 0, False: 0}
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BROKERS"],
        "group.id": os.environ["KAFKA_GROUP"],
        "enable.auto.commit": False,      # an offset is committed after the database, by us
        "auto.offset.reset": "earliest",  # a new group misses nothing
    })
    try:
        consumer.subscribe([os.environ["KAFKA_TOPIC"]])
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as db:  # transactions are where we say so
            while sum(counts.values()) < messages:
                message = consumer.poll(seconds)
                if message is None:
                    break
                if message.error():
                    raise KafkaException(message.error())
                counts[process(db, message)] += 1
                consumer.commit(message=message, asynchronous=False)
    finally:
        consumer.close()
    print(f"{counts[True]} new, {counts[False]} duplicates")


if __name__ == "__main__":
    if len(sys.argv) == 5 and sys.argv[1] == "emit":
        emit(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    elif len(sys.argv) == 4 and sys.argv[1] == "consume":
        consume(int(sys.argv[2]), float(sys.argv[3]))
    else:
        sys.exit(__doc__)
