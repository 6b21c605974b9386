package dynamostore_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
)

// packed returns the heads of a packed chain after one append each: the first n are in
// the tip, and then every append goes into objects and empties it.
func packed(t testing.TB, tips ...int) []head.Head {
	t.Helper()
	var h head.Head
	var all []head.Head
	for _, tip := range tips {
		drafts := body.Drafts([]changeset.Draft{{Content: []byte(`{"type":"paid"}`)}}, false)
		a, err := link.Build(h, "order-1", [][]body.Draft{drafts}, time.Unix(1, 0), link.Layout{Packed: true, Tip: tip})
		require.NoError(t, err)
		h = a.Next
		all = append(all, h)
	}
	return all
}

// flushed returns a head whose newest object has an ID of its own, with a tip above it.
func flushed(t testing.TB) head.Head {
	t.Helper()
	_, h, err := link.Flush(packed(t, head.MaxTip)[0], false)
	require.NoError(t, err)
	drafts := body.Drafts([]changeset.Draft{{Content: []byte("x")}}, false)
	a, err := link.Build(h, "order-1", [][]body.Draft{drafts}, time.Unix(1, 0), link.Layout{Tip: head.MaxTip})
	require.NoError(t, err)
	return a.Next
}

// updateOf returns the one request of a swap.
func updateOf(t testing.TB, old, next head.Head) map[string]any {
	t.Helper()
	server := always(reply{status: 200, body: "{}"})
	_, err := open(t, server).Swap(t.Context(), old, next)
	require.NoError(t, err)
	require.Equal(t, []string{"UpdateItem"}, server.operations)
	return server.bodies[0]
}

// effect returns what an UpdateItem leaves of an item: what it sets, and what it removes.
func effect(t testing.TB, update map[string]any) (set map[string]any, removed []string) {
	t.Helper()
	text, names := update["UpdateExpression"].(string), update["ExpressionAttributeNames"].(map[string]any)
	before, after, hasRemoved := strings.Cut(text, " REMOVE ")
	if hasRemoved {
		for alias := range strings.SplitSeq(after, ", ") {
			removed = append(removed, names[alias].(string))
		}
	}
	slices.Sort(removed)
	update["UpdateExpression"] = before
	set = written(t, update)
	update["UpdateExpression"] = text
	return set, removed
}

// TestPackedItemHasTheTypesOfTheFormat: an attribute without a value is absent, except
// ancestors, which is empty.
func TestPackedItemHasTheTypesOfTheFormat(t *testing.T) {
	var stored map[string]map[string]any
	require.NoError(t, json.Unmarshal([]byte(item(t, flushed(t), "")), &stored))
	types := map[string]string{}
	for name, value := range stored {
		for kind := range value {
			types[name] = kind
		}
	}
	require.Equal(t, map[string]string{
		"format": "N", "min-reader": "N", "min-writer": "N", "aggregate-version": "N", "revision": "N",
		"ancestors": "B", "digest": "B",
		"aggregate-id": "S", "state": "S", "changeset-id": "S", "updated-at": "S",
		"tip": "S", "index": "B", "objects": "N", "packed-digest": "B", "packed-changeset-id": "S",
	}, types)
	require.Equal(t, map[string]any{"B": ""}, stored["ancestors"])

	stored = nil
	require.NoError(t, json.Unmarshal([]byte(item(t, packed(t, head.MaxTip)[0], "")), &stored))
	for _, name := range []string{"index", "objects", "packed-digest", "packed-changeset-id", "checkpoint"} {
		require.NotContains(t, stored, name)
	}
	loaded, err := open(t, always(reply{status: 200, body: `{"Item":` + item(t, flushed(t), "") + `}`})).Load(t.Context(), "order-1")
	require.NoError(t, err)
	require.NotEmpty(t, loaded.Tip)
}

func TestPackedItemIsRefused(t *testing.T) {
	set := func(name, kind, value string) func(map[string]any) {
		return func(item map[string]any) { item[name] = map[string]string{kind: value} }
	}
	remove := func(name string) func(map[string]any) { return func(item map[string]any) { delete(item, name) } }
	for name, change := range map[string]func(map[string]any){
		"an empty tip":               set("tip", "S", ""),
		"a tip of bytes":             set("tip", "B", "AAAA"),
		"a tip that leads elsewhere": set("tip", "S", "{}\n"),
		"no tip":                     remove("tip"),
		"an empty index":             set("index", "B", ""),
		"an index that is text":      set("index", "S", "AAAA"),
		"no index":                   remove("index"),
		"0 objects":                  set("objects", "N", "0"),
		"another number of objects":  set("objects", "N", "8"),
		"no number of objects":       remove("objects"),
		"no packed digest":           remove("packed-digest"),
		"an ancestor index":          set("ancestors", "B", "AQ=="),
	} {
		var stored map[string]any
		require.NoError(t, json.Unmarshal([]byte(item(t, flushed(t), "")), &stored))
		change(stored)
		text, err := json.Marshal(map[string]any{"Item": stored})
		require.NoError(t, err)
		_, err = open(t, always(reply{status: 200, body: string(text)})).Load(t.Context(), "order-1")
		var corrupt *changeset.CorruptError
		require.ErrorAs(t, err, &corrupt, name)
	}
}

// TestSwapRemovesWhatTheNextRecordLacks, and nothing that it has.
func TestSwapRemovesWhatTheNextRecordLacks(t *testing.T) {
	heads := packed(t, head.MaxTip, -1, head.MaxTip)
	set, removed := effect(t, updateOf(t, heads[0], heads[1]))
	require.Equal(t, []string{"tip"}, removed)
	for _, name := range []string{"index", "objects", "packed-digest"} {
		require.Contains(t, set, name)
	}

	set, removed = effect(t, updateOf(t, heads[1], heads[2]))
	require.Empty(t, removed)
	require.Equal(t, map[string]any{"S": heads[2].Tip}, set["tip"])

	h := flushed(t)
	set, removed = effect(t, updateOf(t, h, link.Tombstone(h)))
	require.Equal(t, []string{"index", "objects", "packed-changeset-id", "packed-digest", "tip"}, removed, "an erased chain has no contents")
	require.NotContains(t, set, "tip")

	_, removed = effect(t, updateOf(t, h, link.Fence(h)))
	require.Empty(t, removed, "a fence keeps the tip")
}

// TestSwapMakesTheNextRecordOfTheItem: what a swap sets and removes makes the item that
// creates the next head of the item that creates the old head. A swap leaves out
// what its condition proves, so that DynamoDB has little to parse.
func TestSwapMakesTheNextRecordOfTheItem(t *testing.T) {
	stored := func(h head.Head) (attributes map[string]any) {
		require.NoError(t, json.Unmarshal([]byte(item(t, h, "")), &attributes))
		return attributes
	}
	void, first := link.Void("order-1"), build(t)
	_, second, err := link.Extend(first, "order-1", make([]changeset.Draft, 1), time.Unix(2, 0))
	require.NoError(t, err)
	_, afterVoid, err := link.Extend(void, "order-1", make([]changeset.Draft, 1), time.Unix(2, 0))
	require.NoError(t, err)
	pairs := [][2]head.Head{
		{first, second},
		{void, link.Fence(void)},
		{void, packedAfterVoid(t)},
		{void, afterVoid},
	}
	chain := packed(t, head.MaxTip, head.MaxTip, -1, -1, head.MaxTip)
	for i, next := range chain[1:] {
		pairs = append(pairs, [2]head.Head{chain[i], next})
	}
	for _, h := range append(chain, flushed(t), first) {
		pairs = append(pairs, [2]head.Head{h, link.Fence(h)}, [2]head.Head{h, link.Tombstone(h)})
	}
	for _, pair := range pairs {
		have, want := stored(pair[0]), stored(pair[1])
		set, removed := effect(t, updateOf(t, pair[0], pair[1]))
		delete(set, head.FieldAggregateID)
		for name, value := range set {
			if name != head.FieldState && name != head.FieldUpdatedAt {
				require.NotEqual(t, have[name], value, "%s is sent again", name)
			}
		}
		require.Contains(t, set, head.FieldState, "a restored item may have another state")
		maps.Copy(have, set)
		for _, name := range removed {
			require.Contains(t, have, name)
			delete(have, name)
		}
		require.Equal(t, want, have, "%v to %v", pair[0], pair[1])
	}
}

// TestSwapTestsTheObjectIndex: two records may differ in the index alone.
func TestSwapTestsTheObjectIndex(t *testing.T) {
	const always = "#revision = :old_revision AND #aggregate_version = :old_aggregate_version AND #changeset_id = :old_changeset_id AND #digest = :old_digest AND "
	heads := packed(t, head.MaxTip, -1, head.MaxTip)
	inTip := updateOf(t, heads[0], link.Fence(heads[0]))
	require.Equal(t, always+"attribute_not_exists(#index) AND #min_writer <= :own_min_writer", inTip["ConditionExpression"])
	inObjects := updateOf(t, heads[1], link.Fence(heads[1]))
	require.Equal(t, always+"#index = :old_index AND #min_writer <= :own_min_writer", inObjects["ConditionExpression"])
	values := inObjects["ExpressionAttributeValues"].(map[string]any)
	require.Equal(t, map[string]any{"B": base64.StdEncoding.EncodeToString(heads[1].Index.Packed())}, values[":old_index"])
	require.Equal(t, "ALL_OLD", inObjects["ReturnValuesOnConditionCheckFailure"])
}

// TestPackedItemFits: the largest tip, checkpoint, index and key that there can be are
// below the 400 KB that DynamoDB takes.
func TestPackedItemFits(t *testing.T) {
	const others, index, key = 1024, 27*22 + 5, 2048
	require.Less(t, head.MaxTip+head.MaxCheckpoint+others+index+key, 400<<10)
	h := flushed(t)
	require.Less(t, sizeOf(t, h)-len(h.Tip), others)
}

// TestItemThatIsTooLarge, since other programs have added attributes, is refused for good,
// with advice.
func TestItemThatIsTooLarge(t *testing.T) {
	h := flushed(t)
	for _, message := range []string{"Item size to update has exceeded the maximum allowed size", "Item size has exceeded the maximum allowed size"} {
		server := doFunc(canned400("ValidationException", message))
		_, err := open(t, server).Swap(t.Context(), h, link.Fence(h))
		require.Equal(t, never, kindOf(err))
		requireSetup(t, err, "larger than the 400 KB")
	}
	_, err := open(t, doFunc(canned400("ValidationException", "The provided expression is empty"))).Swap(t.Context(), h, link.Fence(h))
	require.Equal(t, never, kindOf(err))
	require.NotContains(t, err.Error(), "400 KB")
}

// TestWinnerComesWithItsTip: a conflict is decided without a further request.
func TestWinnerComesWithItsTip(t *testing.T) {
	heads := packed(t, head.MaxTip, head.MaxTip)
	server := always(reply{status: 400, code: "ConditionalCheckFailedException", body: `,"Item":` + item(t, heads[1], "")})
	_, err := open(t, server).Swap(t.Context(), heads[0], link.Fence(heads[0]))
	var lost *head.ConflictError
	require.ErrorAs(t, err, &lost)
	require.Equal(t, heads[1], *lost.Winner)
	require.Len(t, server.operations, 1)
}

// TestHintsHaveTips: the records of a stream bring the newest changesets along, up to the
// largest tips, several on a page.
func TestHintsHaveTips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t)
		drafts := body.Drafts([]changeset.Draft{{Content: []byte(strings.Repeat("\"\n", head.MaxTip/4-300))}}, false)
		largest, err := link.Build(head.Head{}, "order-1", [][]body.Draft{drafts}, time.Unix(1, 0), link.Layout{Packed: true, Tip: head.MaxTip})
		require.NoError(t, err)
		want := []head.Head{flushed(t), largest.Next, largest.Next, link.Tombstone(largest.Next)}
		require.Greater(t, len(largest.Next.Tip), head.MaxTip*9/10)
		for _, h := range want {
			server.putItem(server.shards[0], "p/order-1", item(t, h, ""))
		}
		pages, err := server.follow(nil, caughtUp)
		require.NoError(t, err)
		var got []head.Head
		for _, page := range pages {
			for _, hint := range page.Hints {
				got = append(got, hint.Head)
			}
		}
		require.Equal(t, want, got)
	})
}
