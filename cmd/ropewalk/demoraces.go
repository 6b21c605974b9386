package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/faults"
	"ropewalk/head"
)

// writer is a program that appends to the demo's store.
type writer struct {
	name, content string
	heads         head.Store
	patience      time.Duration
}

func (w writer) append(ctx context.Context, changesets changeset.Store, after head.Head) (head.Head, error) {
	store := ropewalk.New(changesets, w.heads, &ropewalk.Options{SettleTimeout: w.patience})
	return store.Chain(order).Append(ctx, after, changeset.Draft{
		Content: []byte(w.content + "\n"), ContentType: "application/x-ndjson",
		Metadata: map[string]string{"writer": w.name},
	})
}

// race lets two writers append after the same changeset at the same time. The
// embedded store would put and swap in one step, and leave no trace of the
// loser; these writers take two, as all do in the cloud.
func (d demo) race(ctx context.Context) error {
	return d.steps(
		d.say("Two writers have read version 1. Both put a changeset after it and swap the head, at once:"),
		func() error { return d.runRace(ctx) },
		d.say("One writer has won. The changeset of the other is left over, and can never enter the chain:"),
		d.run(ctx, 0, "graph", order),
		d.say("An append by the command is refused too if it does not follow the newest changeset. Exit code 4:"),
		d.pipe(ctx, cliexit.Conflict.Exit, `{"type":"cancelled"}`, "append", order, "--after", "1"),
	)
}

func (d demo) runRace(ctx context.Context) (err error) {
	s, err := d.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	h, err := s.Load(ctx, order)
	if err != nil {
		return err
	}
	heads := faults.TwoSteps(s)
	writers := []writer{{"ann", `{"type":"shipped"}`, heads, 0}, {"ben", `{"type":"gift-wrapped"}`, heads, 0}}
	newest, outcomes := make([]head.Head, len(writers)), make([]error, len(writers))
	var running sync.WaitGroup
	for i, w := range writers {
		running.Go(func() { newest[i], outcomes[i] = w.append(ctx, s, h) })
	}
	running.Wait()
	for i, w := range writers {
		outcome := "committed: " + newest[i].Ref.String()
		if outcomes[i] != nil && !errors.Is(outcomes[i], ropewalk.ErrConflict) {
			return outcomes[i]
		} else if outcomes[i] != nil {
			outcome = outcomes[i].Error()
		}
		if err := d.Print("  %s: %-26s%s\n", w.name, w.content, outcome); err != nil {
			return err
		}
	}
	return nil
}

// loseReply lets a swap vanish in the network, settles it, and appends again.
func (d demo) loseReply(ctx context.Context) error {
	u, err := d.swapIntoNowhere(ctx)
	if err != nil {
		return err
	}
	return d.steps(
		d.say("The network fails while a writer swaps the head. Was it committed? The writer cannot know, and nothing is guessed:"),
		func() error { return d.Print("  cem: %-26suncertain: %s\n", delivered, u.Ref) },
		d.run(ctx, 0, "graph", order),
		d.say("settle finds out, from anywhere, at any later time: committed, or, as here, refused for good. Exit code 4:"),
		d.run(ctx, cliexit.Conflict.Exit, "settle", u.Ref.String(), "--after-revision", strconv.FormatUint(u.AfterRevision, 10)),
		d.say("So it can be appended again, and is in the history once:"),
		d.pipe(ctx, 0, delivered, "append", order, "--after", strconv.FormatUint(u.Ref.Version-1, 10)),
	)
}

const delivered = `{"type":"delivered"}`

// swapIntoNowhere appends over a network that loses every swap, and returns
// the outcome, which is uncertain.
func (d demo) swapIntoNowhere(ctx context.Context) (u *ropewalk.UncertainError, err error) {
	s, err := d.open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	h, err := s.Load(ctx, order)
	if err != nil {
		return nil, err
	}
	var script faults.Script
	script.Every(faults.Swap, faults.Fault{Kind: faults.Dropped})
	w := writer{"cem", delivered, script.Heads(faults.TwoSteps(s)), 300 * time.Millisecond}
	_, err = w.append(ctx, s, h)
	u, ok := errors.AsType[*ropewalk.UncertainError](err)
	if !ok {
		return nil, fmt.Errorf("an append whose swap was lost is not uncertain: %w", err)
	}
	return u, nil
}
