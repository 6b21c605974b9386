package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"ropewalk/head"
	"ropewalk/internal/awscall"
)

// provisionTime is how long Provision waits for the table at most.
const provisionTime = 3 * time.Minute

// Provision makes sure that the table exists and is active, enables its stream with
// the view type NEW_IMAGE, and switches deletion protection and point-in-time recovery
// on where the options say so. A new table has on-demand billing; an existing table keeps its settings,
// but must have the right key, and no stream of a view type without new images.
// It may be repeated, and called by many at the same time. It returns the
// context's error, a [*SetupError] and DynamoDB's own.
func (s *Store) Provision(ctx context.Context) error {
	if err := s.provision(ctx); err != nil {
		return fmt.Errorf("provision table %s: %w", s.table, err)
	}
	return nil
}

func (s *Store) provision(ctx context.Context) error {
	if err := s.create(ctx); err != nil {
		return err
	}
	table, err := s.wait(ctx, func(*types.TableDescription) bool { return true })
	if err != nil {
		return err
	}
	if !hasKey(table) {
		return &SetupError{What: "its key is not " + head.FieldAggregateID + " (string)", Hint: "choose the name of another table"}
	}
	if err := s.enableStream(ctx, table); err != nil {
		return err
	}
	if err := s.protect(ctx, table); err != nil {
		return err
	}
	return s.enableRecovery(ctx)
}

// create creates the table unless it exists.
func (s *Store) create(ctx context.Context) error {
	_, err := s.describe(ctx)
	if awscall.Code(err) != codeNoTable {
		return err
	}
	_, err = do(ctx, s, s.client.CreateTable, &dynamodb.CreateTableInput{
		TableName:                 &s.table,
		BillingMode:               types.BillingModePayPerRequest,
		DeletionProtectionEnabled: &s.options.Protection,
		StreamSpecification:       newImages,
		AttributeDefinitions:      []types.AttributeDefinition{{AttributeName: aws.String(head.FieldAggregateID), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:                 []types.KeySchemaElement{{AttributeName: aws.String(head.FieldAggregateID), KeyType: types.KeyTypeHash}},
	})
	switch {
	case awscall.Code(err) == codeInUse: // another one was faster
		return nil
	case err != nil:
		return err
	}
	s.log.DebugContext(ctx, "created a table", "table", s.table)
	return nil
}

func (s *Store) describe(ctx context.Context) (*types.TableDescription, error) {
	out, err := do(ctx, s, s.client.DescribeTable, &dynamodb.DescribeTableInput{TableName: &s.table})
	if err != nil {
		return nil, err
	}
	return tableOf(out)
}

// tableOf returns the described table, which every such reply has.
func tableOf(out *dynamodb.DescribeTableOutput) (*types.TableDescription, error) {
	if out.Table == nil || out.Table.TableStatus == "" || len(out.Table.KeySchema) == 0 {
		return nil, awscall.Foreign(service, errors.New("the reply does not describe the table"))
	}
	return out.Table, nil
}

// wait returns the table once it is active and as it should be.
func (s *Store) wait(ctx context.Context, asItShould func(*types.TableDescription) bool) (*types.TableDescription, error) {
	ctx, cancel := context.WithTimeout(ctx, provisionTime)
	defer cancel()
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		table, err := s.describe(ctx)
		if err == nil && table.TableStatus == types.TableStatusActive && asItShould(table) {
			return table, nil
		}
		if err != nil && awscall.Code(err) != codeNoTable {
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, fmt.Errorf("it has not become active: %w", errors.Join(ctx.Err(), err))
		}
	}
}

// hasKey reports whether the table's key is the one that items are stored by.
func hasKey(table *types.TableDescription) bool {
	if len(table.KeySchema) != 1 || aws.ToString(table.KeySchema[0].AttributeName) != head.FieldAggregateID {
		return false
	}
	for _, a := range table.AttributeDefinitions {
		if aws.ToString(a.AttributeName) == head.FieldAggregateID {
			return a.AttributeType == types.ScalarAttributeTypeS
		}
	}
	return false
}

// newImages are the settings of a stream whose records bring the heads along.
var newImages = &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewImage}

// viewType returns what the records of the table's stream hold; empty if no stream
// is enabled.
func viewType(table *types.TableDescription) types.StreamViewType {
	if spec := table.StreamSpecification; spec != nil && aws.ToBool(spec.StreamEnabled) {
		return spec.StreamViewType
	}
	return ""
}

func hasNewImages(view types.StreamViewType) bool {
	return view == types.StreamViewTypeNewImage || view == types.StreamViewTypeNewAndOldImages
}

// enableStream enables the table's stream where none is, and waits until the table is
// active with it. Another process may be faster, or may be changing the table.
func (s *Store) enableStream(ctx context.Context, table *types.TableDescription) error {
	if view := viewType(table); view != "" {
		return checkView(view)
	}
	err := awscall.Retry(ctx, s.log, map[string]bool{codeInUse: true}, func() error {
		_, err := do(ctx, s, s.client.UpdateTable, &dynamodb.UpdateTableInput{TableName: &s.table, StreamSpecification: newImages})
		if err == nil {
			s.log.DebugContext(ctx, "enabled a stream", "table", s.table)
			return nil
		}
		latest, failed := s.describe(ctx)
		if failed == nil && viewType(latest) != "" {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	table, err = s.wait(ctx, func(t *types.TableDescription) bool { return viewType(t) != "" })
	if err != nil {
		return err
	}
	return checkView(viewType(table))
}

func checkView(view types.StreamViewType) error {
	if hasNewImages(view) {
		return nil
	}
	return &SetupError{What: fmt.Sprintf("its stream has the view type %s", view), Hint: streamHint}
}

const streamHint = "disable the stream, or choose the name of another table, and run ropewalk init again: the view type must be NEW_IMAGE or NEW_AND_OLD_IMAGES"

// protect switches deletion protection on where it is off. DynamoDB makes one change of
// a table at a time.
func (s *Store) protect(ctx context.Context, table *types.TableDescription) error {
	if !s.options.Protection || aws.ToBool(table.DeletionProtectionEnabled) {
		return nil
	}
	return awscall.Retry(ctx, s.log, map[string]bool{codeInUse: true}, func() error {
		_, err := do(ctx, s, s.client.UpdateTable, &dynamodb.UpdateTableInput{TableName: &s.table, DeletionProtectionEnabled: aws.Bool(true)})
		return err
	})
}

// enableRecovery switches point-in-time recovery on where it is off. DynamoDB is not
// always ready for that right after the table has become active.
func (s *Store) enableRecovery(ctx context.Context) error {
	if !s.options.Recovery {
		return nil
	}
	if on, err := s.recoverable(ctx); on || err != nil {
		return err
	}
	again := map[string]bool{"ContinuousBackupsUnavailableException": true, codeInUse: true}
	return awscall.Retry(ctx, s.log, again, func() error {
		_, err := do(ctx, s, s.client.UpdateContinuousBackups, &dynamodb.UpdateContinuousBackupsInput{
			TableName:                        &s.table,
			PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
		})
		return err
	})
}

func (s *Store) recoverable(ctx context.Context) (bool, error) {
	out, err := do(ctx, s, s.client.DescribeContinuousBackups, &dynamodb.DescribeContinuousBackupsInput{TableName: &s.table})
	if err != nil {
		return false, err
	}
	d := out.ContinuousBackupsDescription
	if d == nil || d.PointInTimeRecoveryDescription == nil {
		return false, awscall.Foreign(service, errors.New("the reply does not describe point-in-time recovery"))
	}
	return d.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus == types.PointInTimeRecoveryStatusEnabled, nil
}
