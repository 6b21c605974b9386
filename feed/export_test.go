package feed

// SetSizes sets after how many bytes of batches a snapshot is written, and how many
// heads a page of a sweep has.
func SetSizes(snapshot int64, page int) { minSnapshot, sweepPage = snapshot, page }
