package dynamostore_test

import (
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/dynamostore"
)

func TestNew(t *testing.T) {
	client := dynamodb.New(dynamodb.Options{})
	for _, prefix := range []string{"", "a/", "a/b/", strings.Repeat("x", dynamostore.MaxPrefix-1) + "/"} {
		s, err := dynamostore.New(client, "t", &dynamostore.Options{Prefix: prefix})
		require.NoError(t, err, prefix)
		require.Equal(t, "dynamodb://t/"+prefix+"a%2Fb", s.LocateHead("a/b"))
	}
	for _, prefix := range []string{"a", "/", "\xff/", strings.Repeat("x", dynamostore.MaxPrefix) + "/"} {
		_, err := dynamostore.New(client, "t", &dynamostore.Options{Prefix: prefix})
		require.ErrorContains(t, err, "prefix", prefix)
	}
	_, err := dynamostore.New(nil, "t", nil)
	require.Error(t, err)
	_, err = dynamostore.New(client, "", nil)
	require.Error(t, err)
}

func TestBadSetUps(t *testing.T) {
	for code, what := range map[string]string{
		"ResourceNotFoundException":   `table table does not exist in region "eu-west-1"`,
		"AccessDeniedException":       "DynamoDB denies access",
		"UnrecognizedClientException": "DynamoDB denies access",
		"ExpiredTokenException":       "DynamoDB denies access",
	} {
		s := open(t, always(reply{status: 400, code: code}))
		_, err := s.Load(t.Context(), "order-1")
		requireSetup(t, err, what)
		for _, err := range s.List(t.Context(), "") {
			requireSetup(t, err, what)
		}
	}
	server := always(reply{status: 200, body: "{}"})
	_, err := open(t, server, withoutCredentials).Load(t.Context(), "order-1")
	requireSetup(t, err, "no request could be made to DynamoDB")
	require.Empty(t, server.operations)
}

// TestUnreachable makes real attempts to connect, with the SDK's own retries, between
// which time is virtual.
func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	synctest.Test(t, func(t *testing.T) {
		client := dynamodb.NewFromConfig(aws.Config{
			Region: "eu-west-1", BaseEndpoint: aws.String("http://" + listener.Addr().String()),
			Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
		})
		s, err := dynamostore.New(client, "table", nil)
		require.NoError(t, err)
		begin := time.Now()
		_, err = s.Load(t.Context(), "order-1")
		requireSetup(t, err, "DynamoDB cannot be reached")
		require.Less(t, time.Since(begin), 10*time.Second)
	})
}

// goodTable is a server that answers as a table in good order does, except for
// the replies that a test puts in their place.
func goodTable(others map[string]reply) *canned {
	calls := map[string]int{}
	return &canned{reply: func(_ int, operation string) reply {
		if calls[operation]++; calls[operation] > 1 && (operation == "UpdateItem" || operation == "TransactWriteItems") {
			operation += " 2"
		}
		if other, ok := others[operation]; ok {
			return other
		}
		switch operation {
		case "DescribeTable":
			return reply{status: 200, body: table(onDemand + "," + withStream)}
		case "UpdateItem 2":
			return reply{status: 400, code: "ConditionalCheckFailedException"}
		case "TransactWriteItems 2":
			return canceled("ConditionalCheckFailed", "ConditionalCheckFailed")
		case "DescribeTimeToLive":
			return reply{status: 200, body: `{"TimeToLiveDescription":{"TimeToLiveStatus":"DISABLED"}}`}
		case "DescribeContinuousBackups":
			return reply{status: 200, body: recovery("ENABLED")}
		}
		return reply{status: 200, body: "{}"}
	}}
}

const (
	onDemand   = `"BillingModeSummary":{"BillingMode":"PAY_PER_REQUEST"}`
	withStream = `"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_IMAGE"},"LatestStreamArn":"arn:stream"`
)

func table(more string) string {
	return `{"Table":{"TableStatus":"ACTIVE","KeySchema":[{"AttributeName":"aggregate-id","KeyType":"HASH"}],` +
		`"AttributeDefinitions":[{"AttributeName":"aggregate-id","AttributeType":"S"}],` + more + `}}`
}

func recovery(status string) string {
	return `{"ContinuousBackupsDescription":{"ContinuousBackupsStatus":"ENABLED","PointInTimeRecoveryDescription":{"PointInTimeRecoveryStatus":"` + status + `"}}}`
}

func check(t *testing.T, others map[string]reply) map[string]dynamostore.Finding {
	t.Helper()
	findings, err := open(t, goodTable(others)).Check(t.Context())
	require.NoError(t, err)
	byName := map[string]dynamostore.Finding{}
	for _, f := range findings {
		byName[f.Name] = f
	}
	require.Len(t, byName, len(findings))
	return byName
}

func TestCheckOfAGoodTable(t *testing.T) {
	var lines []string
	for _, f := range check(t, nil) {
		require.True(t, f.OK, f)
		lines = append(lines, f.String())
	}
	require.ElementsMatch(t, []string{"table table ok", "conditional writes ok", "several aggregates in one commit ok", "no TTL", "no replicas", "billing on demand", "stream on, NEW_IMAGE", "point-in-time recovery on"}, lines)
}

func TestCheckFinds(t *testing.T) {
	ok := func(body string) reply { return reply{status: 200, body: body} }
	denied := reply{status: 400, code: "AccessDeniedException"}
	const replicas, several = `"Replicas":[{"RegionName":"us-east-1"}]`, "several aggregates in one commit"
	tests := map[string]struct {
		operation string
		reply     reply
		name      string
		ok        bool
		detail    string
	}{
		"no table":         {"DescribeTable", reply{status: 400, code: "ResourceNotFoundException"}, "table table", false, "does not exist"},
		"denied table":     {"DescribeTable", denied, "table table", false, "denies access"},
		"wrong key":        {"DescribeTable", ok(strings.ReplaceAll(table(`"ItemCount":0`), "aggregate-id", "id")), "table table", false, "its key"},
		"numeric key":      {"DescribeTable", ok(strings.ReplaceAll(table(`"ItemCount":0`), `"AttributeType":"S"`, `"AttributeType":"N"`)), "table table", false, "its key"},
		"being deleted":    {"DescribeTable", ok(strings.ReplaceAll(table(`"ItemCount":0`), "ACTIVE", "DELETING")), "table table", false, "DELETING"},
		"global table":     {"DescribeTable", ok(table(replicas)), "no replicas", false, "us-east-1"},
		"strong replicas":  {"DescribeTable", ok(table(replicas + `,"MultiRegionConsistency":"STRONG"`)), "replicas", true, "strongly consistent"},
		"provisioned":      {"DescribeTable", ok(table(`"ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":3}`)), "billing", true, "5 reads and 3 writes"},
		"no stream":        {"DescribeTable", ok(table(onDemand)), "stream", true, "off"},
		"disabled stream":  {"DescribeTable", ok(table(`"StreamSpecification":{"StreamEnabled":false},"LatestStreamArn":"arn:stream"`)), "stream", true, "off"},
		"both images":      {"DescribeTable", ok(table(strings.Replace(withStream, "NEW_IMAGE", "NEW_AND_OLD_IMAGES", 1))), "stream", true, "on, NEW_AND_OLD_IMAGES"},
		"keys only":        {"DescribeTable", ok(table(strings.Replace(withStream, "NEW_IMAGE", "KEYS_ONLY", 1))), "stream", false, "KEYS_ONLY"},
		"TTL":              {"DescribeTimeToLive", ok(`{"TimeToLiveDescription":{"TimeToLiveStatus":"ENABLED","AttributeName":"expires"}}`), "no TTL", false, `"expires"`},
		"denied TTL":       {"DescribeTimeToLive", denied, "no TTL", false, "not known"},
		"no conditions":    {"UpdateItem 2", ok("{}"), "conditional writes", false, "not honoured"},
		"denied writes":    {"UpdateItem", denied, "conditional writes", false, "denies access"},
		"failing writes":   {"UpdateItem 2", denied, "conditional writes", false, "denies access"},
		"probe left":       {"DeleteItem", denied, "conditional writes", true, "could not be removed"},
		"no transactions":  {"TransactWriteItems", reply{status: 400, code: "UnknownOperationException"}, several, false, "UnknownOperationException"},
		"denied steps":     {"TransactWriteItems", denied, several, false, "denies access"},
		"denied checks":    {"TransactWriteItems 2", denied, several, false, "denies access"},
		"steps not tested": {"TransactWriteItems 2", ok("{}"), several, false, "not honoured"},
		"half a test":      {"TransactWriteItems 2", canceled("None", "ConditionalCheckFailed"), several, false, "not known"},
		"throttled steps":  {"TransactWriteItems 2", canceled("ThrottlingError", "None"), several, false, "not known"},
		"short reasons":    {"TransactWriteItems 2", canceled("ConditionalCheckFailed"), several, false, "not known"},
		"probes left":      {"DeleteItem", denied, several, true, "could not be removed"},
		"strong steps":     {"DescribeTable", ok(table(replicas + `,"MultiRegionConsistency":"STRONG"`)), several, true, "not in a table with multi-Region strong consistency"},
		"no recovery":      {"DescribeContinuousBackups", ok(recovery("DISABLED")), "point-in-time recovery", false, "off"},
		"unknown recovery": {"DescribeContinuousBackups", denied, "point-in-time recovery", false, "not known"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := check(t, map[string]reply{test.operation: test.reply})[test.name]
			require.Equal(t, test.ok, f.OK, f)
			require.Contains(t, f.Detail, test.detail)
		})
	}
}

// TestProvisionOfANewTable: it is created, becomes active after a while, and
// takes its recovery later still.
func TestProvisionOfANewTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		describes, updates := 0, 0
		server := goodTable(nil)
		good := server.reply
		server.reply = func(n int, operation string) reply {
			switch operation {
			case "DescribeTable":
				if describes++; describes == 1 {
					return reply{status: 400, code: "ResourceNotFoundException"}
				} else if describes < 5 {
					return reply{status: 200, body: strings.ReplaceAll(table(`"ItemCount":0`), "ACTIVE", "CREATING")}
				}
			case "CreateTable": // another one was faster
				return reply{status: 400, code: "ResourceInUseException"}
			case "DescribeContinuousBackups":
				return reply{status: 200, body: recovery("DISABLED")}
			case "UpdateContinuousBackups":
				if updates++; updates < 3 {
					return reply{status: 400, code: "ContinuousBackupsUnavailableException"}
				}
			}
			return good(n, operation)
		}
		require.NoError(t, open(t, server).Provision(t.Context()))
		require.Equal(t, 5, describes)
		require.Equal(t, 3, updates)
		i := slices.Index(server.operations, "CreateTable")
		require.Equal(t, map[string]any{"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"}, server.bodies[i]["StreamSpecification"])
	})
}

// TestProtection: it is switched on where the options say so, and found missing.
func TestProtection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for body, on := range map[string]bool{table(withStream): false, table(withStream + `,"DeletionProtectionEnabled":true`): true} {
			busy := true
			server := goodTable(map[string]reply{"DescribeTable": {status: 200, body: body}})
			good := server.reply
			server.reply = func(n int, operation string) reply {
				if operation == "UpdateTable" && busy {
					busy = false
					return reply{status: 400, code: "ResourceInUseException"}
				}
				return good(n, operation)
			}
			s := openWith(t, server, &dynamostore.Options{Prefix: "p/", Protection: true})
			findings, err := s.Check(t.Context())
			require.NoError(t, err)
			i := slices.IndexFunc(findings, func(f dynamostore.Finding) bool { return f.Name == "deletion protection" })
			require.Equal(t, on, findings[i].OK)
			require.Equal(t, on, findings[i].Hint == "")
			require.NoError(t, s.Provision(t.Context()))
			require.Equal(t, !on, slices.Contains(server.operations, "UpdateTable"))
			require.Equal(t, on, busy, "it is tried again")
			if !on {
				require.Equal(t, true, server.bodies[slices.Index(server.operations, "UpdateTable")]["DeletionProtectionEnabled"])
			}
		}
	})
}

func TestProvisionOfATableThatIsThere(t *testing.T) {
	server := goodTable(nil)
	require.NoError(t, open(t, server).Provision(t.Context()))
	require.NotContains(t, server.operations, "CreateTable")
	require.NotContains(t, server.operations, "UpdateTable")
	require.NotContains(t, server.operations, "UpdateContinuousBackups")

	other := goodTable(map[string]reply{"DescribeTable": {status: 200, body: strings.ReplaceAll(table(`"ItemCount":0`), "aggregate-id", "id")}})
	requireSetup(t, open(t, other).Provision(t.Context()), "its key")

	denied := goodTable(map[string]reply{"DescribeTable": {status: 400, code: "AccessDeniedException"}})
	requireSetup(t, open(t, denied).Provision(t.Context()), "DynamoDB denies access")
}

// TestProvisionEnablesTheStream of a table without one. Another process changes the
// table meanwhile, and then DynamoDB takes a while, or another process is faster.
func TestProvisionEnablesTheStream(t *testing.T) {
	for name, faster := range map[string]bool{"alone": false, "another process is faster": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				updates, describes := 0, 0
				server := goodTable(nil)
				good := server.reply
				server.reply = func(n int, operation string) reply {
					switch {
					case operation == "DescribeTable" && updates < 2:
						return reply{status: 200, body: table(onDemand)}
					case operation == "DescribeTable" && !faster:
						if describes++; describes < 3 { // a description may be old
							return reply{status: 200, body: table(onDemand)}
						}
					case operation == "UpdateTable":
						if updates++; updates == 1 {
							return reply{status: 400, code: "ResourceInUseException"}
						} else if faster {
							return reply{status: 400, code: "ValidationException"}
						}
					}
					return good(n, operation)
				}
				require.NoError(t, open(t, server).Provision(t.Context()))
				require.Equal(t, 2, updates)
				i := slices.Index(server.operations, "UpdateTable")
				require.Equal(t, map[string]any{"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"}, server.bodies[i]["StreamSpecification"])
			})
		})
	}
}

// TestProvisionOfAnotherStream: a view type without new images is not changed, as
// another program may read the stream.
func TestProvisionOfAnotherStream(t *testing.T) {
	for view, good := range map[string]bool{"NEW_IMAGE": true, "NEW_AND_OLD_IMAGES": true, "KEYS_ONLY": false, "OLD_IMAGE": false} {
		server := goodTable(map[string]reply{"DescribeTable": {status: 200, body: table(strings.Replace(withStream, "NEW_IMAGE", view, 1))}})
		err := open(t, server).Provision(t.Context())
		require.NotContains(t, server.operations, "UpdateTable")
		if good {
			require.NoError(t, err, view)
			continue
		}
		requireSetup(t, err, "its stream has the view type "+view)
	}
}

// TestProvisionMeetsAnotherStream that another process has just enabled.
func TestProvisionMeetsAnotherStream(t *testing.T) {
	server := goodTable(nil)
	good := server.reply
	server.reply = func(n int, operation string) reply {
		switch {
		case operation == "UpdateTable":
			return reply{status: 400, code: "ValidationException"}
		case operation == "DescribeTable" && !slices.Contains(server.operations, "UpdateTable"):
			return reply{status: 200, body: table(onDemand)}
		case operation == "DescribeTable":
			return reply{status: 200, body: table(strings.Replace(withStream, "NEW_IMAGE", "KEYS_ONLY", 1))}
		}
		return good(n, operation)
	}
	requireSetup(t, open(t, server).Provision(t.Context()), "its stream has the view type KEYS_ONLY")
}

func TestProvisionThatMayNotEnableTheStream(t *testing.T) {
	server := goodTable(map[string]reply{"DescribeTable": {status: 200, body: table(onDemand)}, "UpdateTable": {status: 400, code: "AccessDeniedException"}})
	requireSetup(t, open(t, server).Provision(t.Context()), "DynamoDB denies access")
}
