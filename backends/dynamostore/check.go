package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/awscall"
	"ropewalk/internal/finding"
)

// probes stands after the prefix in the keys of the items with which Check tries
// conditional writes. No aggregate's key has a slash after the prefix.
const probes = "ropewalk-probe/"

// Check looks for missing and dangerous things: the table and its key, a time
// to live, replicas of a global table with eventual consistency, conditional
// writes and transactions that the server does not honour, a stream without new images;
// and says how the table is billed, and whether a stream and point-in-time recovery are
// on. What the options demand must be on. It changes nothing except for three small
// items of its own under the prefix, which it removes. It needs rights to do all
// that; anything that it must not look at is a finding too. It returns an error
// if the context ended, and findings otherwise.
func (s *Store) Check(ctx context.Context) ([]Finding, error) {
	table, err := s.describe(ctx)
	first := s.checkTable(table, err)
	findings := []Finding{first}
	if first.OK {
		findings = append(findings, s.checkConditions(ctx), s.checkTransactions(ctx, table), s.checkExpiry(ctx), checkReplicas(table), checkBilling(table), checkStream(table), s.checkRecovery(ctx))
		if s.options.Protection {
			findings = append(findings, checkProtection(table))
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("check table %s: %w", s.table, err)
	}
	return findings, nil
}

// failed is the finding that something could not be looked at.
func failed(name string, err error) Finding {
	f := Finding{Name: name, Detail: "not known: " + err.Error()}
	if setup, ok := errors.AsType[*finding.SetupError](err); ok {
		f.Detail, f.Hint = "not known: "+setup.What, setup.Hint
	}
	return f
}

func (s *Store) checkTable(table *types.TableDescription, err error) Finding {
	name := "table " + s.table
	switch {
	case awscall.Code(err) == codeNoTable:
		return Finding{Name: name, Detail: "does not exist", Hint: "create it with ropewalk init, or check its name and region"}
	case err != nil:
		return failed(name, err)
	case !hasKey(table):
		return Finding{Name: name, Detail: "its key is not " + head.FieldAggregateID + " (string)", Hint: "choose the name of another table"}
	case table.TableStatus != types.TableStatusActive && table.TableStatus != types.TableStatusUpdating:
		return Finding{Name: name, Detail: "its status is " + string(table.TableStatus), Hint: "wait until it is active"}
	}
	return Finding{Name: name, OK: true, Detail: "ok"}
}

// checkConditions writes an item on condition that it does not exist, and writes
// it again.
func (s *Store) checkConditions(ctx context.Context) Finding {
	const name = "conditional writes"
	key := s.probe()
	in := &dynamodb.UpdateItemInput{
		TableName: &s.table, Key: key,
		ConditionExpression:      aws.String(probeAbsent),
		ExpressionAttributeNames: map[string]string{"#id": head.FieldAggregateID},
	}
	_, first := do(ctx, s, s.client.UpdateItem, in)
	_, second := do(ctx, s, s.client.UpdateItem, in)
	removed := s.removeProbe(ctx, key)
	switch {
	case first != nil && !conditionFailed(first): // which a repetition by the SDK may have met
		return failed(name, first)
	case second == nil:
		return Finding{Name: name, Detail: "conditions are not honoured", Hint: "do not use this server: it would lose appends"}
	case !conditionFailed(second):
		return failed(name, second)
	case removed != nil:
		return Finding{Name: name, OK: true, Detail: "ok, but the probe could not be removed"}
	}
	return Finding{Name: name, OK: true, Detail: "ok"}
}

// probe returns the key of a new item that is no aggregate's.
func (s *Store) probe() map[string]types.AttributeValue {
	return map[string]types.AttributeValue{
		head.FieldAggregateID: &types.AttributeValueMemberS{Value: s.options.Prefix + probes + changeset.NewID().String()},
	}
}

// probeAbsent is the condition that a probe does not exist.
const probeAbsent = "attribute_not_exists(#id)"

func (s *Store) removeProbe(ctx context.Context, key map[string]types.AttributeValue) error {
	_, err := do(ctx, s, s.client.DeleteItem, &dynamodb.DeleteItemInput{TableName: &s.table, Key: key})
	return err
}

func conditionFailed(err error) bool {
	_, failed := errors.AsType[*types.ConditionalCheckFailedException](err)
	return failed
}

func (s *Store) checkExpiry(ctx context.Context) Finding {
	const name = "no TTL"
	out, err := do(ctx, s, s.client.DescribeTimeToLive, &dynamodb.DescribeTimeToLiveInput{TableName: &s.table})
	if err != nil {
		return failed(name, err)
	}
	d := out.TimeToLiveDescription
	if d == nil || d.TimeToLiveStatus == "" {
		return failed(name, awscall.Foreign(service, errors.New("the reply does not describe the time to live")))
	}
	if d.TimeToLiveStatus != types.TimeToLiveStatusDisabled {
		return Finding{
			Name: name, Detail: fmt.Sprintf("items expire by their attribute %q (%s)", aws.ToString(d.AttributeName), d.TimeToLiveStatus),
			Hint: "switch time to live off: a head that expires takes its chain along",
		}
	}
	return Finding{Name: name, OK: true}
}

func checkReplicas(table *types.TableDescription) Finding {
	const name = "no replicas"
	if len(table.Replicas) == 0 {
		return Finding{Name: name, OK: true}
	}
	var regions []string
	for _, r := range table.Replicas {
		regions = append(regions, aws.ToString(r.RegionName))
	}
	in := "in " + strings.Join(regions, ", ")
	if table.MultiRegionConsistency == types.MultiRegionConsistencyStrong {
		return Finding{Name: "replicas", OK: true, Detail: in + ", strongly consistent"}
	}
	return Finding{
		Name: name, Detail: "a global table with eventual consistency, " + in,
		Hint: "use a table of one region, or multi-Region strong consistency: here the last writer wins, and appends get lost",
	}
}

func checkBilling(table *types.TableDescription) Finding {
	if b := table.BillingModeSummary; b != nil && b.BillingMode == types.BillingModePayPerRequest {
		return Finding{Name: "billing", OK: true, Detail: "on demand"}
	}
	detail := "provisioned"
	if p := table.ProvisionedThroughput; p != nil {
		detail = fmt.Sprintf("provisioned, throttled above %d reads and %d writes a second", aws.ToInt64(p.ReadCapacityUnits), aws.ToInt64(p.WriteCapacityUnits))
	}
	return Finding{Name: "billing", OK: true, Detail: detail}
}

func checkStream(table *types.TableDescription) Finding {
	const name = "stream"
	view := viewType(table)
	switch {
	case view == "":
		return Finding{Name: name, OK: true, Detail: "off, a feed needs it"}
	case !hasNewImages(view):
		return Finding{Name: name, Detail: fmt.Sprintf("has the view type %s", view), Hint: streamHint}
	}
	return Finding{Name: name, OK: true, Detail: fmt.Sprintf("on, %s", view)}
}

func (s *Store) checkRecovery(ctx context.Context) Finding {
	const name = "point-in-time recovery"
	on, err := s.recoverable(ctx)
	switch {
	case err != nil:
		return failed(name, err)
	case on:
		return Finding{Name: name, OK: true, Detail: "on"}
	case s.options.Recovery:
		return Finding{Name: name, Detail: "off", Hint: switchOn}
	}
	return Finding{Name: name, OK: true, Detail: "off"}
}

const switchOn = "run ropewalk init again, which switches it on: the heads of packed chains have contents"

func checkProtection(table *types.TableDescription) Finding {
	const name = "deletion protection"
	if !aws.ToBool(table.DeletionProtectionEnabled) {
		return Finding{Name: name, Detail: "off", Hint: switchOn}
	}
	return Finding{Name: name, OK: true, Detail: "on"}
}
