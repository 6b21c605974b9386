package main

import (
	"bufio"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/feed"
	"ropewalk/gc"
)

// following reads the lines of a program that follows a store.
type following struct {
	*bufio.Scanner
	stop func() error
}

func start(t *testing.T, path, after string) following {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- follow(ctx, path, after, w) }()
	return following{bufio.NewScanner(r), func() error {
		cancel()
		return <-ended
	}}
}

// next returns the next line without the position, and the position.
func (f following) next(t *testing.T) (line, position string) {
	require.True(t, f.Scan(), f.Err())
	position, line, _ = strings.Cut(f.Text(), " ")
	return line, position
}

func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	db, err := sqlitestore.Open(path, nil)
	require.NoError(t, err)
	defer db.Close()
	chain := ropewalk.New(db, db, nil).Chain("order-1")
	h, err := chain.Create(t.Context(), ropewalk.Draft{Content: []byte("created")})
	require.NoError(t, err)

	program := start(t, path, "")
	line, first := program.next(t)
	require.Equal(t, `"order-1" version 0: "created"`, line)
	_, err = chain.Append(t.Context(), h, ropewalk.Draft{Content: []byte("paid\n")})
	require.NoError(t, err)
	line, _ = program.next(t)
	require.Equal(t, `"order-1" version 1: "paid\n"`, line)
	require.ErrorIs(t, program.stop(), context.Canceled)

	program = start(t, path, first)
	line, _ = program.next(t)
	require.Equal(t, `"order-1" version 1: "paid\n"`, line, "it goes on after the position")
	_, err = gc.New(db, db, nil).Erase(t.Context(), "order-1")
	require.NoError(t, err)
	line, last := program.next(t)
	require.Equal(t, `erased: "order-1"`, line)
	_, err = feed.ParsePosition(last)
	require.NoError(t, err)
	require.ErrorIs(t, program.stop(), context.Canceled)
}

func TestFollowRefusesOtherPositions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	require.ErrorContains(t, follow(t.Context(), path, "yesterday", io.Discard), "not a position")
	require.ErrorIs(t, follow(t.Context(), path, "l.0123456789abcdef.7.0123456789abcdef.0", io.Discard), feed.ErrOtherHistory)
}
