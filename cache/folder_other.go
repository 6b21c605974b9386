//go:build !unix

package cache

import "io/fs"

const openFlags = 0

// openToOthers finds nothing here: the mode of a folder does not show who can write to it.
func openToOthers(fs.FileInfo) string { return "" }
