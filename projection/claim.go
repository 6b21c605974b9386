package projection

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"ropewalk/feed"
	"ropewalk/internal/pause"
)

// beats is how many times within Standby an owner updates its row at least. A
// statement outside of a batch is given up after this part of Standby.
const beats = 3

// looks is how many times within Standby a process in standby looks.
const looks = 15

// goal is what a run is for. The zero goal is to run the live version until the context
// ends.
type goal struct {
	// rebuild means that the run is of a version that is not live.
	rebuild bool
	// caughtUp, if not nil, is called when everything that the feed has is handled. It
	// reports whether the run has done its work.
	caughtUp func(context.Context, *run) (bool, error)
}

// run claims the projection, works, and gives it up.
func (p *Projection) run(ctx context.Context, f *feed.Feed, handler Handler, g *goal) error {
	if err := p.check(); err != nil {
		return err
	}
	r := &run{p: p, feed: f, handler: handler, goal: g, trouble: p.patience()}
	err := r.claim(ctx)
	if err == nil {
		err = unlessStopped(ctx, r.work(ctx))
		if !errors.Is(err, ErrReplaced) {
			err = errors.Join(err, r.release(context.WithoutCancel(ctx)))
		}
	}
	if err = unlessStopped(ctx, err); err != nil {
		return p.withAdvice(err)
	}
	return nil
}

// unlessStopped returns the error of a run, nil if the run has reached its goal or its
// context has ended.
func unlessStopped(ctx context.Context, err error) error {
	if errors.Is(err, errDone) || ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return nil
	}
	return err
}

// claim returns when the run owns the projection. It creates what is missing, and
// stands by while there is an owner that is alive. Its error is errDone if the version
// is to be rebuilt and is live already.
func (r *run) claim(ctx context.Context) error {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	me := hex.EncodeToString(random[:])
	for silence := (pause.Silence[row]{For: r.p.options.Standby}); ; {
		mine, err := r.p.present(ctx, r.goal)
		if err == nil && mine.owner == me {
			r.seen, r.reached, r.beatAt = mine, mine.position, time.Now()
			r.p.options.Logger.InfoContext(ctx, "projection claimed", "projection", r.p.String(), "fence", mine.fence)
			r.trouble.Over()
			return nil
		}
		if err == nil {
			err = r.p.take(ctx, mine, me, &silence)
		}
		switch {
		case err == nil:
		case errors.Is(err, errOwned):
			r.trouble.Over()
			_ = pause.Sleep(ctx, r.p.options.Standby/looks)
			err = context.Cause(ctx) // nil while the context goes on
		default:
			err = r.trouble.Wait(ctx, err)
		}
		if err != nil {
			return err
		}
	}
}

// present returns the row of the version. It creates the table and the row if they
// are missing.
func (p *Projection) present(ctx context.Context, g *goal) (row, error) {
	ctx, cancel := context.WithTimeout(ctx, p.options.Standby/beats)
	defer cancel()
	rows, err := p.rows(ctx)
	if err != nil {
		return row{}, err
	}
	mine, exists := find(rows, func(r row) bool { return r.version == p.version })
	live, anyLive := find(rows, row.isLive)
	switch {
	case g.rebuild && mine.live:
		return row{}, errDone
	case exists && g.rebuild != mine.live:
		return mine, nil
	case g.rebuild || len(rows) == 0:
		// If another process comes first, the insert fails, and the next look finds out.
		if err := p.table.insert(ctx, p.db, p.name, p.version, !g.rebuild); err != nil {
			return row{}, fmt.Errorf("create its row: %w", err)
		}
		return row{version: p.version}, nil
	case anyLive:
		return row{}, fmt.Errorf("%w: version %d is; rebuild the projection as version %d", ErrOtherVersion, live.version, p.version)
	}
	return row{}, fmt.Errorf("%w, nor is any other: version %d is being built", ErrOtherVersion, rows[0].version)
}

func find(rows []row, is func(row) bool) (row, bool) {
	if i := slices.IndexFunc(rows, is); i >= 0 {
		return rows[i], true
	}
	return row{}, false
}

// rows returns the rows of the name, and creates the table if it is missing. It
// creates the table only after an error, because a program may have the right to use
// the table and not the right to create tables.
func (p *Projection) rows(ctx context.Context) ([]row, error) {
	rows, err := p.table.load(ctx, p.db, p.name)
	if err == nil {
		return rows, nil
	}
	_, createErr := p.db.ExecContext(ctx, p.table.create())
	if rows, err = p.table.load(ctx, p.db, p.name); err != nil {
		return nil, errors.Join(err, createErr)
	}
	return rows, nil
}

// take makes one attempt to own the version. The next look sees whether it did. Its
// error is errOwned if another owner is alive, or if its last transaction may still lock
// the row: look again later.
func (p *Projection) take(ctx context.Context, seen row, me string, silence *pause.Silence[row]) error {
	if !silence.Lasts(seen) && seen.owner != "" {
		return errOwned
	}
	ctx, cancel := context.WithTimeout(ctx, p.options.Standby/beats)
	defer cancel()
	err := p.table.claim(ctx, p.db, p.name, seen, me)
	switch {
	case err == nil || errors.Is(err, errMoved):
		return nil
	case seen.owner != "":
		p.options.Logger.WarnContext(ctx, "projection not claimed, standing by", "projection", p.String(), "cause", err)
		return errOwned
	}
	return err
}

// patience bounds how long the database and the feed may fail.
func (p *Projection) patience() *pause.Patience {
	passing := func(err error) bool { return !lasting(err) }
	return &pause.Patience{For: p.options.Standby, Passing: passing, Warn: func(ctx context.Context, err error) {
		p.options.Logger.WarnContext(ctx, "projection failed, trying again", "projection", p.String(), "cause", err)
	}}
}
