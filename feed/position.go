package feed

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"ropewalk/changeset"
	"ropewalk/head"
)

// Position is a place in a feed, after one change. Programs store its text and
// pass it back. The zero Position is the beginning of any feed.
// A Position is an immutable value, comparable and safe for concurrent use.
type Position struct {
	generation string
	at         uint64       // the version of the feed's changeset, or the row of the log
	id         changeset.ID // the ID of the feed's changeset; zero in a log
	mark       [8]byte      // the mark of the row; zero in a chain
	line       uint64       // the number of the advance in its batch, from 1; 0 in a log
	version    uint64       // the version of the change within its advance
}

// maxPosition is the largest size of the text of a position in bytes.
const maxPosition = 120

// The kinds of positions are the first parts of their texts.
const (
	chainKind = "c"
	logKind   = "l"
)

// IsZero reports whether p is the beginning.
func (p Position) IsZero() bool { return p == Position{} }

// String returns the text of the position: at most 120 letters, digits, dots and
// dashes; empty for the zero Position. It can be part of a URL or a file name.
func (p Position) String() string {
	switch {
	case p.IsZero():
		return ""
	case p.id.IsZero():
		return fmt.Sprintf("%s.%s.%d.%s.%d", logKind, p.generation, p.at, hex.EncodeToString(p.mark[:]), p.version)
	}
	id := base64.RawURLEncoding.EncodeToString(p.id[:])
	return fmt.Sprintf("%s.%s.%d.%s.%d.%d", chainKind, p.generation, p.at, id, p.line, p.version)
}

// ParsePosition parses the text of a position. The empty text is the zero Position.
func ParsePosition(s string) (Position, error) {
	if s == "" {
		return Position{}, nil
	}
	p, err := parsePosition(strings.Split(s, "."))
	if err != nil || len(s) > maxPosition || p.String() != s {
		return Position{}, fmt.Errorf("%.130q is not a position of a feed: take the text that came with a change", s)
	}
	return p, nil
}

func parsePosition(parts []string) (p Position, err error) {
	var errs [4]error
	switch {
	case len(parts) == 5 && parts[0] == logKind:
		var mark []byte
		mark, errs[0] = hex.DecodeString(parts[3])
		copy(p.mark[:], mark)
		p.version, errs[1] = strconv.ParseUint(parts[4], 10, 64)
	case len(parts) == 6 && parts[0] == chainKind:
		var id []byte
		id, errs[0] = base64.RawURLEncoding.DecodeString(parts[3])
		copy(p.id[:], id)
		p.line, errs[1] = strconv.ParseUint(parts[4], 10, 64)
		p.version, errs[2] = strconv.ParseUint(parts[5], 10, 64)
	default:
		return p, errors.New("unknown kind")
	}
	p.generation = parts[1]
	p.at, errs[3] = strconv.ParseUint(parts[2], 10, 64)
	return p, errors.Join(errs[:]...)
}

// MarshalText returns the text of the position.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText parses the text of a position, as [ParsePosition] does.
func (p *Position) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePosition(string(text))
	return err
}

// Compare returns -1, 0 or 1 if p comes before q, is q, or comes after q. It
// reports false if the two are of different generations. The zero Position comes
// before all others.
func (p Position) Compare(q Position) (order int, comparable bool) {
	switch {
	case p.IsZero() || q.IsZero():
		return cmp.Compare(len(p.generation), len(q.generation)), true
	case p.generation != q.generation || p.id.IsZero() != q.id.IsZero():
		return 0, false
	}
	return cmp.Or(cmp.Compare(p.at, q.at), cmp.Compare(p.line, q.line), cmp.Compare(p.version, q.version)), true
}

// fromLog returns the position after an entry of a log.
func fromLog(p head.LogPosition, version uint64) Position {
	return Position{generation: p.Generation, at: p.Row, mark: p.Mark, version: version}
}

func (p Position) logPosition() head.LogPosition {
	return head.LogPosition{Generation: p.generation, Row: p.at, Mark: p.mark}
}
