package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"ropewalk/feed"
)

// Status is how far a version of a projection has come, as the database has it.
type Status struct {
	// Version is the version.
	Version int
	// Live means that queries are to use the version. At most one version is live.
	Live bool
	// Position is the place after the newest change that the read model contains.
	Position feed.Position
	// Owner is a random text for the run that owns the version; empty if no run does. An
	// owner that has died is not removed.
	Owner string
	// Fence counts the owners so far.
	Fence uint64
}

// Status returns the status of each version of the projection, sorted by version. It
// returns the errors of the database, such as the error that the table of the
// checkpoints does not exist.
func (p *Projection) Status(ctx context.Context) ([]Status, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	rows, err := p.load(ctx)
	if err != nil {
		return nil, p.withAdvice(err)
	}
	all := make([]Status, len(rows))
	for i, r := range rows {
		all[i] = Status{r.version, r.live, r.position, r.owner, r.fence}
	}
	return all, nil
}

// Live returns the version that is live, 0 if no version is, so that queries can choose
// their tables. It does not depend on the version of p. It returns the errors of
// [Projection.Status].
func (p *Projection) Live(ctx context.Context) (int, error) {
	all, err := p.Status(ctx)
	for _, s := range all {
		if s.Live {
			return s.Version, nil
		}
	}
	return 0, err
}

// Drop forgets the position of this version, which must not be live, so that the next
// [Projection.Rebuild] of the version begins again. In the same transaction it calls
// cleanUp, which may be nil, to drop or empty the tables of the version. An owner that is
// rebuilding the version ends with [ErrReplaced]. If the version does not exist, Drop only
// calls cleanUp. If COMMIT fails, the outcome is unknown: Drop may be repeated.
func (p *Projection) Drop(ctx context.Context, cleanUp func(ctx context.Context, tx *sql.Tx) error) error {
	if err := p.check(); err != nil {
		return err
	}
	if err := p.drop(ctx, cleanUp); err != nil {
		return p.withAdvice(fmt.Errorf("drop: %w", err))
	}
	return nil
}

func (p *Projection) drop(ctx context.Context, cleanUp func(ctx context.Context, tx *sql.Tx) error) error {
	if _, err := p.rows(ctx); err != nil {
		return err
	}
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := p.table.remove(ctx, tx, p.name, p.version); err != nil && !errors.Is(err, errMoved) {
		return err
	}
	rows, err := p.table.load(ctx, tx, p.name)
	if err != nil {
		return err
	}
	if live, _ := find(rows, row.isLive); live.version == p.version {
		return errLive
	}
	if cleanUp != nil {
		if err := guarded(func() error { return cleanUp(ctx, tx) }); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// load returns the rows of the name.
func (p *Projection) load(ctx context.Context) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, p.options.Standby/beats)
	defer cancel()
	return p.table.load(ctx, p.db, p.name)
}
