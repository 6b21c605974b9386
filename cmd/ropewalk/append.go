package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/head"
)

// appendFlags are the flags of append.
type appendFlags struct {
	create, any  bool
	after        string
	commandID    string
	contentType  string
	metadataList []string
	allowEmpty   bool
}

func newAppend(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var f appendFlags
	cmd := &cobra.Command{
		Use:   "append ID [FILE...] (--new | --after VERSION|REF|ETAG | --any)",
		Short: "Append changesets to an aggregate's chain",
		Long: `Append one changeset for each file, all or none, to an aggregate's chain, and
print their references. Without files, and for the file -, content comes from
standard input.

A flag must say what is expected of the chain: --new, that it does not exist;
--after, that this is its newest changeset, by version, reference or ETag; --any,
nothing. If the chain differs, nothing is committed, and the exit code is 4. If
the outcome is unknown, the exit code is 5, and the ropewalk settle line that is
printed finds it out.

With --command-id an append is idempotent: repeated after the same changeset, or
with --new, it returns the references of the first time. --command-id does not go
with --any: after another changeset the content would be stored again.

Empty content is refused with exit code 2, since it is usually the output of a
command that failed; --allow-empty appends it.`,
		Example: `  echo '{"type":"created"}' | ropewalk append order-4711 --new
  ropewalk append order-4711 invoice.pdf --after 0 --meta correlation-id=91c2
  ropewalk append order-4711 paid.json --after 1 --command-id payment-17`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: filesAfterID,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runAppend(cmd, std, stores, f, args[0], args[1:])
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.create, "new", false, "the chain must not exist yet")
	flags.StringVar(&f.after, "after", "", "the newest changeset: `VERSION`, reference or ETag")
	flags.BoolVar(&f.any, "any", false, "append to any chain, existing or not")
	flags.StringVar(&f.commandID, "command-id", "", "`KEY` that makes the append idempotent, with --new or --after")
	flags.StringVar(&f.contentType, "type", "", "content `TYPE` (default: by the files' names and contents)")
	flags.StringArrayVar(&f.metadataList, "meta", nil, "metadata `KEY=VALUE`, for each changeset (repeatable)")
	flags.BoolVar(&f.allowEmpty, "allow-empty", false, "append empty content as well")
	return cmd
}

func runAppend(cmd *cobra.Command, std *ui.Streams, stores *storeFlags, f appendFlags, idArg string, files []string) error {
	id, err := reference.ParseNewID(idArg)
	if err != nil {
		return err
	}
	if err := f.check(cmd.Flags().Changed("after")); err != nil {
		return err
	}
	metadata, err := parseMetadata(f.metadataList)
	if err != nil {
		return err
	}
	drafts, err := readDrafts(cmd.Context(), std, files, f)
	if err != nil {
		return err
	}
	for i := range drafts {
		drafts[i].CommandID, drafts[i].Metadata = f.commandID, metadata
		if err := drafts[i].Validate(); err != nil {
			return err // before a store is created for it
		}
	}
	return withNewStore(cmd.Context(), stores, func(s *store) error {
		after, newest, err := f.append(cmd.Context(), s, s.Chain(id), drafts)
		if err != nil {
			return err
		}
		return printAppended(cmd.Context(), std, s, after, newest)
	})
}

func (f appendFlags) check(afterGiven bool) error {
	given := 0
	for _, is := range []bool{f.create, f.any, afterGiven} {
		if is {
			given++
		}
	}
	if given != 1 {
		return cliexit.WithHint(cliexit.Usagef("exactly one of --new, --after and --any is required"),
			"--new begins a chain, --after VERSION continues it, --any appends in any case")
	}
	if f.any && f.commandID != "" {
		return cliexit.WithHint(cliexit.Usagef("--any and --command-id do not go together: after another changeset the content would be stored again"),
			"--after VERSION --command-id KEY stores it once, however often it is sent")
	}
	return nil
}

func parseMetadata(list []string) (map[string]string, error) {
	metadata := map[string]string{}
	for _, pair := range list {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, cliexit.Usagef("--meta %q: want KEY=VALUE", pair)
		}
		if _, repeated := metadata[key]; repeated {
			return nil, cliexit.Usagef("--meta %q: the key is repeated", pair)
		}
		metadata[key] = value
	}
	return metadata, nil
}

// append appends the drafts after the head that the flags name, and returns
// that head and the new one.
func (f appendFlags) append(ctx context.Context, s *store, chain *ropewalk.Chain, drafts []changeset.Draft) (after, newest head.Head, err error) {
	switch {
	case f.create:
		newest, err = chain.Create(ctx, drafts...)
	case f.any:
		newest, err = chain.Update(ctx, func(_ context.Context, r *ropewalk.Reader) ([]changeset.Draft, error) {
			after = r.Head()
			return drafts, nil
		})
	default:
		if after, err = f.expected(ctx, s, chain); err == nil {
			newest, err = chain.Append(ctx, after, drafts...)
		}
	}
	return after, newest, err
}

// expected returns the head that --after names. If the chain has another head, it
// returns the conflict at once, unless the append has a command ID: the head may
// then be the result of an earlier try.
func (f appendFlags) expected(ctx context.Context, s *store, chain *ropewalk.Chain) (head.Head, error) {
	r, err := reference.ParseAfter(chain.AggregateID(), f.after)
	if err != nil {
		return head.Head{}, err
	}
	h, err := chain.Head(ctx)
	if errors.Is(err, ropewalk.ErrNotFound) {
		err = cliexit.WithHint(err, "--new begins the chain")
	}
	if err != nil {
		return head.Head{}, err
	}
	if r.Form == reference.Single && r.First == h.Version {
		return h, nil
	}
	named := changeset.Ref{AggregateID: r.ID, Version: r.First}
	if r.Form == reference.Exact {
		l, err := s.locateExact(ctx, r)
		if err != nil || l.ref == h.Ref {
			return h, err
		}
		named = l.ref
	}
	refused := &ropewalk.ConflictError{Expected: head.Head{Ref: named}, Actual: h}
	if f.commandID == "" || r.First >= h.Version {
		return head.Head{}, refused
	}
	expected, err := chain.HeadAt(ctx, r.First)
	if err == nil && !named.ID.IsZero() && expected.ID != named.ID {
		err = refused
	}
	return expected, err
}
