// Command follow prints the changes of the store in a SQLite file as they come: from
// the start of its feed, or after a position that it has printed.
//
//	go run ./examples/follow shop.db [POSITION]
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/feed"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	after := ""
	switch len(os.Args) {
	case 2:
	case 3:
		after = os.Args[2]
	default:
		log.Fatal("usage: follow FILE [POSITION]")
	}
	if err := follow(ctx, os.Args[1], after, os.Stdout); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

// follow prints the changes after a position until the context ends.
func follow(ctx context.Context, path, after string, out io.Writer) error {
	position, err := feed.ParsePosition(after)
	if err != nil {
		return err
	}
	db, err := sqlitestore.Open(path, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	for change, err := range feed.Open(ropewalk.New(db, db, nil), nil).Follow(ctx, position) {
		if err != nil {
			return err
		}
		if change.Erased {
			fmt.Fprintf(out, "%s erased: %q\n", change.Position, change.AggregateID)
			continue
		}
		fmt.Fprintf(out, "%s %q version %d: %q\n", change.Position, change.AggregateID, change.Version, change.Content)
	}
	return nil
}
