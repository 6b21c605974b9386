package s3store

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"
)

func TestGuard(t *testing.T) {
	empty, tag := aws.String(""), aws.String(`"1"`)
	for _, in := range []any{
		&s3.PutObjectInput{}, &s3.PutObjectInput{IfMatch: empty}, &s3.PutObjectInput{IfNoneMatch: empty},
		&s3.PutObjectInput{IfMatch: tag, IfNoneMatch: empty}, &s3.GetObjectInput{IfNoneMatch: empty},
	} {
		require.Error(t, guard(in))
	}
	for _, in := range []any{
		&s3.PutObjectInput{IfMatch: tag}, &s3.PutObjectInput{IfNoneMatch: aws.String("*")},
		&s3.GetObjectInput{}, &s3.GetObjectInput{IfNoneMatch: tag}, &s3.DeleteObjectInput{},
	} {
		require.NoError(t, guard(in))
	}
}
