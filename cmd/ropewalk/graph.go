package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/figure"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/head"
	"ropewalk/inspect"
)

// nodeJSON is one changeset of a graph with --json.
type nodeJSON struct {
	ui.Kind
	Ref       string `json:"ref"`
	Aggregate string `json:"aggregate"`
	Version   uint64 `json:"version"`
	ID        string `json:"id"`
	// State is committed, pending, ahead, lost, missing or unknown. The fields
	// below are not known of one that is missing or does not decode.
	State         string      `json:"state"`
	Head          bool        `json:"head,omitempty"`
	Parent        string      `json:"parent,omitempty"`
	AfterRevision *uint64     `json:"after_revision,omitempty"`
	RecordedAt    string      `json:"recorded_at,omitempty"`
	Part          *partJSON   `json:"part,omitempty"`
	Commit        *commitJSON `json:"commit,omitempty"`
	// LostTo is the committed changeset that took the place of a lost append.
	LostTo string `json:"lost_to,omitempty"`
	// Fault is why the object does not decode.
	Fault string `json:"fault,omitempty"`
	// Where it is stored, or should be.
	*storedJSON
}

// graphFormats are the ways to draw a graph.
var graphFormats = map[string]func(*ui.Streams, inspect.Graph) error{
	"text":    figure.Text,
	"mermaid": func(std *ui.Streams, g inspect.Graph) error { return std.Print("%s", figure.Mermaid(g)) },
	"dot":     func(std *ui.Streams, g inspect.Graph) error { return std.Print("%s", figure.Dot(g)) },
	"svg":     func(std *ui.Streams, g inspect.Graph) error { return std.Print("%s", figure.SVG(g)) },
}

func newGraph(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var format string
	var last uint64
	formats := slices.Sorted(maps.Keys(graphFormats))
	cmd := &cobra.Command{
		Use:   "graph ID",
		Short: "Draw an aggregate's chain and the changesets beside it",
		Long: `Draw the latest versions of an aggregate's chain, the newest first, and beside
it the changesets that are stored but not in the chain. Contents are not read, and
nothing is proved: verify does that.

  *  committed
  ?  pending: its append may still be committed; settle refuses it for good
  x  lost: another append came first, and it can never be committed
  +  ahead: built on a revision that the head has not reached
  !  missing, does not decode, or its outcome is unknown

As mermaid, dot or svg it is a figure for a document, with the same marks and
with the ends of IDs: ropewalk graph order-4711 --format svg > order-4711.svg.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			draw := graphFormats[format]
			switch {
			case draw == nil:
				return cliexit.Usagef("--format %s: want %s", ui.Quote(format), strings.Join(formats, ", "))
			case std.JSON && cmd.Flags().Changed("format"):
				return cliexit.Usagef("--format and --json are two formats: use one of them")
			}
			return runGraph(cmd, std, stores, args[0], last, draw)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "draw it as `FORMAT`: "+strings.Join(formats, ", "))
	completeFlag(cmd, "format", formats, cobra.ShellCompDirectiveDefault)
	cmd.Flags().Uint64VarP(&last, "limit", "n", 100, "draw the latest `N` versions; 0 draws all")
	return cmd
}

func runGraph(cmd *cobra.Command, std *ui.Streams, stores *storeFlags, arg string, last uint64, draw func(*ui.Streams, inspect.Graph) error) error {
	id, err := reference.ParseID(arg)
	if err != nil {
		return err
	}
	return withStore(cmd.Context(), stores, func(s *store) error {
		g, err := inspect.New(s.objects, s.heads, nil).Graph(cmd.Context(), id, last)
		if err != nil {
			return err
		}
		if g.Head.State == head.Erased {
			return fmt.Errorf("chain %q: %w", id, ropewalk.ErrErased)
		}
		if std.JSON {
			draw = s.emitGraph
		}
		if err := draw(std, g); err != nil {
			return err
		}
		return brokenGraph(g)
	})
}

func (s *store) emitGraph(std *ui.Streams, g inspect.Graph) error {
	for _, n := range g.Nodes {
		out := newNodeJSON(n, g.Head)
		out.storedJSON = s.nodePlace(n)
		if err := std.Emit(out); err != nil {
			return err
		}
	}
	return nil
}

func newNodeJSON(n inspect.Node, h head.Head) nodeJSON {
	out := nodeJSON{
		Kind: ui.KindOf("node"), Ref: n.Ref.String(), Aggregate: n.AggregateID, Version: n.Version, ID: n.ID.String(),
		State: n.Kind.String(), Head: n.Ref == h.Ref,
	}
	if n.LostTo != (changeset.Ref{}) {
		out.LostTo = n.LostTo.String()
	}
	if n.Fault != nil {
		out.Fault = n.Fault.Reason
	}
	if !figure.HeaderKnown(n) {
		return out
	}
	out.AfterRevision, out.RecordedAt = &n.AfterRevision, changeset.FormatTime(n.RecordedAt)
	if !n.Parent.IsZero() {
		out.Parent = n.Parent.String()
	}
	out.Commit = newCommitJSON(n.Header)
	if n.Part != (changeset.Part{}) {
		out.Part = &partJSON{n.Part.Number, n.Part.Of}
	}
	return out
}

// brokenGraph returns an error if the graph shows a fault of the stored objects.
func brokenGraph(g inspect.Graph) error {
	broken := 0
	for _, n := range g.Nodes {
		if !figure.HeaderKnown(n) || n.Kind == inspect.Unknown {
			broken++
		}
	}
	var err error
	switch {
	case g.HeadFault != nil:
		err = fmt.Errorf("head of %s: %s (%s)", g.AggregateID, g.HeadFault.Reason, g.HeadFault.Object)
	case broken > 0 && g.Head.IsZero():
		err = fmt.Errorf("head of %s: it is missing", g.AggregateID)
	case broken > 0:
		err = fmt.Errorf("%s is broken: %s missing, not readable, or of unknown kind", g.AggregateID, ui.Plural(int64(broken), "changeset"))
	default:
		return nil
	}
	return cliexit.WithHint(cliexit.Wrap(cliexit.Corrupt, err), "ropewalk verify %s", reference.Operand(g.AggregateID))
}
