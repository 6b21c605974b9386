package archive

import (
	"encoding/hex"
	"fmt"
	"path"
	"strconv"
	"strings"

	"ropewalk/changeset"
)

const (
	dataFolder = "day="
	dataType   = ".parquet"
	// maxTypeName is the largest size of a type in the name of a folder, of which file
	// systems allow 255 bytes. The hash after a longer type takes 17 more.
	maxTypeName = 200
	// numberDigits is the number of digits that begin the name of a file.
	numberDigits = 12
)

// folder returns the folder of a row: the day of its recording, and the type of its
// event. Tools take both for columns, as they take the folders of Hive.
func folder(r Row) string {
	return fmt.Sprintf("%s%s/type=%s", dataFolder, r.RecordedAt.UTC().Format("2006-01-02"), typeName(r.Type))
}

// typeName returns a type as it stands in the name of a folder: percent-encoded. Rows
// without a type have the folder for NULL. A long type is cut, and gets a hash.
func typeName(t string) string {
	if t == "" {
		return "__HIVE_DEFAULT_PARTITION__"
	}
	var name strings.Builder
	for i := range len(t) {
		part := t[i : i+1]
		if !plain(t[i]) || t[i] == '.' && i == len(t)-1 { // Azure drops a dot at the end
			part = fmt.Sprintf("%%%02X", t[i])
		}
		if name.Len()+len(part) > maxTypeName {
			digest := hash([]byte(t))
			return name.String() + "~" + hex.EncodeToString(digest[:8])
		}
		name.WriteString(part)
	}
	return name.String()
}

// plain reports whether every tool and storage leaves a character as it is.
func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.~", c) >= 0
}

// fileName returns the name of a file with that content, of the manifest with that
// number. The content follows from the part of the feed, and so does the name. Content
// that differs, because another version of the library has written it, has another
// name.
func fileName(folder string, number uint64, digest changeset.Digest) string {
	return fmt.Sprintf("%s/%0*d-%s%s", folder, numberDigits, number, hex.EncodeToString(digest[:16]), dataType)
}

// fileNumber returns the number of the manifest that can name a file, also of a file
// that is being written. For a manifest that is being written it returns its own. It
// reports false for names that no archiver gives.
func fileNumber(name string) (uint64, bool) {
	base := path.Base(name)
	written := strings.HasSuffix(base, temporary)
	known := strings.HasPrefix(name, dataFolder) && (written || strings.HasSuffix(base, dataType)) || strings.HasPrefix(name, manifests) && written
	if !known || len(base) < numberDigits {
		return 0, false
	}
	number, err := strconv.ParseUint(base[:numberDigits], 10, 64)
	return number, err == nil && number > 0
}
