package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"ropewalk/feed"
)

// Switch is what a program does when a version becomes live, such as replacing a view
// or renaming tables, in the transaction that makes the version live. It must use tx
// alone, and must neither commit nor roll back. It is called again if the transaction
// fails.
//
// MySQL commits at each change of the schema. There a Switch must not change the
// schema, and queries choose their tables by [Projection.Live].
type Switch func(ctx context.Context, tx *sql.Tx) error

// Rebuild makes the read model of this version, from the beginning of the feed, while
// another version is live. Its tables must be other tables than the live ones, and
// must be empty when the first Rebuild of the version begins. When it has handled
// as much as the live version, it makes this version live and returns nil.
// [Projection.Run] then goes on. If this version is live already, there is nothing
// to do.
//
// The switch is one transaction. It locks both positions, and goes on only if this
// version is not before the live one. So queries never see an older read model than
// before. It calls onSwitch, which may be nil. It ends the ownership of the live version,
// so a process that still runs that version gets [ErrReplaced] and commits nothing
// afterwards. If the feed no longer has the position of the live version, because a
// backup was restored or the feed was dropped, there is nothing to compare, and the
// end of the feed is enough.
//
// Rebuild goes on where an earlier Rebuild of the version has ended. It does so too if
// the version was live in the past, so a switch can be taken back for as long as its
// tables exist. [Projection.Drop] lets it begin again. Several processes may call
// Rebuild at once, as with Run. Its errors are the errors of Run, except
// [ErrOtherVersion]. If the context ends first, the error matches the context's.
func (p *Projection) Rebuild(ctx context.Context, f *feed.Feed, handler Handler, onSwitch Switch) error {
	switched := false
	err := p.run(ctx, f, handler, &goal{rebuild: true, caughtUp: func(ctx context.Context, r *run) (bool, error) {
		var err error
		switched, err = r.switchOver(ctx, onSwitch)
		return switched, err
	}})
	if err == nil && !switched && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// switchOver makes the version live, unless it is before the live one. It reports
// whether the version is live.
func (r *run) switchOver(ctx context.Context, onSwitch Switch) (bool, error) {
	rows, err := r.p.load(ctx)
	if err != nil {
		return false, err
	}
	live, _ := find(rows, row.isLive)
	if live.version == r.p.version { // by a COMMIT whose outcome could not be read
		return true, nil
	}
	ready, err := r.notBefore(ctx, live.position)
	if err != nil || !ready {
		return false, err
	}
	tx, err := r.p.db.BeginTx(ctx, nil)
	if err != nil {
		return false, fmt.Errorf("begin the switch: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	if ready, err = r.replace(ctx, tx, live, onSwitch); err != nil || !ready {
		return false, err
	}
	if err := tx.Commit(); err != nil {
		return r.switched(ctx, err)
	}
	r.p.options.Logger.InfoContext(ctx, "projection switched over", "projection", r.p.String(), "from", live.version, "position", r.seen.position)
	return true, nil
}

// notBefore reports whether the run is not before a position of the live version. It
// is not if the feed does not have that position.
func (r *run) notBefore(ctx context.Context, live feed.Position) (bool, error) {
	if order, comparable := r.seen.position.Compare(live); comparable && order >= 0 {
		return true, nil
	}
	for _, err := range r.feed.After(ctx, live) {
		switch {
		case errors.Is(err, feed.ErrOtherHistory):
			return true, nil
		case errors.Is(err, feed.ErrNoFeed):
			return false, nil
		}
		return false, err
	}
	return false, ctx.Err()
}

// replace ends the life of the live version and makes the version of the run live. It
// locks both rows first. It reports false if the live version has moved since it was
// seen, and the run is before it.
func (r *run) replace(ctx context.Context, tx *sql.Tx, live row, onSwitch Switch) (bool, error) {
	if err := r.lock(ctx, tx, live); err != nil {
		return false, fmt.Errorf("lock both versions: %w", err)
	}
	rows, err := r.p.table.load(ctx, tx, r.p.name)
	if err != nil {
		return false, err
	}
	now, _ := find(rows, func(now row) bool { return now.version == live.version })
	if order, comparable := r.seen.position.Compare(now.position); now.position != live.position && (!comparable || order < 0) {
		return false, nil
	}
	if onSwitch != nil {
		if err := guarded(func() error { return onSwitch(ctx, tx) }); err != nil {
			return false, fmt.Errorf("switch: %w", err)
		}
	}
	err = r.p.table.promote(ctx, tx, r.p.name, r.seen)
	if errors.Is(err, sql.ErrTxDone) && ctx.Err() == nil {
		err = ErrTransactionEnded
	}
	if err != nil {
		return false, fmt.Errorf("make the version live: %w", err)
	}
	return true, nil
}

// lock locks the rows of the run and of the live version, if there is one, and ends
// the life of the live version. A transaction of the live version that is under way
// ends first.
func (r *run) lock(ctx context.Context, tx *sql.Tx, live row) error {
	err := r.p.table.advance(ctx, tx, r.p.name, r.seen, r.seen.position)
	if err == nil && live.version != 0 {
		err = r.p.table.demote(ctx, tx, r.p.name, live.version)
	}
	return err
}

// switched finds out whether the version is live although the COMMIT has failed.
func (r *run) switched(ctx context.Context, err error) (bool, error) {
	rows, loadErr := r.p.load(context.WithoutCancel(ctx))
	if loadErr != nil {
		return false, fmt.Errorf("commit the switch: %w, and its outcome could not be read: %w", err, loadErr)
	}
	if live, _ := find(rows, row.isLive); live.version == r.p.version {
		return true, nil
	}
	return false, fmt.Errorf("commit the switch: %w", err)
}
