package dynamostore

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"ropewalk/head"
)

// update returns the write that replaces old by next, or creates next if old is
// the zero Head.
func (s *Store) update(old, next head.Head) *dynamodb.UpdateItemInput {
	e := newExpressions()
	assignments := make([]string, 0, len(names))
	var is map[string]types.AttributeValue
	if !old.IsZero() {
		is = attributes(old)
	}
	fields := attributes(next)
	for _, name := range names {
		if fields[name] == nil {
			continue
		}
		if old.Exists() && next.Formats == (head.Formats{}) && formats[name] {
			continue // next does not know them; the item does
		}
		if !alwaysSent[name] && reflect.DeepEqual(is[name], fields[name]) {
			continue // the condition proves that the item has it
		}
		assignments = append(assignments, e.term(name, "=", "new", fields[name]))
	}
	update := "SET " + strings.Join(assignments, ", ")
	if removed := e.removed(is, fields); len(removed) > 0 {
		update += " REMOVE " + strings.Join(removed, ", ")
	}
	in := &dynamodb.UpdateItemInput{
		TableName:                           &s.table,
		Key:                                 s.itemKey(next.AggregateID),
		UpdateExpression:                    &update,
		ConditionExpression:                 aws.String(e.condition(old, is)),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	in.ExpressionAttributeNames, in.ExpressionAttributeValues = e.names, e.values
	return in
}

// formats are the fields that say which versions may read and replace the item.
var formats = map[string]bool{head.FieldFormat: true, head.FieldMinReader: true, head.FieldMinWriter: true}

// alwaysSent are the fields that the condition does not determine. In a restored table,
// two records that meet one condition may differ in them.
var alwaysSent = map[string]bool{head.FieldState: true, head.FieldUpdatedAt: true, head.FieldCheckpoint: true}

// expressions are the names and values that a write's expressions stand for.
type expressions struct {
	names  map[string]string
	values map[string]types.AttributeValue
}

func newExpressions() expressions {
	return expressions{names: make(map[string]string, len(names)), values: make(map[string]types.AttributeValue, 2*len(names))}
}

// removed returns the names of the attributes that the item has and the head has not.
func (e expressions) removed(is, next map[string]types.AttributeValue) (names []string) {
	for _, name := range optional {
		if is[name] != nil && next[name] == nil {
			names = append(names, e.name(name))
		}
	}
	return names
}

// condition demands that the item is old, with the attributes that are given, and that
// this version may replace it.
func (e expressions) condition(old head.Head, is map[string]types.AttributeValue) string {
	if old.IsZero() {
		return "attribute_not_exists(" + e.name(head.FieldAggregateID) + ")"
	}
	var terms []string
	for _, name := range []string{head.FieldRevision, head.FieldVersion, head.FieldChangesetID, head.FieldDigest} {
		terms = append(terms, e.term(name, "=", "old", is[name]))
	}
	// Two records of a packed chain may differ in the object index alone.
	if index := is[head.FieldIndex]; index != nil {
		terms = append(terms, e.term(head.FieldIndex, "=", "old", index))
	} else if old.IsPacked() {
		terms = append(terms, "attribute_not_exists("+e.name(head.FieldIndex)+")")
	}
	own := &types.AttributeValueMemberN{Value: strconv.FormatUint(old.KnownFormat(), 10)}
	return strings.Join(append(terms, e.term(head.FieldMinWriter, "<=", "own", own)), " AND ")
}

// sameContent demands that the item has the content of old, at any revision.
func (e expressions) sameContent(old head.Head) string {
	if !old.Exists() {
		void := &types.AttributeValueMemberS{Value: string(head.Void)}
		return "attribute_not_exists(" + e.name(head.FieldAggregateID) + ") OR " + e.term(head.FieldState, "=", "old", void)
	}
	is := attributes(old)
	var terms []string
	for _, name := range []string{head.FieldVersion, head.FieldChangesetID, head.FieldDigest, head.FieldState} {
		terms = append(terms, e.term(name, "=", "old", is[name]))
	}
	for _, name := range []string{head.FieldMovedTo, head.FieldMovingTo} {
		terms = append(terms, "attribute_not_exists("+e.name(name)+")")
	}
	return strings.Join(terms, " AND ")
}

func (e expressions) term(name, operator, kind string, value types.AttributeValue) string {
	placeholder := ":" + kind + "_" + aliases[name][1:]
	e.values[placeholder] = value
	return e.name(name) + " " + operator + " " + placeholder
}

// name returns the alias of an attribute.
func (e expressions) name(attribute string) string {
	alias := aliases[attribute]
	e.names[alias] = attribute
	return alias
}

// names are the fields of a head, sorted.
var names = slices.Sorted(maps.Keys(kinds))

// aliases are how expressions name the fields: names with hyphens need an alias.
var aliases = func() map[string]string {
	all := map[string]string{}
	for _, name := range names {
		all[name] = "#" + strings.ReplaceAll(name, "-", "_")
	}
	return all
}()
