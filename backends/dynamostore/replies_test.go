package dynamostore_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/dynamostore"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// answer is a reply with its header.
type answer struct {
	status int
	header map[string]string
	body   string
}

func (a answer) send(r *http.Request) *http.Response {
	response := &http.Response{
		StatusCode: a.status, Status: http.StatusText(a.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader(a.body)), ContentLength: int64(len(a.body)),
	}
	for name, value := range a.header {
		response.Header.Set(name, value)
	}
	return response
}

func good(body string) answer {
	return answer{200, map[string]string{"Content-Type": "application/x-amz-json-1.0", "X-Amzn-Requestid": "1"}, body}
}

// faithful replies as DynamoDB does for a table with two heads, in pages of one.
type faithful struct {
	head         head.Head
	first, other string // items
}

func newFaithful(t *testing.T) faithful {
	h := build(t)
	first := item(t, h, "")
	return faithful{h, first, strings.ReplaceAll(first, "p/order-1", "p/order-2")}
}

// do replies to the n-th request of an operation.
func (f faithful) do(operation string, n int) answer {
	switch operation {
	case "GetItem":
		return good(`{"Item":` + f.first + `}`)
	case "Scan":
		if n == 0 {
			return good(`{"Count":1,"ScannedCount":1,"Items":[` + f.first + `],"LastEvaluatedKey":{"aggregate-id":{"S":"p/order-1"}}}`)
		}
		return good(`{"Count":1,"ScannedCount":1,"Items":[` + f.other + `]}`)
	case "UpdateItem":
		if n == 1 { // Check's second one
			a := good(`{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"m"}`)
			a.status = 400
			return a
		}
		return good(`{}`)
	case "TransactWriteItems":
		if n == 1 { // Check's second one
			a := good(`{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"m","CancellationReasons":[{"Code":"ConditionalCheckFailed"},{"Code":"ConditionalCheckFailed"}]}`)
			a.status = 400
			return a
		}
		return good(`{}`)
	case "DescribeTable":
		return good(table(onDemand + "," + withStream))
	case "DescribeStream":
		return good(`{"StreamDescription":{"StreamArn":"arn:stream","StreamStatus":"ENABLED","Shards":[{"ShardId":"shard-1","SequenceNumberRange":{"StartingSequenceNumber":"1"}}]}}`)
	case "GetShardIterator":
		return good(`{"ShardIterator":"first"}`)
	case "GetRecords":
		if n == 0 {
			return good(`{"Records":[{"eventName":"MODIFY","dynamodb":{"Keys":{"aggregate-id":{"S":"p/order-1"}},"NewImage":` + f.first + `,"SequenceNumber":"1"}}],"NextShardIterator":"second"}`)
		}
		return good(fmt.Sprintf(`{"Records":[],"NextShardIterator":"iterator-%d"}`, n))
	case "DescribeTimeToLive":
		return good(`{"TimeToLiveDescription":{"TimeToLiveStatus":"DISABLED"}}`)
	case "DescribeContinuousBackups":
		return good(recovery("ENABLED"))
	}
	return good(`{}`)
}

// store returns a store over the replies. It calls change to change each reply.
func (f faithful) store(t *testing.T, change func(n int, a answer) answer) *dynamostore.Store {
	counts, n := map[string]int{}, 0
	return open(t, doFunc(func(r *http.Request) (*http.Response, error) {
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		a := change(n, f.do(operation, counts[operation]))
		counts[operation]++
		n++
		return a.send(r), nil
	}), func(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} })
}

// calls are all operations. Each returns its result as text.
func (f faithful) calls() map[string]func(*testing.T, *dynamostore.Store) (string, error) {
	return map[string]func(*testing.T, *dynamostore.Store) (string, error){
		"Load": func(t *testing.T, s *dynamostore.Store) (string, error) {
			h, err := s.Load(t.Context(), f.head.AggregateID)
			return fmt.Sprintf("%+v", h), err
		},
		"List": func(t *testing.T, s *dynamostore.Store) (string, error) {
			var text strings.Builder
			for h, err := range s.List(t.Context(), "") {
				if err != nil {
					return "", err
				}
				fmt.Fprintf(&text, "%+v\n", h)
			}
			return text.String(), nil
		},
		"Create": func(t *testing.T, s *dynamostore.Store) (string, error) {
			_, err := s.Swap(t.Context(), head.Head{}, f.head)
			return "", err
		},
		"Swap": func(t *testing.T, s *dynamostore.Store) (string, error) {
			_, err := s.Swap(t.Context(), f.head, link.Fence(f.head))
			return "", err
		},
		"SwapAll": func(t *testing.T, s *dynamostore.Store) (string, error) {
			heads, err := s.SwapAll(t.Context(), []head.Exchange{{AggregateID: f.head.AggregateID, Old: f.head, Next: link.Fence(f.head)}})
			return fmt.Sprintf("%+v", heads), err
		},
		"Hints": func(t *testing.T, s *dynamostore.Store) (string, error) {
			var text string
			for p, err := range s.Hints(t.Context(), nil) {
				if err != nil {
					return "", err
				}
				for _, h := range p.Hints {
					text += h.AggregateID + "\n"
				}
				if p.CaughtUp {
					break
				}
			}
			return text, nil
		},
		"Provision": func(t *testing.T, s *dynamostore.Store) (string, error) { return "", s.Provision(t.Context()) },
		"Check": func(t *testing.T, s *dynamostore.Store) (string, error) {
			findings, err := s.Check(t.Context())
			var text string
			for _, f := range findings {
				text += fmt.Sprintf("%s OK:%t\n", f, f.OK)
			}
			return text, err
		},
	}
}

// changes returns the replies that can come in place of a reply. An operation
// may return its usual result if the name begins with "ok".
func changes(a answer) map[string]answer {
	page := func(status int, kind, body string) answer {
		return answer{status, map[string]string{"Content-Type": kind}, body}
	}
	all := map[string]answer{
		"a login page": page(200, "text/html", "<html></html>"), "JSON": page(200, "application/json", `{"status":"running"}`),
		"an object": page(200, "application/json", "{}"), "nothing": page(200, "", ""), "no content": page(204, "", ""),
		"a redirect": page(307, "text/html", ""), "not found": page(404, "text/html", "<html></html>"), "404 alone": page(404, "", ""),
		"a gateway's refusal": page(403, "application/json", `{"code":"AccessDeniedException","message":"m"}`),
		"a bad gateway":       page(502, "text/html", "<html></html>"),
		"a condition":         page(400, "application/json", `{"__type":"x#ConditionalCheckFailedException"}`),
		"an empty body":       good(""), "half a body": good(a.body[:len(a.body)/2]),
		"ok {}":  good("{}"),
		"a list": good("[]"), "null": good("null"),
		"a cancellation": page(400, "application/json", `{"__type":"x#TransactionCanceledException","CancellationReasons":[{"Code":"ConditionalCheckFailed"}]}`),
	}
	for name := range a.header {
		header := maps.Clone(a.header)
		delete(header, name)
		all["ok without "+name] = answer{a.status, header, a.body}
	}
	var whole any
	if json.Unmarshal([]byte(a.body), &whole) == nil {
		for path, body := range without(whole, "") {
			all["ok without element "+path] = answer{a.status, a.header, body}
		}
	}
	return all
}

// without returns the JSON with each of its elements left out.
func without(v any, path string) map[string]string {
	all := map[string]string{}
	var walk func(at any, path string, put func(any) any)
	walk = func(at any, path string, put func(any) any) {
		switch at := at.(type) {
		case map[string]any:
			for name, value := range at {
				rest := maps.Clone(at)
				delete(rest, name)
				text, _ := json.Marshal(put(rest))
				all[path+"/"+name] = string(text)
				walk(value, path+"/"+name, func(inner any) any {
					with := maps.Clone(at)
					with[name] = inner
					return put(with)
				})
			}
		case []any:
			for i, value := range at {
				text, _ := json.Marshal(put(append(append([]any{}, at[:i]...), at[i+1:]...)))
				all[fmt.Sprint(path, "/", i)] = string(text)
				walk(value, fmt.Sprint(path, "/", i), func(inner any) any {
					with := slices.Clone(at)
					with[i] = inner
					return put(with)
				})
			}
		}
	}
	walk(v, path, func(v any) any { return v })
	return all
}

// complete are elements whose absence makes another whole reply: that there is
// no item or no record, and that a page is the last one.
var complete = []string{
	"Load: ok without element /Item", "Load: ok {}", "List: ok without element /LastEvaluatedKey", "Hints: ok without element /Records/0",
}

// TestWhatIsMissingIsNoticed: without any one part of any one reply, and with
// another server's reply in its place, every operation returns the same result
// as before or an error. It does not panic, and does not take a reply for success
// or for an empty table.
func TestWhatIsMissingIsNoticed(t *testing.T) {
	f := newFaithful(t)
	for name, call := range f.calls() {
		synctest.Test(t, func(t *testing.T) {
			var replies []answer
			want, err := call(t, f.store(t, func(_ int, a answer) answer { replies = append(replies, a); return a }))
			require.NoError(t, err, name)
			for n, reply := range replies {
				for change, other := range changes(reply) {
					what := name + ": " + change
					if slices.Contains(complete, what) {
						continue
					}
					got, err := call(t, f.store(t, func(i int, a answer) answer {
						if i == n {
							return other
						}
						return a
					}))
					switch harmless := strings.HasPrefix(change, "ok "); {
					case name == "Check":
						require.True(t, harmless || strings.Contains(got, "OK:false") || strings.Contains(got, "could not be removed"), "%s at %d: %s", what, n, got)
					case err != nil:
						require.Contains(t, []string{unknown, never}, kindOf(err), "%s at %d: %v", what, n, err)
						require.False(t, kindOf(err) == never && n == 0 && name != "Load", "%s at %d: %v", what, n, err)
					default:
						require.True(t, harmless, "%s at %d is not noticed", what, n)
						require.Equal(t, want, got, "%s at %d", what, n)
					}
				}
			}
		})
	}
}

func TestScanThatDoesNotGoOn(t *testing.T) {
	key := `{"aggregate-id":{"S":"p/order-1"}}`
	server := always(reply{status: 200, body: `{"Count":0,"Items":[],"LastEvaluatedKey":` + key + `}`})
	for _, err := range open(t, server).List(t.Context(), "") {
		requireSetup(t, err, "not from DynamoDB")
	}
	require.Len(t, server.operations, 2)
}

// TestClock: a swap that is refused because of the clock is sent once more, with
// the service's time.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		sent := 0
		s := open(t, doFunc(func(r *http.Request) (*http.Response, error) {
			sent++
			now := time.Now().Add(-time.Hour).UTC()
			a := good("{}")
			a.header["Date"] = now.Format(http.TimeFormat)
			signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
			require.NoError(t, err)
			if now.Sub(signed).Abs() > time.Minute {
				a.status, a.body = 400, `{"__type":"x#InvalidSignatureException","message":"Signature not yet current"}`
			}
			return a.send(r), nil
		}))
		_, err := s.Swap(t.Context(), head.Head{}, h)
		require.NoError(t, err)
		require.Equal(t, 2, sent)
		_, err = s.Swap(t.Context(), h, link.Fence(h))
		require.NoError(t, err)
		require.Equal(t, 3, sent, "the SDK has learned the difference")
	})
}

// TestClockThatStaysWrong: the service refuses the second request too.
func TestClockThatStaysWrong(t *testing.T) {
	h := build(t)
	sent := 0
	s := open(t, doFunc(func(r *http.Request) (*http.Response, error) {
		sent++
		a := good(`{"__type":"x#InvalidSignatureException","message":"Signature expired"}`)
		a.status, a.header["Date"] = 400, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
		return a.send(r), nil
	}))
	_, err := s.Swap(t.Context(), head.Head{}, h)
	require.Equal(t, never, kindOf(err))
	requireSetup(t, err, "clock of this machine")
	require.Equal(t, 2, sent)
}
