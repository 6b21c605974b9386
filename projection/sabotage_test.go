package projection_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/internal/projectiontests"
	"ropewalk/internal/sqlfaults"
)

// replacing changes the statements of a process.
func replacing(from, to string) func(*sqlfaults.Script) {
	return func(s *sqlfaults.Script) {
		s.Rewrite = func(query string) string { return strings.Replace(query, from, to, 1) }
	}
}

// Each statement of the checkpoint is broken in turn. The checks must notice.
func TestEachRuleIsTested(t *testing.T) {
	for _, test := range []struct {
		name     string
		sabotage func(*sqlfaults.Script)
		noticed  []string
	}{
		{
			"the handler runs before the conditional update",
			func(s *sqlfaults.Script) {
				s.Postpone = func(query string) bool { return strings.Contains(query, "SET position = ?") }
			},
			[]string{"a replaced owner calls no handler and commits nothing"},
		}, {
			"the update does not depend on the position",
			replacing("AND position = ?", "AND (position = ? OR 1 = 1)"),
			[]string{"a COMMIT that takes effect after its transaction was repeated counts once"},
		}, {
			"the update does not depend on the fence",
			replacing("AND position = ? AND fence = ?", "AND position = ? AND (fence = ? OR 1 = 1)"),
			[]string{"a replaced owner commits nothing, also if its successor has not committed yet"},
		}, {
			"a claim does not raise the fence",
			replacing("SET owner = ?, fence = fence + 1", "SET owner = ?, fence = fence"),
			[]string{"a replaced owner commits nothing, also if its successor has not committed yet"},
		}, {
			"a claim does not depend on the row that was seen",
			replacing("AND fence = ? AND beat = ?", "AND (fence = ? OR beat = ? OR 1 = 1)"),
			[]string{"of two processes that find no owner, one becomes the owner"},
		}, {
			"the switch does not raise the fence",
			replacing("live = NULL, owner = '', fence = fence + 1", "live = NULL, owner = ''"),
			[]string{"a version is built beside the live one, which then ends"},
		}, {
			"beats are not counted",
			replacing("SET position = ?, beat = beat + 1", "SET position = ?, beat = beat"),
			[]string{"an owner without changes is not replaced", "an owner whose handler fails is not replaced"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := database
			d.Sabotage = test.sabotage
			for _, name := range test.noticed {
				require.False(t, projectiontests.Notices(t, database, name), "%s: it fails without sabotage", name)
				require.True(t, projectiontests.Notices(t, d, name), name)
			}
		})
	}
}
