// Package permits has a log of building permits for tests: events of many aggregates,
// interleaved, one JSON object a line.
package permits

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// Line is an event of a permit.
type Line struct {
	Aggregate string    `json:"aggregate"`
	Type      string    `json:"type"`
	Time      time.Time `json:"time"`
	// Data is a JSON object with the members instance, group, resource, channel,
	// department and responsible. Its instance is another one for each line.
	Data json.RawMessage `json:"data"`
	// Text is the whole line as it stands, with its end.
	Text []byte `json:"-"`
}

// Log returns the lines of the file that the variable ROPEWALK_TEST_PERMITS names, or
// makes n lines of the same form, always the same.
func Log(n int) (lines []Line, err error) {
	text := made(n)
	if path := os.Getenv("ROPEWALK_TEST_PERMITS"); path != "" {
		if text, err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	for line := range bytes.Lines(text) {
		l := Line{Text: line}
		if err := json.Unmarshal(line, &l); err != nil {
			return nil, err
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// made makes permits of different lengths. The types and the data have characters that
// need care, and space that belongs to the text.
func made(n int) []byte {
	var b bytes.Buffer
	at := time.Date(2010, 10, 2, 9, 20, 39, 266e6, time.FixedZone("", 7200))
	for i := range n {
		fmt.Fprintf(&b, `{"aggregate":"case-%d","type":"T%02d Step, 100%%","time":%q,"data":{"instance":"task-%d", "group":"Größe %d","resource":"Resource%02d","channel":"Desk","department":"General %d","responsible":"Resource00"}}`+"\n",
			i*i%97, i%37, at.Add(time.Duration(i)*time.Minute).Format(time.RFC3339Nano), i, i%4, i%7, i%3)
	}
	return b.Bytes()
}
