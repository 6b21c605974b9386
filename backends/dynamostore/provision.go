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

// Provision makes sure that the table exists and is active, and switches
// point-in-time recovery on where the options say so. A new table has on-demand
// billing; an existing table keeps its settings, but must have the right key.
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
	table, err := s.wait(ctx)
	if err != nil {
		return err
	}
	if !hasKey(table) {
		return &SetupError{What: "its key is not " + head.FieldAggregateID + " (string)", Hint: "choose the name of another table"}
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

// wait returns the table once it is active.
func (s *Store) wait(ctx context.Context) (*types.TableDescription, error) {
	ctx, cancel := context.WithTimeout(ctx, provisionTime)
	defer cancel()
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		table, err := s.describe(ctx)
		if err == nil && table.TableStatus == types.TableStatusActive {
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
