package peers

import (
	"context"
	"encoding/binary"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// Bolt is an event store in bbolt. Concurrent appends share transactions by
// its Batch.
type Bolt struct{ db *bbolt.DB }

var boltEvents = []byte("events")

// OpenBolt makes the store in a new file in the folder. So many writers are to
// come: a batch is committed at once when it has them all.
func OpenBolt(folder string, writers int) (*Bolt, error) {
	db, err := bbolt.Open(filepath.Join(folder, "bolt.db"), 0o600, nil)
	if err != nil {
		return nil, err
	}
	db.MaxBatchSize = writers
	return &Bolt{db}, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(boltEvents)
		return err
	})
}

func boltKey(version uint64) []byte { return binary.BigEndian.AppendUint64(nil, version) }

// Append stores an event after the previous version's.
func (b *Bolt) Append(_ context.Context, aggregateID string, version uint64, event []byte) error {
	return b.db.Batch(func(tx *bbolt.Tx) error {
		chain, err := tx.Bucket(boltEvents).CreateBucketIfNotExists([]byte(aggregateID))
		if err != nil {
			return err
		}
		newest, _ := chain.Cursor().Last()
		if version == 0 && newest != nil || version > 0 && (newest == nil || binary.BigEndian.Uint64(newest) != version-1) {
			return ErrConflict
		}
		return chain.Put(boltKey(version), event)
	})
}

// Read reads all events of an aggregate in one transaction.
func (b *Bolt) Read(_ context.Context, aggregateID string) (n int, err error) {
	err = b.db.View(func(tx *bbolt.Tx) error {
		chain := tx.Bucket(boltEvents).Bucket([]byte(aggregateID))
		if chain == nil {
			return nil
		}
		return chain.ForEach(func(_, event []byte) error {
			n++
			_ = append([]byte(nil), event...) // it is the transaction's otherwise
			return nil
		})
	})
	return n, err
}

// Close closes the file.
func (b *Bolt) Close() error { return b.db.Close() }
