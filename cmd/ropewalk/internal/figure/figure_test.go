package figure

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/cmd/ropewalk/internal/visible"
	"ropewalk/inspect"
)

// sketches are graphs that figures are drawn of.
func sketches() map[string]*sketch {
	race := new(sketch).at(3, "44a9d3")
	race.add(pending, 4, "d00c4a", "44a9d3")
	race.add(committed, 3, "44a9d3", "0c55f1")
	race.add(lost, 3, "b81e07", "0c55f1").LostTo = race.ref(3, "44a9d3")
	race.add(committed, 2, "0c55f1", "9be210")
	race.add(committed, 1, "9be210", "7f2e10")
	race.add(committed, 0, "7f2e10", "")

	forks := new(sketch).at(12, "c1")
	forks.add(inspect.Ahead, 14, "e1", "d1").AfterRevision = 14
	forks.add(pending, 13, "d1", "c1")
	forks.add(pending, 13, "d2", "c1")
	forks.add(committed, 12, "c1", "b1").Part = changeset.Part{Number: 2, Of: 2}
	forks.add(lost, 12, "c2", "b2").LostTo = forks.ref(11, "b1")
	forks.add(lost, 12, "c3", "b2").LostTo = forks.ref(11, "b1")
	forks.add(committed, 11, "b1", "a1").Part = changeset.Part{Number: 1, Of: 2}
	forks.add(lost, 11, "b2", "a1").LostTo = forks.ref(11, "b1")
	forks.add(lost, 11, "b3", "a1").LostTo = forks.ref(11, "b1")
	forks.add(committed, 10, "a1", "91")
	forks.add(lost, 10, "a2", "91")
	forks.First = 10

	broken := new(sketch)
	broken.HeadFault = &inspect.Problem{Reason: `not a JSON "object": <&>`}
	broken.add(inspect.Missing, 2, "31", "")
	broken.add(committed, 1, "21", "").Fault = &inspect.Problem{Reason: "metadata has no valid format: \"\\N\x1b[31m`#quot;`\xff\u202e\""}
	broken.add(inspect.Unknown, 1, "22", "01")
	broken.add(inspect.Unknown, 0, "01", "")

	all := map[string]*sketch{"race": race, "forks": forks, "broken": broken, "none": new(sketch)}
	for name, s := range all {
		s.AggregateID = "order-4711"
		if name == "broken" {
			s.AggregateID = `a "<b>" & \ #日本`
		}
	}
	return all
}

var figures = map[string]func(inspect.Graph) ui.Safe{"mmd": Mermaid, "dot": Dot, "svg": SVG}

// The figures are in testdata/graph. With UPDATE_FIGURES=1 in the
// environment they are written there: look at them.
func TestFigures(t *testing.T) {
	for name, s := range sketches() {
		for format, draw := range figures {
			file, got := filepath.Join("testdata", "graph", name+"."+format), string(draw(s.Graph))
			if os.Getenv("UPDATE_FIGURES") != "" {
				require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), got, file)
		}
	}
}

// Labels stay labels for any text in them.
func TestFiguresAreWellFormed(t *testing.T) {
	dotLine := regexp.MustCompile(`^(digraph "([^"\\]|\\\\)*" \{|  [^"]*("([^"\\]|\\\\|\\n)*"[^"]*)*;|\})$`)
	mermaidLine := regexp.MustCompile(`^(flowchart TB|  \w+[(\[]+"([^"` + "`" + `<]|<br/>)*"[)\]]+:::\w+( --> n\d+)?|  \w+ (-->|-\.->) \w+|  classDef [^"]+)$`)
	for name, s := range sketches() {
		d := xml.NewDecoder(strings.NewReader(string(SVG(s.Graph))))
		for {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, name)
		}
		for line := range strings.Lines(string(Dot(s.Graph))) {
			require.Regexp(t, dotLine, strings.TrimSuffix(line, "\n"))
		}
		for line := range strings.Lines(string(Mermaid(s.Graph))) {
			require.Regexp(t, mermaidLine, strings.TrimSuffix(line, "\n"))
		}
		for format, draw := range figures {
			require.False(t, strings.ContainsFunc(strings.ReplaceAll(string(draw(s.Graph)), "\n", ""), visible.Hidden), "%s.%s", name, format)
		}
	}
}

func TestLabelsAreEscaped(t *testing.T) {
	require.Equal(t, `a#34;#91;#60;b#62;#93;#35;quot#59;#96;\u001b`, strings.ReplaceAll(quoteMermaid("a\"[<b>]#quot;`\x1b"), "#92;", `\`))
	require.Equal(t, `\\N &#34;a&#34; &amp;lt; \\u001b`, quoteDot("\\N \"a\" &lt; \x1b"))
}
