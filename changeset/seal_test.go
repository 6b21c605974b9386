package changeset

import "encoding/binary"

// SealBinary appends the check of a binary form.
func SealBinary(ref Ref, b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, checkOf(ref, b))
}
