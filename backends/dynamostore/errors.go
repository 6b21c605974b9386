package dynamostore

import (
	"fmt"
	"strings"

	"ropewalk/internal/awscall"
	"ropewalk/internal/finding"
)

const (
	codeNoTable = "ResourceNotFoundException"
	codeInUse   = "ResourceInUseException"
	codeInvalid = "ValidationException"

	// The codes of DynamoDB Streams. A stream or a shard that is gone has the code of
	// a missing table.
	codeExpired = "ExpiredIteratorException"
	codeTrimmed = "TrimmedDataAccessException"
)

// again are the codes with which DynamoDB asks to repeat a request, beyond the
// SDK's own repetitions.
var again = map[string]bool{
	"ProvisionedThroughputExceededException": true, "RequestLimitExceeded": true, "ThrottlingException": true,
}

// slower are the codes with which DynamoDB Streams asks to repeat a request later.
var slower = map[string]bool{
	"LimitExceededException": true, "ProvisionedThroughputExceededException": true, "RequestLimitExceeded": true, "ThrottlingException": true,
}

// refusals are the codes by which DynamoDB refuses a conditional write before
// it takes effect.
var refusals = awscall.Refusals{
	"ProvisionedThroughputExceededException": true, "ReplicatedWriteConflictException": true,
	"RequestLimitExceeded": true, "ThrottlingException": true, "TransactionConflictException": true,

	codeNoTable: false, codeInUse: false, "InvalidEndpointException": false,
	"ItemCollectionSizeLimitExceededException": false, "SerializationException": false,
	"UnknownOperationException": false, codeInvalid: false,
}

// tooLarge begins the message about an item that is too large. The code alone has other
// causes.
const tooLarge = "Item size"

// explain returns an error of the SDK with what people should do about it,
// where that is known.
func (s *Store) explain(call *awscall.Call, err error) error {
	switch code := awscall.Code(err); {
	case code == codeNoTable:
		return &finding.SetupError{
			What: fmt.Sprintf("table %s does not exist in region %q", s.table, s.calls.Region),
			Hint: "create it with ropewalk init, or check its name and region", Err: err,
		}
	case code == codeInvalid && strings.Contains(err.Error(), tooLarge):
		return &finding.SetupError{
			What: "the head is larger than the 400 KB that DynamoDB takes for an item",
			Hint: "make tips smaller, by tip=BYTES in the URL or Options.TipSize, and remove attributes that other programs have added to the item", Err: err,
		}
	}
	return call.Setup(err)
}
