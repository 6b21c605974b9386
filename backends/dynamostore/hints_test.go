package dynamostore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/dynamostore"
	"ropewalk/head"
)

// TestHints: a call without a cursor begins with a page that is Lost and whose cursor
// begins at the horizon, goes on with what is there, and has then caught up.
func TestHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t)
		first, second := server.shards[0], server.split()
		server.put(first, "order-1")
		server.put(second, "order/2")
		time.Sleep(time.Hour)
		begin := time.Now()
		pages, err := server.follow(nil, caughtUp)
		require.NoError(t, err)
		require.True(t, pages[0].Lost)
		require.Empty(t, pages[0].Hints)
		require.Equal(t, map[string]string{first.id: "horizon", second.id: "horizon"}, shardsOf(t, pages[0]))
		require.Equal(t, 1, lost(pages))
		require.ElementsMatch(t, []string{"order-1", "order/2"}, hinted(pages))
		h := pages[1].Hints[0]
		require.Equal(t, build(t).Version, h.Head.Version)
		require.Equal(t, h.AggregateID, h.Head.AggregateID)
		require.WithinDuration(t, begin.Add(-time.Hour), h.Since, time.Second)
		require.Less(t, time.Since(begin), 10*time.Second)
		require.Equal(t, "dynamodb-streams", open(t, server).SourceName())
	})
}

// shardsOf returns the places in the shards, by a page's cursor.
func shardsOf(t *testing.T, p head.Hints) map[string]string {
	t.Helper()
	var c struct{ Shards map[string]string }
	require.NoError(t, json.Unmarshal(p.Cursor, &c))
	return c.Shards
}

// TestHintsGoOn from each cursor, in another process, with what came after the page.
func TestHintsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t)
		server.perPage = 2
		for n := range 7 {
			server.put(server.shards[0], fmt.Sprint("order-", n))
		}
		time.Sleep(time.Hour)
		pages, err := server.follow(nil, caughtUp)
		require.NoError(t, err)
		all := hinted(pages)
		require.Len(t, all, 7)
		server.put(server.shards[0], "order-7")
		for n := range pages {
			rest, err := server.follow(pages[n].Cursor, caughtUp)
			require.NoError(t, err)
			require.Zero(t, lost(rest), "page %d", n)
			require.Equal(t, append(all[len(hinted(pages[:n+1])):], "order-7"), hinted(rest), "page %d", n)
		}
	})
}

// TestHintsAreOfThisStore: items of other prefixes and reserved aggregates are not
// decoded, and give no hint.
func TestHintsAreOfThisStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t)
		shard := server.shards[0]
		for _, key := range []string{"q/order-1", "order-1", "p/ropewalk-probe/1", "p/%24feed", "p/%24subscription-a", "p/a b"} {
			server.putItem(shard, key, item(t, build(t), ""))
		}
		server.perPage = 2
		time.Sleep(time.Hour)
		passed := map[string]bool{}
		pages, err := server.follow(nil, func(p head.Hints) bool {
			passed[shardsOf(t, p)[shard.id]] = true
			return p.CaughtUp
		})
		require.NoError(t, err)
		require.Empty(t, hinted(pages))
		require.Len(t, passed, 4, "a cursor after each page, so that the next process need not read them again")
		require.Equal(t, fmt.Sprintf("%021d", shard.records[5].sequence), shardsOf(t, pages[len(pages)-1])[shard.id], "they are passed all the same")
	})
}

// TestHintsWithoutAHead: a record without a head that decodes is a hint all the same.
func TestHintsWithoutAHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t)
		good := item(t, build(t), "")
		for _, image := range []string{
			"", strings.Replace(good, `"revision":{"N":"1"}`, `"revision":{"N":"0"}`, 1), strings.Replace(good, `"min-reader":{"N":"1"}`, `"min-reader":{"N":"9"}`, 1),
			strings.Replace(good, `"revision":{"N":"1"}`, `"revision":{"BOOL":true}`, 1), strings.Replace(good, "p/order-1", "p/order-2", 1),
			item(t, build(t), `,"more":{"M":{"a":{"L":[{"NULL":true}]}}}`),
		} {
			server.putItem(server.shards[0], "p/order-1", image)
		}
		pages, err := server.follow(nil, caughtUp)
		require.NoError(t, err)
		require.Len(t, hinted(pages), 6)
		for n, h := range pages[1].Hints {
			require.Equal(t, n == 5, h.Head.Exists(), n)
		}
	})
}

// TestShardsEndAndBegin: a shard that is closed is read to its end, its children from
// their beginnings, and is forgotten when it is no longer listed.
func TestShardsEndAndBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t)
		server.perPage = 2
		parent, n := server.shards[0], 0
		for n := range 5 {
			server.put(parent, fmt.Sprint("parent-", n))
		}
		time.Sleep(time.Hour)
		var child *testShard
		pages, err := server.follow(nil, func(p head.Hints) bool {
			switch n++; {
			case n == 2: // its first page came
				parent.closed = true
				child = server.split()
				server.put(child, "child")
			case shardsOf(t, p)[parent.id] == "done":
				server.shards = []*testShard{child}
			}
			return child != nil && len(shardsOf(t, p)) == 1 && p.CaughtUp
		})
		require.NoError(t, err)
		require.Equal(t, 1, lost(pages))
		require.ElementsMatch(t, []string{"parent-0", "parent-1", "parent-2", "parent-3", "parent-4", "child"}, hinted(pages))
		require.Contains(t, shardsOf(t, pages[len(pages)-1]), child.id)

		server.put(child, "later")
		pages, err = server.follow(pages[len(pages)-1].Cursor, func(p head.Hints) bool { return len(p.Hints) > 0 })
		require.NoError(t, err)
		require.Equal(t, []string{"later"}, hinted(pages))
	})
}

// TestChildrenAreSoonFound: the list of shards is asked for as soon as a shard has
// ended, and every ten seconds.
func TestChildrenAreSoonFound(t *testing.T) {
	for name, closes := range map[string]bool{"after a shard has ended": true, "at the side": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newStreamServer(t)
				var begin time.Time
				_, err := server.follow(nil, func(p head.Hints) bool {
					if begin.IsZero() && p.CaughtUp {
						begin = time.Now()
						server.shards[0].closed = closes
						server.put(server.split(), "child")
					}
					return len(p.Hints) > 0
				})
				require.NoError(t, err)
				limit := 13 * time.Second
				if closes {
					limit = 7 * time.Second
				}
				require.Less(t, time.Since(begin), limit)
			})
		})
	}
}

// TestShardThatHasNotEnded: a reply without the next iterator does not end a shard
// that is listed as open.
func TestShardThatHasNotEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t)
		server.put(server.shards[0], "order-1")
		time.Sleep(time.Hour)
		server.instead = func(n int, operation string, _ map[string]any) *answer {
			if operation != "GetRecords" || n > 0 {
				return nil
			}
			server.put(server.shards[0], "order-2")
			cut := good(`{"Records":[` + server.shards[0].records[0].json + `]}`)
			return &cut
		}
		pages, err := server.follow(nil, caughtUp)
		require.NoError(t, err)
		require.Equal(t, []string{"order-1", "order-2"}, hinted(pages))
	})
}

// TestLosses: wherever the reading cannot go on, a page that is Lost comes first, and
// then everything that is still there. The cursor of that page is a good one.
func TestLosses(t *testing.T) {
	for name, happens := range map[string]func(*streamServer){
		"nothing": nil,
		"the next record is gone": func(s *streamServer) {
			s.put(s.shards[0], "gone")
			s.put(s.shards[0], "gone too")
			for n := range s.shards[0].records {
				s.shards[0].records[n].at = time.Now().Add(-retention)
			}
		},
		"a shard is gone":         func(s *streamServer) { s.shards = nil; s.split() },
		"the stream was replaced": func(s *streamServer) { s.replace() },
		"a day has passed": func(s *streamServer) {
			time.Sleep(21 * time.Hour)
		},
		"the sequence number is not valid": func(s *streamServer) { s.shards[0].records[0].sequence = 0 },
	} {
		for way, resumed := range map[string]bool{"while it is read": false, "before it is read again": true} {
			t.Run(name+" "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := newStreamServer(t)
					server.put(server.shards[0], "before")
					pages, err := server.follow(nil, caughtUp)
					require.NoError(t, err)
					cursor := pages[len(pages)-1].Cursor
					if resumed {
						happen(server, happens)
						pages, err = server.follow(cursor, caughtUp)
					} else {
						n := 0
						pages, err = server.follow(cursor, func(p head.Hints) bool {
							if n++; n == 1 {
								time.Sleep(time.Hour) // the iterators have expired
								happen(server, happens)
							}
							return n > 1 && p.CaughtUp && (happens == nil || lost(pagesOf(p)) > 0 || n > 20)
						})
					}
					require.NoError(t, err)
					if happens == nil {
						require.Zero(t, lost(pages))
						return
					}
					require.Equal(t, 1, lost(pages), "%s", pages[0].Cursor)
					require.Contains(t, hinted(pages), "after")
					for _, p := range pages {
						if p.Lost {
							again, err := server.follow(p.Cursor, caughtUp)
							require.NoError(t, err)
							require.Zero(t, lost(again))
							require.Contains(t, hinted(again), "after")
						}
					}
				})
			})
		}
	}
}

func pagesOf(p head.Hints) []head.Hints { return []head.Hints{p} }

func happen(s *streamServer, what func(*streamServer)) {
	if what != nil {
		what(s)
	}
	s.put(s.shards[len(s.shards)-1], "after")
}

// TestOldCursor: a shard of which nothing was read yet loses records without a word,
// so an old cursor is not believed, even if all that it names is still there.
func TestOldCursor(t *testing.T) {
	for age, want := range map[time.Duration]int{19 * time.Hour: 0, 21 * time.Hour: 1} {
		synctest.Test(t, func(t *testing.T) {
			server := newStreamServer(t)
			pages, err := server.follow(nil, func(p head.Hints) bool { return p.Lost })
			require.NoError(t, err)
			require.Equal(t, map[string]string{server.shards[0].id: "horizon"}, shardsOf(t, pages[0]))
			time.Sleep(age)
			pages, err = server.follow(pages[0].Cursor, caughtUp)
			require.NoError(t, err)
			require.Equal(t, want, lost(pages))
		})
	}
}

// TestIdleCursorStaysYoung: while nothing happens, the cursor of the newest page does
// not get old.
func TestIdleCursorStaysYoung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t)
		server.put(server.shards[0], "order-1")
		begin := time.Now()
		pages, err := server.follow(nil, func(head.Hints) bool {
			time.Sleep(10 * time.Minute) // the listener is slow
			return time.Since(begin) > 30*time.Hour
		})
		require.NoError(t, err)
		require.Equal(t, 1, lost(pages))
		var c struct{ Since time.Time }
		require.NoError(t, json.Unmarshal(pages[len(pages)-1].Cursor, &c))
		require.Less(t, time.Since(c.Since), 4*time.Hour)
	})
}

// TestCursorOfAnotherStream is a loss, even if no shard of it can be missing.
func TestCursorOfAnotherStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t)
		for stream, want := range map[string]int{testStream: 0, testStream + "0": 1} {
			now := time.Now().UTC().Format(time.RFC3339)
			pages, err := server.follow([]byte(`{"stream":"`+stream+`","since":"`+now+`","shards":{"shardId-1":"done"}}`), caughtUp)
			require.NoError(t, err)
			require.Equal(t, want, lost(pages), stream)
		}
	})
}

// TestBadCursor: what is not a cursor of this source is a loss, and no panic.
func TestBadCursor(t *testing.T) {
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Format(time.RFC3339)
	noPlace := fmt.Sprintf(`{"stream":%q,"since":%q,"shards":{"shardId-%020d-%08x":""}}`, testStream, now, 946684800000, 1)
	for _, cursor := range []string{noPlace, "", "{", "7", "null", "{}", `{"shards":{"a":""}}`, `{"stream":7}`, `{"stream":"` + testStream + `","shards":{"a":"1"}}`, `{"stream":"` + testStream + `"}`} {
		synctest.Test(t, func(t *testing.T) {
			server := newStreamServer(t)
			server.put(server.shards[0], "order-1")
			pages, err := server.follow([]byte(cursor), caughtUp)
			require.NoError(t, err, cursor)
			require.True(t, pages[0].Lost, cursor)
			require.Equal(t, []string{"order-1"}, hinted(pages))
		})
	}
}

// TestDisabledStream: a page that is Lost, what is left, and then the error; never
// that all is read.
func TestDisabledStream(t *testing.T) {
	for name, withCursor := range map[string]bool{"from the beginning": false, "from a cursor": true, "while it is read": true} {
		for _, status := range []string{"DISABLED", "DISABLING"} {
			t.Run(name+" "+status, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := newStreamServer(t)
					server.put(server.shards[0], "order-1")
					end := func() {
						server.put(server.shards[0], "order-2")
						server.disable()
						server.status = status
					}
					var cursor []byte
					if withCursor {
						pages, err := server.follow(nil, caughtUp)
						require.NoError(t, err)
						cursor = pages[len(pages)-1].Cursor
					}
					meanwhile := name == "while it is read"
					if !meanwhile {
						end()
					}
					n, admitted := 0, false
					pages, err := server.follow(cursor, func(p head.Hints) bool {
						if n++; meanwhile && n == 1 {
							end()
						}
						admitted = admitted || p.Lost && server.status == status
						require.False(t, admitted && p.CaughtUp)
						return false
					})
					requireSetup(t, err, "the stream of table table is disabled")
					require.Equal(t, 1, lost(pages))
					require.Subset(t, hinted(pages), []string{"order-1", "order-2"})
				})
			})
		}
	}
}

// TestStreamThatIsGone: a table may still name a stream that is long disabled.
func TestStreamThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t)
		pages, err := server.follow(nil, caughtUp)
		require.NoError(t, err)
		server.instead = func(_ int, operation string, _ map[string]any) *answer {
			if operation != "DescribeStream" {
				return nil
			}
			a := refused("ResourceNotFoundException")
			return &a
		}
		_, err = server.follow(pages[0].Cursor, caughtUp)
		requireSetup(t, err, "table table no longer has a stream")
	})
}

// TestTableThatNoLongerNamesItsStream: what is left in the stream is read.
func TestTableThatNoLongerNamesItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t)
		pages, err := server.follow(nil, caughtUp)
		require.NoError(t, err)
		server.put(server.shards[0], "order-1")
		server.disable()
		server.instead = func(_ int, operation string, _ map[string]any) *answer {
			if operation != "DescribeTable" {
				return nil
			}
			a := good(table(onDemand))
			return &a
		}
		pages, err = server.follow(pages[0].Cursor, caughtUp)
		requireSetup(t, err, "is disabled")
		require.True(t, pages[0].Lost)
		require.Equal(t, []string{"order-1"}, hinted(pages))
	})
}

func TestTableWithoutAStream(t *testing.T) {
	server := newStreamServer(t)
	server.stream = ""
	pages, err := server.follow(nil, caughtUp)
	requireSetup(t, err, "table table has no stream")
	require.ErrorContains(t, err, "read the stream of table table")
	require.Empty(t, pages)

	server = newStreamServer(t)
	server.instead = func(int, string, map[string]any) *answer { a := refused("ResourceNotFoundException"); return &a }
	_, err = server.follow(nil, caughtUp)
	requireSetup(t, err, "table table does not exist")
}

// TestStreamThatIsBeingEnabled has no shards yet, and so has nothing caught up.
func TestStreamThatIsBeingEnabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t)
		server.status, server.shards = "ENABLING", nil
		time.AfterFunc(time.Minute, func() {
			server.mu.Lock()
			defer server.mu.Unlock()
			server.status = "ENABLED"
			server.put(server.split(), "order-1")
		})
		pages, err := server.follow(nil, caughtUp)
		require.NoError(t, err)
		require.Equal(t, []string{"order-1"}, hinted(pages))
	})
}

// TestEmptyPages: fewer than ten in a row mean nothing.
func TestEmptyPages(t *testing.T) {
	for _, gap := range []int{0, 1, 9} {
		synctest.Test(t, func(t *testing.T) {
			server := newStreamServer(t)
			server.put(server.shards[0], "order-1")
			time.Sleep(time.Hour)
			server.instead = func(n int, operation string, _ map[string]any) *answer {
				if operation != "GetRecords" || n >= gap {
					return nil
				}
				a := good(`{"Records":[],"NextShardIterator":"` + iteratorOf(server.shards[0], 0) + `"}`)
				return &a
			}
			pages, err := server.follow(nil, caughtUp)
			require.NoError(t, err)
			require.Equal(t, []string{"order-1"}, hinted(pages), gap)
			require.Equal(t, gap+11, server.counts["GetRecords"], "ten after the record")
		})
	}
}

// TestYoungRecord: a record that is younger than the call has caught up at once.
func TestYoungRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t)
		server.instead = func(n int, operation string, _ map[string]any) *answer {
			if operation == "GetRecords" && n == 2 {
				time.Sleep(2 * time.Second) // the service's clock has seconds
				server.put(server.shards[0], "order-1")
			}
			return nil
		}
		pages, err := server.follow(nil, caughtUp)
		require.NoError(t, err)
		require.Equal(t, []string{"order-1"}, hinted(pages))
		require.LessOrEqual(t, server.counts["GetRecords"], 4)
	})
}

// TestSameSecond: a record that has the second of the call may be older than the call,
// and more such records may follow.
func TestSameSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t)
		server.perPage = 1
		server.put(server.shards[0], "order-1")
		server.put(server.shards[0], "order-2")
		pages, err := server.follow(nil, caughtUp)
		require.NoError(t, err)
		require.Equal(t, []string{"order-1", "order-2"}, hinted(pages))
	})
}

// TestPace: four reads a second while there is news, and one in two seconds while
// nothing happens; each of these rounds without news says so.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t)
		pages, err := server.follow(nil, caughtUp)
		require.NoError(t, err)
		n, begin := 0, time.Now()
		_, err = server.follow(pages[len(pages)-1].Cursor, func(p head.Hints) bool {
			server.put(server.shards[0], "order-1")
			n++
			return time.Since(begin) > time.Minute
		})
		require.NoError(t, err)
		require.InDelta(t, 240, n, 60)

		idle, last := 0, time.Time{}
		_, err = server.follow(pages[len(pages)-1].Cursor, func(p head.Hints) bool {
			if p.CaughtUp && len(p.Hints) == 0 {
				if idle++; idle == 20 {
					last = time.Now()
				}
			}
			return idle == 50
		})
		require.NoError(t, err)
		require.InDelta(t, 60, time.Since(last).Seconds(), 20)
	})
}

// TestExpiredIterator: a new one begins after the last record that was read.
func TestExpiredIterator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t)
		server.put(server.shards[0], "order-1")
		n := 0
		pages, err := server.follow(nil, func(p head.Hints) bool {
			if n++; n == 3 {
				time.Sleep(time.Hour)
				server.put(server.shards[0], "order-2")
			}
			return n > 3 && p.CaughtUp
		})
		require.NoError(t, err)
		require.Equal(t, 1, lost(pages))
		require.Equal(t, []string{"order-1", "order-2"}, hinted(pages))
	})
}

// TestThrottledShard: the others are read meanwhile, and nothing is called read. What
// does not end in a minute is an error.
func TestThrottledShard(t *testing.T) {
	for _, code := range []string{"LimitExceededException", "ProvisionedThroughputExceededException", "ThrottlingException"} {
		for _, length := range []time.Duration{20 * time.Second, time.Hour} {
			synctest.Test(t, func(t *testing.T) {
				server := newStreamServer(t, once)
				server.put(server.shards[0], "throttled")
				server.put(server.split(), "other")
				begin := time.Now()
				server.instead = func(_ int, operation string, body map[string]any) *answer {
					iterator, _ := body["ShardIterator"].(string)
					if operation != "GetRecords" || !strings.HasPrefix(iterator, server.shards[0].id) || time.Since(begin) > length {
						return nil
					}
					a := refused(code)
					return &a
				}
				var other time.Time
				pages, err := server.follow(nil, func(p head.Hints) bool {
					if other.IsZero() && len(p.Hints) > 0 {
						other = time.Now()
					}
					return p.CaughtUp
				})
				require.Less(t, other.Sub(begin), 5*time.Second)
				if length > time.Minute {
					require.ErrorContains(t, err, code)
					require.Less(t, time.Since(begin), 2*time.Minute)
					return
				}
				require.NoError(t, err)
				require.Equal(t, []string{"other", "throttled"}, hinted(pages))
			})
		}
	}
}

// once is an option of a client that does not repeat requests.
func once(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} }

// TestThrottledList: the list of shards is asked for again.
func TestThrottledList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t, once)
		server.put(server.shards[0], "order-1")
		server.instead = func(n int, operation string, _ map[string]any) *answer {
			if operation != "DescribeStream" || n > 4 {
				return nil
			}
			a := refused("LimitExceededException")
			return &a
		}
		pages, err := server.follow(nil, caughtUp)
		require.NoError(t, err)
		require.Equal(t, []string{"order-1"}, hinted(pages))
	})
}

// TestManyShards: the list of shards has pages, and many shards are read at once.
func TestManyShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t)
		server.perPage = 7
		var want []string
		for n := range 50 {
			want = append(want, fmt.Sprint("order-", n))
			server.put(server.split(), want[n])
		}
		pages, err := server.follow(nil, caughtUp)
		require.NoError(t, err)
		require.ElementsMatch(t, want, hinted(pages))
		require.GreaterOrEqual(t, server.counts["DescribeStream"], 8)
	})
}

// TestListThatDoesNotEnd: a list of shards that names a shard again as the next one is
// an error.
func TestListThatDoesNotEnd(t *testing.T) {
	for _, period := range []int{1, 3} {
		server := newStreamServer(t)
		server.instead = func(n int, operation string, _ map[string]any) *answer {
			if operation != "DescribeStream" {
				return nil
			}
			a := good(fmt.Sprintf(`{"StreamDescription":{"StreamArn":%q,"StreamStatus":"ENABLED","Shards":[],"LastEvaluatedShardId":"shard-%d"}}`, testStream, n%period))
			return &a
		}
		_, err := server.follow(nil, caughtUp)
		requireSetup(t, err, "not from DynamoDB Streams")
		require.Equal(t, period+1, server.counts["DescribeStream"])
	}
}

// TestOtherDescriptions: a reply that does not list the shards of the stream is an
// error, and not a stream without shards.
func TestOtherDescriptions(t *testing.T) {
	const shards = `"Shards":[{"ShardId":"a","SequenceNumberRange":{"StartingSequenceNumber":"1"}}]`
	for _, description := range []string{
		`{}`, `{"StreamArn":"` + testStream + `","StreamStatus":"ENABLED"}`, `{"StreamArn":"` + testStream + `",` + shards + `}`,
		`{"StreamArn":"` + testStream + `0","StreamStatus":"ENABLED",` + shards + `}`,
		`{"StreamArn":"` + testStream + `","StreamStatus":"ENABLED","Shards":[{"ShardId":"a"}]}`,
		`{"StreamArn":"` + testStream + `","StreamStatus":"ENABLED","Shards":[{"SequenceNumberRange":{"StartingSequenceNumber":"1"}}]}`,
	} {
		server := newStreamServer(t)
		server.instead = func(_ int, operation string, _ map[string]any) *answer {
			if operation != "DescribeStream" {
				return nil
			}
			a := good(`{"StreamDescription":` + description + `}`)
			return &a
		}
		pages, err := server.follow(nil, caughtUp)
		requireSetup(t, err, "not from DynamoDB Streams")
		require.Empty(t, pages, description)
	}
}

// TestPageThatDoesNotGoOn: a page of records that names itself as the next one is an error.
func TestPageThatDoesNotGoOn(t *testing.T) {
	server := newStreamServer(t)
	server.put(server.shards[0], "order-1")
	server.instead = func(_ int, operation string, body map[string]any) *answer {
		if operation != "GetRecords" {
			return nil
		}
		a := good(`{"Records":[` + server.shards[0].records[0].json + `],"NextShardIterator":"` + body["ShardIterator"].(string) + `"}`)
		return &a
	}
	_, err := server.follow(nil, caughtUp)
	requireSetup(t, err, "not from DynamoDB Streams")
}

// TestCursorHasALimit: the cursor of very many shards leaves out the oldest. They are
// read again, and nothing is lost.
func TestCursorHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t)
		server.perPage = 1000
		server.put(server.shards[0], "old")
		for n := range 2000 {
			server.shards[n].closed = true
			time.Sleep(time.Second)
			server.split()
		}
		pages, err := server.follow(nil, caughtUp)
		require.NoError(t, err)
		last := pages[len(pages)-1]
		kept := shardsOf(t, last)
		require.NotContains(t, kept, server.shards[0].id)
		require.Equal(t, "done", kept[server.shards[1999].id])
		require.Contains(t, kept, server.shards[2000].id)
		require.Greater(t, len(last.Cursor), 60<<10)

		server.put(server.shards[2000], "new")
		pages, err = server.follow(last.Cursor, caughtUp)
		require.NoError(t, err)
		require.Zero(t, lost(pages))
		require.Subset(t, hinted(pages), []string{"old", "new"})
	})
}

// TestHintsEndWithTheContext, and with the loop.
func TestHintsEndWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStreamServer(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var ended []error
		for _, err := range open(t, server).Hints(ctx, nil) {
			if err != nil {
				ended = append(ended, err)
			}
		}
		require.Len(t, ended, 1)
		require.ErrorIs(t, ended[0], context.DeadlineExceeded)

		ended = nil
		for _, err := range open(t, server).Hints(ctx, nil) {
			ended = append(ended, err)
		}
		require.Len(t, ended, 1)
		require.ErrorIs(t, ended[0], context.DeadlineExceeded)
	})
}

// TestStreamsClient: it is made from the options of the table's client, unless one is given.
func TestStreamsClient(t *testing.T) {
	server := newStreamServer(t)
	hosts := map[string]string{}
	transport := doFunc(func(r *http.Request) (*http.Response, error) {
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		hosts[operation] = r.URL.Host
		return server.Do(r)
	})
	first := func(s *dynamostore.Store) {
		for _, err := range s.Hints(t.Context(), nil) {
			require.NoError(t, err)
			break
		}
	}
	first(open(t, transport))
	require.Equal(t, map[string]string{"DescribeTable": "dynamodb.eu-west-1.amazonaws.com", "DescribeStream": "streams.dynamodb.eu-west-1.amazonaws.com"}, hosts)

	clear(hosts)
	first(open(t, transport, func(o *dynamodb.Options) { o.BaseEndpoint = aws.String("http://localhost:1") }))
	require.Equal(t, map[string]string{"DescribeTable": "localhost:1", "DescribeStream": "localhost:1"}, hosts)

	clear(hosts)
	given := dynamodbstreams.New(dynamodbstreams.Options{Region: "eu-west-1", HTTPClient: transport, BaseEndpoint: aws.String("http://streams:2"), Credentials: aws.AnonymousCredentials{}})
	client := dynamodb.New(dynamodb.Options{Region: "eu-west-1", HTTPClient: transport, BaseEndpoint: aws.String("http://localhost:1"), Credentials: aws.AnonymousCredentials{}})
	s, err := dynamostore.New(client, "table", &dynamostore.Options{Streams: given})
	require.NoError(t, err)
	first(s)
	require.Equal(t, map[string]string{"DescribeTable": "localhost:1", "DescribeStream": "streams:2"}, hosts)
}
