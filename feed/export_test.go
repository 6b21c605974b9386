package feed

// SetMinSnapshot lets snapshots be written after so many bytes of batches.
func SetMinSnapshot(bytes int64) { minSnapshot = bytes }
