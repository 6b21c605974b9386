package archive

import "context"

// sweep deletes the files that do not belong to the archive, and returns how many it
// has deleted. Only the manifest with the number in a file's name can name the file.
// If that manifest exists, and the file is not in the archive, the file never will be:
// it was left by an archiver that was interrupted or came second, or a manifest has
// removed it. A file with a higher number may belong to an archiver at work.
func (a *Archive) sweep(ctx context.Context, s *state) (deleted int64, err error) {
	for name, err := range a.destination.List(ctx, "") {
		if err != nil {
			return deleted, err
		}
		if !s.isOrphan(name) {
			continue
		}
		if err := a.destination.Delete(ctx, name); err != nil {
			return deleted, err
		}
		deleted++
	}
	return deleted, nil
}

// isOrphan reports whether a file can be proved to belong to no archive.
func (s *state) isOrphan(name string) bool {
	number, ok := fileNumber(name)
	_, live := s.live[name]
	return ok && !live && number <= s.number
}
