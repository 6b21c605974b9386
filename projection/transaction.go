package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"

	"ropewalk/feed"
)

// commit handles changes and moves the position after them, in one transaction. Its
// error is an [*unhandled] if the transaction was not committed because of its changes.
//
// The first statement moves the position from where this run has seen it. It locks the
// row until the end of the transaction, and finds no row if this run is no longer
// the owner. So the handler is called by the owner alone.
func (r *run) commit(ctx context.Context, changes []feed.Change, to feed.Position) error {
	tx, err := r.p.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin the transaction: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := r.p.table.advance(ctx, tx, r.p.name, r.seen, to); err != nil {
		return fmt.Errorf("move the position: %w", err)
	}
	for _, c := range changes {
		c.Fence = r.seen.fence
		if err := guarded(func() error { return r.handler(ctx, tx, c) }); err != nil {
			return r.notHandled(ctx, tx, to, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return r.notAnswered(ctx, to, err)
	}
	r.committed(to)
	return nil
}

func (r *run) committed(to feed.Position) {
	r.at(to)
	r.trouble.Over()
}

// guarded calls a function of the program. A panic becomes an error.
func guarded(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &feed.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

// notHandled returns the error of a transaction whose handler has failed.
func (r *run) notHandled(ctx context.Context, tx *sql.Tx, to feed.Position, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(tx.Rollback(), sql.ErrTxDone) && ctx.Err() == nil {
		return r.ended(ctx, to)
	}
	return &unhandled{err}
}

// notAnswered finds out what has become of a transaction whose COMMIT has failed: the
// position in the database says it. A COMMIT that is still under way at this
// moment does no harm. If it takes effect later, the next transaction does not find the
// position where it was.
func (r *run) notAnswered(ctx context.Context, to feed.Position, err error) error {
	if errors.Is(err, sql.ErrTxDone) && ctx.Err() == nil {
		return r.ended(ctx, to)
	}
	before := r.seen.position
	if loadErr := r.reload(context.WithoutCancel(ctx)); loadErr != nil {
		return fmt.Errorf("commit: %w, and its outcome could not be read: %w", err, loadErr)
	}
	switch r.seen.position {
	case to:
		r.p.options.Logger.WarnContext(ctx, "transaction is committed, although COMMIT failed", "projection", r.p.String(), "cause", err)
		r.committed(to)
		return nil
	case before:
		return &unhandled{fmt.Errorf("commit: %w", err)}
	}
	return errMoved
}

// ended returns the error of a handler that has ended the transaction.
func (r *run) ended(ctx context.Context, to feed.Position) error {
	err := r.reload(context.WithoutCancel(ctx))
	switch {
	case err != nil:
		return fmt.Errorf("%w; its outcome could not be read: %w", ErrTransactionEnded, err)
	case r.seen.position == to:
		return fmt.Errorf("%w: it committed, and the changes up to %s can be incomplete: rebuild the projection as another version", ErrTransactionEnded, to)
	}
	return fmt.Errorf("%w: nothing was committed with the position", ErrTransactionEnded)
}
