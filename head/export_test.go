package head

// DecodeFlat is the fast way of DecodeJSON, and of DecodeRow if ancestors and digest are
// beside the record.
func DecodeFlat(record string, beside map[string]string) (Head, error) {
	rest, tip := cutTip([]byte(record))
	return decodeFlat([]byte(record), rest, tip, beside)
}

// DecodeByJSON is the way by package json.
func DecodeByJSON(record string, beside map[string]string) (Head, error) {
	rest, tip := cutTip([]byte(record))
	return decodeByJSON([]byte(record), rest, tip, beside)
}
