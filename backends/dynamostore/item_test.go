package dynamostore_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// loadItem loads a head from an item that change has had its way with.
func loadItem(t *testing.T, change func(item map[string]any)) (head.Head, error) {
	t.Helper()
	var stored map[string]any
	require.NoError(t, json.Unmarshal([]byte(item(t, build(t), "")), &stored))
	change(stored)
	body, err := json.Marshal(map[string]any{"Item": stored})
	require.NoError(t, err)
	return open(t, always(reply{status: 200, body: string(body)})).Load(t.Context(), "order-1")
}

func TestItemHasTheTypesOfTheFormat(t *testing.T) {
	var stored map[string]map[string]any
	require.NoError(t, json.Unmarshal([]byte(item(t, build(t), "")), &stored))
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
	}, types)
}

func TestItemIsRefused(t *testing.T) {
	set := func(name, kind, value string) func(map[string]any) {
		return func(item map[string]any) { item[name] = map[string]string{kind: value} }
	}
	tests := map[string]func(map[string]any){
		"version is text":        set("aggregate-version", "S", "0"),
		"digest is text":         set("digest", "S", "AAAA"),
		"digest is short":        set("digest", "B", "AAAA"),
		"id is a number":         set("changeset-id", "N", "1"),
		"id in upper case":       set("changeset-id", "S", "0191A3C0-0000-7000-8000-000000000000"),
		"negative revision":      set("revision", "N", "-1"),
		"revision 0":             set("revision", "N", "0"),
		"fraction":               set("revision", "N", "1.5"),
		"unknown state":          set("state", "S", "lost"),
		"no ancestors":           set("ancestors", "B", ""),
		"another time zone":      set("updated-at", "S", "1970-01-01T01:00:01+01:00"),
		"the key of another":     set("aggregate-id", "S", "p/order-2"),
		"the key without prefix": set("aggregate-id", "S", "order-1"),
		"format 0":               set("format", "N", "0"),
	}
	var names map[string]any
	require.NoError(t, json.Unmarshal([]byte(item(t, build(t), "")), &names))
	for name := range names {
		tests["no "+name] = func(item map[string]any) { delete(item, name) }
	}
	tests["empty checkpoint"], tests["checkpoint is a number"] = set("checkpoint", "S", ""), set("checkpoint", "N", "1")
	tests["checkpoint with a space"] = set("checkpoint", "S", "a b")
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			h, err := loadItem(t, change)
			var corrupt *changeset.CorruptError
			require.ErrorAs(t, err, &corrupt)
			require.Equal(t, "dynamodb://table/p/order-1", corrupt.Object)
			require.Zero(t, h)
		})
	}
}

func TestItemOfANewerFormat(t *testing.T) {
	_, err := loadItem(t, func(item map[string]any) {
		item["format"], item["min-reader"] = map[string]string{"N": "3"}, map[string]string{"N": "3"}
	})
	require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)

	h, err := loadItem(t, func(item map[string]any) { item["format"] = map[string]string{"N": "2"} })
	require.NoError(t, err)
	require.Equal(t, head.Formats{Written: 2, MinReader: 1, MinWriter: 1}, h.Formats)
}

// TestCheckpointIsAnAttribute only of a head that has one. A swap takes it away if the
// new head lacks it. A swap that does not know it leaves it alone.
func TestCheckpointIsAnAttribute(t *testing.T) {
	first := build(t)
	h := first
	h.Checkpoint = "c.0123456789abcdef.7.a-_b.1"
	require.NotContains(t, item(t, first, ""), "checkpoint")
	require.Contains(t, item(t, h, ""), `"checkpoint":{"S":"`+h.Checkpoint+`"}`)
	loaded, err := open(t, always(reply{status: 200, body: `{"Item":` + item(t, h, "") + `}`})).Load(t.Context(), "order-1")
	require.NoError(t, err)
	require.Equal(t, h, loaded)

	server := always(reply{status: 200, body: "{}"})
	s := open(t, server)
	next := link.Fence(h)
	next.Checkpoint = ""
	swapped, err := s.Swap(t.Context(), h, next)
	require.NoError(t, err)
	require.Empty(t, swapped.Checkpoint)
	require.Contains(t, server.bodies[0]["UpdateExpression"], " REMOVE #checkpoint", "the item must not keep what the head has not")
	_, err = s.Swap(t.Context(), first, link.Fence(first))
	require.NoError(t, err)
	require.NotContains(t, written(t, server.bodies[1]), "checkpoint", "it is unknown here")
	require.NotContains(t, server.bodies[1]["UpdateExpression"], "REMOVE")
	for _, body := range server.bodies {
		require.NotContains(t, body["ConditionExpression"], "checkpoint")
	}
}

// TestLargestItem: the largest checkpoint, index and key are far below the 400 KB
// that DynamoDB takes.
func TestLargestItem(t *testing.T) {
	h := build(t)
	h.Checkpoint = strings.Repeat("x", head.MaxCheckpoint)
	const index, key = 820, 2048
	require.Less(t, sizeOf(t, h)+index+key, 400<<10/4)
	h.Checkpoint += "x"
	_, err := open(t, always(reply{status: 200, body: "{}"})).Swap(t.Context(), head.Head{}, h)
	require.Equal(t, never, kindOf(err))
}

// TestItemTakesOneWriteUnit holds the item to 1 KB by DynamoDB's own rule, for
// chains of up to 4,000 changesets whose prefix and ID take 64 bytes.
func TestItemTakesOneWriteUnit(t *testing.T) {
	id := strings.Repeat("x", 62)
	var h head.Head
	largest := 0
	for v := range 4000 {
		_, next, err := link.Extend(h, id, make([]changeset.Draft, 1), build(t).UpdatedAt)
		require.NoError(t, err)
		if v%16 == 14 || v == 3999 { // where the first wheel is full
			largest = max(largest, sizeOf(t, next))
		}
		h = next
	}
	t.Logf("the largest item has %d bytes", largest)
	require.LessOrEqual(t, largest, 1024)
}

// sizeOf returns the size of a head's item: the names and values, where a number
// takes a byte for two digits and one more.
func sizeOf(t *testing.T, h head.Head) int {
	t.Helper()
	var stored map[string]map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(item(t, h, "")), &stored))
	size := 0
	for name, value := range stored {
		size += len(name)
		for kind, raw := range value {
			var text string
			var binary []byte
			switch kind {
			case "B":
				require.NoError(t, json.Unmarshal(raw, &binary))
				size += len(binary)
			case "N":
				require.NoError(t, json.Unmarshal(raw, &text))
				size += (len(text)+1)/2 + 1
			default:
				require.NoError(t, json.Unmarshal(raw, &text))
				size += len(text)
			}
		}
	}
	return size
}

// TestListOfASharedTable: items of other prefixes, and items that are not heads,
// are not this store's.
func TestListOfASharedTable(t *testing.T) {
	ours := item(t, build(t), "")
	items := []string{ours}
	for _, key := range []string{"order-1", "q/order-1", "p/", "p/x/order-1", "p/ropewalk-probe/1", "p/a b", "P/order-1"} {
		items = append(items, strings.Replace(ours, `"p/order-1"`, `"`+key+`"`, 1))
	}
	items = append(items, `{"aggregate-id":{"N":"1"}}`)
	server := oneAfterAnother(
		reply{status: 200, body: `{"Items":[` + strings.Join(items[1:], ",") + `],"LastEvaluatedKey":{"aggregate-id":{"S":"q/order-1"}}}`},
		reply{status: 200, body: `{"Items":[` + ours + `]}`},
	)
	var listed []string
	for h, err := range open(t, server).List(t.Context(), "order/0") {
		require.NoError(t, err)
		listed = append(listed, h.AggregateID)
	}
	require.Equal(t, []string{"order-1"}, listed)
	require.Equal(t, true, server.bodies[0]["ConsistentRead"])
	for i, key := range []string{"p/order%2F0", "q/order-1"} {
		require.Equal(t, map[string]any{"aggregate-id": map[string]any{"S": key}}, server.bodies[i]["ExclusiveStartKey"])
	}
}
