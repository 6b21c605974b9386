package archive

import (
	"encoding/binary"
	"errors"
)

var errPage = errors.New("a page does not decode")

// runs reads small numbers in Parquet's hybrid of runs and packed bits. It decodes one
// number at a time: a few bytes can stand for billions.
type runs struct {
	data   []byte
	width  int    // bits of a number
	left   uint64 // numbers left in the run
	packed []byte // the packed run; nil in a run of one value
	bit    int    // where the next packed number begins
	value  uint32
}

// next returns the next number.
func (r *runs) next() (uint32, error) {
	for r.left == 0 {
		if err := r.begin(); err != nil {
			return 0, err
		}
	}
	r.left--
	if r.packed == nil {
		return r.value, nil
	}
	var value uint32
	for i := range r.width {
		at := r.bit + i
		value |= uint32(r.packed[at/8]>>(at%8)&1) << i
	}
	r.bit += r.width
	return value, nil
}

// begin begins the next run.
func (r *runs) begin() error {
	head, n := binary.Uvarint(r.data)
	if n <= 0 {
		return errPage
	}
	r.data = r.data[n:]
	r.left, r.packed = head>>1, nil
	size := uint64(r.width+7) / 8
	if head&1 == 1 {
		if r.left > uint64(len(r.data)) {
			return errPage
		}
		size = r.left * uint64(r.width)
		r.left *= 8
	}
	if size > uint64(len(r.data)) {
		return errPage
	}
	run := r.data[:size]
	r.data = r.data[size:]
	if head&1 == 1 {
		r.packed, r.bit = run, 0
		return nil
	}
	r.value = 0
	for i, b := range run {
		r.value |= uint32(b) << (8 * i)
	}
	return nil
}
