package figure

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/head"
	"ropewalk/inspect"
)

// sketch makes graphs of changesets whose IDs end in their names.
type sketch struct{ inspect.Graph }

func (s *sketch) id(name string) (id changeset.ID) {
	if name == "" {
		return id
	}
	id = changeset.ID{0: 1, 6: 0x70, 8: 0x80}
	_, err := fmt.Sscanf(strings.Repeat("0", 6-len(name))+name, "%02x%02x%02x", &id[13], &id[14], &id[15])
	if err != nil {
		panic(err)
	}
	return id
}

func (s *sketch) ref(version uint64, name string) changeset.Ref {
	return changeset.Ref{AggregateID: "order-4711", Version: version, ID: s.id(name)}
}

// add adds a changeset, the newest first, and returns it.
func (s *sketch) add(k inspect.Kind, version uint64, name, parent string) *inspect.Node {
	h := changeset.Header{Ref: s.ref(version, name), Parent: s.id(parent), AfterRevision: version}
	h.RecordedAt = time.Date(2026, 11, 21, 0, 31, int(version), 999, time.UTC)
	s.Nodes = append(s.Nodes, inspect.Node{Header: h, Kind: k})
	return &s.Nodes[len(s.Nodes)-1]
}

func (s *sketch) at(version uint64, name string) *sketch {
	s.Head = head.Head{Ref: s.ref(version, name), Revision: version + 1}
	return s
}

func (s *sketch) draw(t *testing.T, terminal bool) string {
	var out bytes.Buffer
	std := ui.NewStreams(nil, &out, nil, []string{"NO_COLOR=1"})
	std.IsTerminal = func(any) bool { return terminal }
	s.AggregateID = "order-4711"
	require.NoError(t, Text(std, s.Graph))
	return out.String()
}

// requireDrawing compares a drawing with a text that begins on a line of its own.
func requireDrawing(t *testing.T, want, got string) {
	require.Equal(t, strings.TrimPrefix(want, "\n")+"\n", got)
}

const (
	committed = inspect.Committed
	lost      = inspect.Lost
	pending   = inspect.Pending
)

func TestDrawingOfARaceAndAPendingAppend(t *testing.T) {
	s := new(sketch).at(3, "44a9d3")
	s.add(pending, 4, "d00c4a", "44a9d3")
	s.add(committed, 3, "44a9d3", "0c55f1")
	s.add(lost, 3, "b81e07", "0c55f1").LostTo = s.ref(3, "44a9d3")
	s.add(committed, 2, "0c55f1", "9be210")
	s.add(committed, 1, "9be210", "7f2e10")
	s.add(committed, 0, "7f2e10", "")
	requireDrawing(t, `
? 4 …d00c4a 2026-11-21 00:31:04Z          pending: ropewalk settle order-4711@4.…d00c4a # refuses it for good
* 3 …44a9d3 2026-11-21 00:31:03Z          <- head
| x 3 …b81e07 2026-11-21 00:31:03Z        lost to …44a9d3
|/
* 2 …0c55f1 2026-11-21 00:31:02Z
* 1 …9be210 2026-11-21 00:31:01Z
* 0 …7f2e10 2026-11-21 00:31:00Z`, s.draw(t, true))
}

func TestDrawingOfManyLosers(t *testing.T) {
	s := new(sketch).at(11, "b1")
	part := func(n *inspect.Node, number, of int) { n.Part = changeset.Part{Number: number, Of: of} }
	s.add(committed, 11, "b1", "a1")
	s.add(committed, 10, "a1", "91")
	l := s.add(lost, 10, "a4", "93")
	part(l, 3, 3)
	l.LostTo = s.ref(8, "81")
	part(s.add(committed, 9, "91", "81"), 2, 2)
	s.add(lost, 9, "92", "82").LostTo = s.ref(9, "91")
	l = s.add(lost, 9, "93", "83")
	part(l, 2, 3)
	l.LostTo = s.ref(8, "81")
	part(s.add(committed, 8, "81", "71"), 1, 2)
	s.add(lost, 8, "82", "71").LostTo = s.ref(8, "81")
	l = s.add(lost, 8, "83", "71")
	part(l, 1, 3)
	l.LostTo = s.ref(8, "81")
	s.add(lost, 8, "84", "71").LostTo = s.ref(8, "81")
	s.add(committed, 7, "71", "61")
	s.add(lost, 7, "72", "61").LostTo = s.ref(7, "71")
	s.First = 7
	requireDrawing(t, `
* 11 …0000b1 2026-11-21 00:31:11Z          <- head
* 10 …0000a1 2026-11-21 00:31:10Z
*  9 …000091 2026-11-21 00:31:09Z          2/2
*  8 …000081 2026-11-21 00:31:08Z          1/2
| x  9 …000092 2026-11-21 00:31:09Z        lost to …000091
| x  8 …000082 2026-11-21 00:31:08Z        lost to …000081
|/
| x 10 …0000a4 2026-11-21 00:31:10Z        3/3 lost to …000081
| x  9 …000093 2026-11-21 00:31:09Z        2/3 lost to …000081
| x  8 …000083 2026-11-21 00:31:08Z        1/3 lost to …000081
|/
| x  8 …000084 2026-11-21 00:31:08Z        lost to …000081
|/
*  7 …000071 2026-11-21 00:31:07Z
| x  7 …000072 2026-11-21 00:31:07Z        lost to …000071
|/
~ 7 older versions: --limit 0`, s.draw(t, true))
}

func TestDrawingOfPendingAppends(t *testing.T) {
	s := new(sketch).at(1, "11")
	s.add(inspect.Ahead, 4, "41", "31").AfterRevision = 3
	s.add(pending, 3, "31", "21").Part = changeset.Part{Number: 2, Of: 2}
	s.add(pending, 2, "21", "11").Part = changeset.Part{Number: 1, Of: 2}
	s.add(pending, 2, "22", "11")
	s.add(lost, 2, "23", "11") // shut out by a fence
	s.add(committed, 1, "11", "01")
	s.add(committed, 0, "01", "")
	requireDrawing(t, `
+ 4 …000041 2026-11-21 00:31:04Z          ahead: built on revision 3, the head is at 2
? 3 …000031 2026-11-21 00:31:03Z          2/2 pending: ropewalk settle order-4711@3.…000031 # refuses it for good
? 2 …000021 2026-11-21 00:31:02Z          1/2 pending
| ? 2 …000022 2026-11-21 00:31:02Z        pending: ropewalk settle order-4711@2.…000022 # refuses it for good
|/
| x 2 …000023 2026-11-21 00:31:02Z        lost
|/
* 1 …000011 2026-11-21 00:31:01Z          <- head
* 0 …000001 2026-11-21 00:31:00Z`, s.draw(t, true))
}

func TestDrawingOfForksOffForks(t *testing.T) {
	s := new(sketch).at(1, "11")
	s.add(committed, 1, "11", "01")
	s.add(lost, 3, "31", "21")
	s.add(lost, 3, "32", "21")
	s.add(lost, 2, "21", "12")
	s.add(lost, 1, "12", "01")
	s.add(committed, 0, "01", "")
	requireDrawing(t, `
* 1 …000011 2026-11-21 00:31:01Z            <- head
| x 3 …000031 2026-11-21 00:31:03Z          lost
| | x 3 …000032 2026-11-21 00:31:03Z        lost
| |/
| x 2 …000021 2026-11-21 00:31:02Z          lost
| x 1 …000012 2026-11-21 00:31:01Z          lost
|/
* 0 …000001 2026-11-21 00:31:00Z`, s.draw(t, true))
}

func TestDrawingOfWhatIsBroken(t *testing.T) {
	s := new(sketch).at(4, "41")
	s.add(committed, 4, "41", "31")
	s.add(inspect.Missing, 3, "31", "")
	s.add(committed, 2, "21", "").Fault = &inspect.Problem{Reason: "metadata has no valid format"}
	s.add(lost, 2, "22", "11").Part = changeset.Part{Number: 2, Of: 3} // without the first one
	s.add(inspect.Unknown, 1, "11", "01")
	s.add(inspect.Unknown, 0, "01", "")
	requireDrawing(t, `
* 4 …000041 2026-11-21 00:31:04Z        <- head
! 3 …000031                             missing
! 2 …000021                             metadata has no valid format

x 2 …000022 2026-11-21 00:31:02Z        2/3 lost
! 1 …000011 2026-11-21 00:31:01Z        unknown
! 0 …000001 2026-11-21 00:31:00Z        unknown`, s.draw(t, true))
}

func TestDrawingWithoutAHead(t *testing.T) {
	s := new(sketch)
	s.add(pending, 0, "01", "")
	s.add(pending, 0, "02", "")
	requireDrawing(t, `
? 0 …000001 2026-11-21 00:31:00Z        pending: ropewalk settle order-4711@0.…000001

? 0 …000002 2026-11-21 00:31:00Z        pending: ropewalk settle order-4711@0.…000002`, s.draw(t, true))

	s = new(sketch)
	s.HeadFault = &inspect.Problem{Reason: "not a JSON object"}
	s.add(inspect.Unknown, 1, "11", "01")
	s.add(inspect.Unknown, 0, "01", "")
	requireDrawing(t, `
! head: not a JSON object
! 1 …000011 2026-11-21 00:31:01Z        unknown
! 0 …000001 2026-11-21 00:31:00Z        unknown`, s.draw(t, true))
}

// Output that is not a terminal gets whole IDs. On a terminal they are only as
// long as they must be.
func TestIDsInDrawings(t *testing.T) {
	s := new(sketch).at(1, "11")
	s.add(committed, 1, "11", "01")
	s.add(committed, 0, "01", "").ID[12] = 1
	requireDrawing(t, `
* 1 01000000-0000-7000-8000-000000000011 2026-11-21 00:31:01Z        <- head
* 0 01000000-0000-7000-8000-000001000001 2026-11-21 00:31:00Z`, s.draw(t, false))

	twin := new(sketch).at(1, "11")
	twin.add(committed, 1, "11", "")
	twin.add(committed, 0, "11", "").ID[12] = 1
	requireDrawing(t, `
* 1 …0000011 2026-11-21 00:31:01Z        <- head
* 0 …1000011 2026-11-21 00:31:00Z`, twin.draw(t, true))
}
