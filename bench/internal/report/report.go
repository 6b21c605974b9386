// Package report holds what the benchmarks have measured, and writes it: as
// JSON, as SVG plots, and as the page of all results.
package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Row is one line of a table: one variant in one situation.
type Row struct {
	// Name is who was measured.
	Name string `json:"name"`
	// What is the work that was measured.
	What string `json:"what"`
	// N is how many changesets or events there are; 0 where that says nothing.
	N int `json:"n,omitempty"`
	// Value is what was measured, in Unit; its Runs are 0 where nothing was.
	Value Stat   `json:"value"`
	Unit  string `json:"unit,omitempty"`
	// Ratio compares, within the same run, with what RatioTo names.
	Ratio   *Stat  `json:"ratio,omitempty"`
	RatioTo string `json:"ratio_to,omitempty"`
	// Trips are dependent round trips; Requests are all requests. 0 means that
	// they were not counted.
	Trips    int `json:"trips,omitempty"`
	Requests int `json:"requests,omitempty"`
	// Note says whatever else must be known.
	Note string `json:"note,omitempty"`
	// Target is what was aimed at, and Met whether this run reached it.
	Target string `json:"target,omitempty"`
	Met    bool   `json:"met,omitempty"`
}

// Aim sets what the row was to reach, and whether it did.
func (r Row) Aim(target string, met bool) Row {
	r.Target, r.Met = target, met
	return r
}

// Against sets the ratio, and to what.
func (r Row) Against(ratio Stat, to string) Row {
	r.Ratio, r.RatioTo = &ratio, to
	return r
}

// Results are what one run of one experiment gave.
type Results struct {
	// Name is the experiment's name, and its file's.
	Name  string `json:"name"`
	Title string `json:"title"`
	// Setup says what was done, in a paragraph or more.
	Setup string `json:"setup"`
	// Command repeats it.
	Command string  `json:"command"`
	Machine Machine `json:"machine"`
	// Peers are the versions of what it was compared with, and of the servers.
	Peers   []string  `json:"peers,omitempty"`
	Seed    uint64    `json:"seed"`
	Date    time.Time `json:"date"`
	Seconds float64   `json:"seconds"`
	// Quick says that sizes and repetitions were cut down: a test, no figure to quote.
	Quick bool `json:"quick,omitempty"`
	// Conditions says what else ran on the machine, by its load at the start and the end.
	Conditions string `json:"conditions,omitempty"`
	Rows       []Row  `json:"rows"`
	Plots      []Plot `json:"plots,omitempty"`
	// Limits say what limits each figure, and what would be next.
	Limits []string `json:"limits"`
}

// Machine is where it ran.
type Machine struct {
	CPU   string `json:"cpu"`
	Cores int    `json:"cores"`
	OS    string `json:"os"`
	Go    string `json:"go"`
	Disk  string `json:"disk,omitempty"`
}

func (m Machine) String() string {
	text := fmt.Sprintf("%s, %d cores, %s, %s", m.CPU, m.Cores, m.OS, m.Go)
	if m.Disk != "" {
		text += ", " + m.Disk
	}
	return text
}

// Save writes the results to their file in the folder.
func (r Results) Save(folder string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return write(filepath.Join(folder, r.Name+".json"), append(text, '\n'))
}

// Load reads the results of an experiment from the folder; its error matches
// fs.ErrNotExist where it has not run yet.
func Load(folder, name string) (Results, error) {
	var r Results
	text, err := os.ReadFile(filepath.Join(folder, name+".json"))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

func write(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// String returns the row as one line of a log.
func (r Row) String() string {
	text := strings.TrimSuffix(r.Name+", "+r.What, ", ")
	for _, c := range columns[2:] {
		if cell := c.cell(r); cell != "" {
			text += "; " + c.head + " " + cell
		}
	}
	return text
}
