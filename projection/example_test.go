package projection_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/feed"
	"ropewalk/projection"
)

// A table with the balance of each account. The program may be killed at any time and
// started again, several times at once: each deposit counts once.
func Example() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	db, err := sql.Open("sqlite", filepath.Join(folder, "balances.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	ctx := context.Background()
	if _, err := db.ExecContext(ctx, "CREATE TABLE balances (account TEXT PRIMARY KEY, balance INTEGER)"); err != nil {
		log.Fatal(err)
	}

	heads := memstore.New()
	store := ropewalk.New(heads, heads, nil)
	repository := aggregate.New(store, accounts, nil)
	for _, account := range []string{"ann", "bob"} {
		if _, err := repository.Create(ctx, account, []deposit{{100}, {20}}); err != nil {
			log.Fatal(err)
		}
	}

	balances := projection.New(db, projection.SQLite, "balances", 1, nil)
	handler := projection.Handle(accounts, func(ctx context.Context, tx *sql.Tx, e aggregate.Delivered[deposit]) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO balances VALUES (?1, ?2) ON CONFLICT DO UPDATE SET balance = balance + ?2", e.AggregateID, e.Event.Amount)
		return err
	}, func(ctx context.Context, tx *sql.Tx, account string) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM balances WHERE account = ?", account)
		return err
	})
	// A service calls Run, which goes on until its context ends.
	if err := balances.Once(ctx, feed.Open(store, nil), handler); err != nil {
		log.Fatal(err)
	}
	var accounts, sum int
	if err := db.QueryRowContext(ctx, "SELECT count(*), sum(balance) FROM balances").Scan(&accounts, &sum); err != nil {
		log.Fatal(err)
	}
	fmt.Println(accounts, "accounts with", sum)
	// Output: 2 accounts with 240
}
