package feed

// SetSizes sets after how many bytes of batches a snapshot is written, and how many
// heads a page of a sweep has, until restore is called.
func SetSizes(snapshot int64, page int) (restore func()) {
	before, pageBefore := minSnapshot, sweepPage
	minSnapshot, sweepPage = snapshot, page
	return func() { minSnapshot, sweepPage = before, pageBefore }
}

// SetMaxTips sets how many bytes of tips may wait in a relay.
func SetMaxTips(bytes int) (restore func()) {
	old := maxTips
	maxTips = bytes
	return func() { maxTips = old }
}
