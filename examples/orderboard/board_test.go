package orderboard

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"ropewalk/feed"
	"ropewalk/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.Clear()
	m.Run()
}

// A reply counts only if it shows what the item has. The tests against a DynamoDB are
// in the folder integration.
func TestRepliesAreNotBelieved(t *testing.T) {
	const refused = `{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"m"%s}`
	for name, reply := range map[string]struct {
		status int
		body   string
		says   string // empty if the change is handled
	}{
		"the new version":      {200, `{"Attributes":{"version":{"N":"7"},"fence":{"N":"2"}}}`, ""},
		"another version":      {200, `{"Attributes":{"version":{"N":"6"}}}`, "not from DynamoDB"},
		"nothing":              {200, `{}`, "not from DynamoDB"},
		"a login page":         {200, `<html>`, "deserialization failed"},
		"refused, same":        {400, fmt.Sprintf(refused, `,"Item":{"version":{"N":"7"},"fence":{"N":"2"}}`), ""},
		"refused, newer":       {400, fmt.Sprintf(refused, `,"Item":{"version":{"N":"9"},"fence":{"N":"3"}}`), ""},
		"refused, erased":      {400, fmt.Sprintf(refused, `,"Item":{"version":{"N":"1"},"fence":{"N":"2"},"erased":{"BOOL":true}}`), ""},
		"refused, later owner": {400, fmt.Sprintf(refused, `,"Item":{"version":{"N":"6"},"fence":{"N":"3"}}`), feed.ErrReplaced.Error()},
		"refused, older":       {400, fmt.Sprintf(refused, `,"Item":{"version":{"N":"6"},"fence":{"N":"2"}}`), "no reason"},
		"refused, no item":     {400, fmt.Sprintf(refused, ""), "no reason"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/x-amz-json-1.0")
				w.WriteHeader(reply.status)
				fmt.Fprint(w, reply.body)
			}))
			defer server.Close()
			board := Board{Table: "board", Client: dynamodb.New(dynamodb.Options{
				Region: "r", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("k", "s", ""), Retryer: aws.NopRetryer{},
			})}
			c := feed.Change{Fence: 2}
			c.AggregateID, c.Version, c.Content = "order-1", 7, []byte(`{"type":"shipped","data":{}}`)
			err := board.Handle(t.Context(), c)
			if reply.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, reply.says)
		})
	}
}
