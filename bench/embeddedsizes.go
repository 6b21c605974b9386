package main

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"

	"ropewalk/bench/internal/peers"
)

// paddingOf returns how many bytes more the rows of Ropewalk take than the rows of raw
// SQLite, on average of the appends to one aggregate. The first call measures it.
func (l *laboratory) paddingOf(ctx context.Context) (peers.Padding, error) {
	if l.padding != nil {
		return *l.padding, nil
	}
	var sizes [2]map[string]float64
	for i, p := range []embeddedPeer{onSQLite, raw} {
		var err error
		if sizes[i], err = l.rowSizes(ctx, p); err != nil {
			return peers.Padding{}, err
		}
	}
	own, plain := sizes[0], sizes[1]
	padding := peers.Padding{
		Key:     int(own["sqlite_autoindex_changesets_1"] - plain["sqlite_autoindex_events_1"]),
		Version: int(own["heads"] - plain["versions"]),
		Log:     int(own["log"]),
	}
	padding.Event = int(own["changesets"]-plain["events"]) - padding.Key
	l.padding = &padding
	return padding, nil
}

// rowSizes returns the size of the rows of each table and index, in bytes, as SQLite counts
// them: without what pages add.
func (l *laboratory) rowSizes(ctx context.Context, p embeddedPeer) (map[string]float64, error) {
	folder, err := l.folder(p.name)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	store, err := l.openIn(ctx, p, folder, pick(l, 1000, 50))
	if err != nil {
		return nil, err
	}
	if err := store.Close(); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.db"))
	if err != nil || len(files) != 1 {
		return nil, errors.Join(err, errors.New("want one database"))
	}
	return readSizes(ctx, files[0])
}

func readSizes(ctx context.Context, file string) (sizes map[string]float64, err error) {
	db, err := sql.Open("sqlite", file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	// Of a table, the cells between the leaves have no payload.
	rows, err := db.QueryContext(ctx, `SELECT name, 1.0 * sum(payload) / sum(iif(pagetype = 'leaf' OR name LIKE '%autoindex%', ncell, 0)) FROM dbstat GROUP BY name`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	sizes = map[string]float64{}
	for rows.Next() {
		var name string
		var size sql.NullFloat64
		if err := rows.Scan(&name, &size); err != nil {
			return nil, err
		}
		sizes[name] = size.Float64
	}
	return sizes, rows.Err()
}
