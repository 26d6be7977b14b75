// Writes events through pgoutboxd's outbox kit, and consumes them once each with its inbox kit.
//
//	outbox emit ACCOUNT AMOUNT REQUEST_ID    withdraws, and says so in an event of the same transaction
//	outbox consume MESSAGES SECONDS          ends after so many messages, or when none came for so long
//
// Environment: DATABASE_URL, KAFKA_BROKERS, KAFKA_TOPIC, KAFKA_GROUP. Whatever goes wrong ends the program, not with
// status 0: nothing of the message is in the database then, and it comes again.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Who remembers what was processed: one name for one purpose, and never another later.
const consumer = "statements"

type withdrawal struct {
	Account string `json:"account"`
	Amount  int64  `json:"amount"`
}

func emit(ctx context.Context, db *pgx.Conn, w withdrawal, requestID string) error {
	var event string
	// One transaction: both the change and the event, or neither. An error rolls it back.
	err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		// SET LOCAL, with a parameter.
		if _, err := tx.Exec(ctx, "SELECT set_config('pgoutbox.request_id', $1, true)", requestID); err != nil {
			return err
		}
		// The change comes first: its row lock gives the events of an account their order.
		changed, err := tx.Exec(ctx, "UPDATE account SET balance = balance - $1 WHERE id = $2",
			w.Amount, w.Account)
		if err != nil {
			return err
		}
		if changed.RowsAffected() != 1 {
			return fmt.Errorf("there is no account %q", w.Account)
		}
		return tx.QueryRow(ctx, "SELECT pgoutbox.emit('account', $1, 'withdrawn', $2)::text",
			w.Account, w).Scan(&event)
	})
	if err == nil {
		fmt.Println("emitted", event)
	}
	return err
}

// Returns whether the message was new. When this returns without an error, its transaction is committed.
func process(ctx context.Context, db *pgx.Conn, record *kgo.Record) (isNew bool, err error) {
	headers := map[string]*string{} // nil: there is none
	for _, h := range record.Headers {
		if value := string(h.Value); h.Value != nil {
			headers[h.Key] = &value
		}
	}
	id, kind := headers["id"], headers["type"]
	if id == nil || kind == nil {
		return false, fmt.Errorf("offset %d of partition %d is no event", record.Offset, record.Partition)
	}
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, "SELECT pgoutbox.inbox_begin($1, $2)", consumer, *id).Scan(&isNew)
		if err != nil || !isNew || *kind != "withdrawn" {
			return err // a duplicate commits too: the inbox counts it
		}
		var w withdrawal
		if err := json.Unmarshal(record.Value, &w); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO statement (account, amount, request_id) VALUES ($1, $2, $3)",
			w.Account, w.Amount, headers["request_id"])
		return err
	})
	return isNew, err
}

func consume(ctx context.Context, db *pgx.Conn, messages int, patience time.Duration) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(os.Getenv("KAFKA_BROKERS"), ",")...),
		kgo.ConsumerGroup(os.Getenv("KAFKA_GROUP")),
		kgo.ConsumeTopics(os.Getenv("KAFKA_TOPIC")),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // a new group misses nothing
		kgo.DisableAutoCommit(),                           // an offset is committed after the database, by us
	)
	if err != nil {
		return err
	}
	defer client.Close()
	counts := map[bool]int{}
	for counts[true]+counts[false] < messages {
		waiting, cancel := context.WithTimeout(ctx, patience)
		fetches := client.PollRecords(waiting, 1)
		cancel()
		if errors.Is(fetches.Err(), context.DeadlineExceeded) {
			break
		} else if err := fetches.Err(); err != nil {
			return err
		}
		for _, record := range fetches.Records() {
			isNew, err := process(ctx, db, record)
			if err != nil {
				return err
			}
			counts[isNew]++
			if err := client.CommitRecords(ctx, record); err != nil {
				return err
			}
		}
	}
	fmt.Printf("%d new, %d duplicates\n", counts[true], counts[false])
	return nil
}

func run(ctx context.Context, args []string) error {
	db, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer db.Close(ctx)
	switch {
	case len(args) == 4 && args[0] == "emit":
		amount, err := strconv.ParseInt(args[2], 10, 64)
		if err != nil {
			return err
		}
		return emit(ctx, db, withdrawal{args[1], amount}, args[3])
	case len(args) == 3 && args[0] == "consume":
		messages, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		patience, err := time.ParseDuration(args[2] + "s")
		if err != nil {
			return err
		}
		return consume(ctx, db, messages, patience)
	}
	return errors.New("usage: outbox emit ACCOUNT AMOUNT REQUEST_ID | consume MESSAGES SECONDS")
}

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}
