package main

import (
	"context"
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
	expectation
	commit       string // the file with the members
	contentType  string
	metadataList []string
	allowEmpty   bool
}

func newAppend(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var f appendFlags
	cmd := &cobra.Command{
		Use:   "append ID [FILE...] (--new | --after VERSION|REF|ETAG | --any)\n  ropewalk append --commit FILE",
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
command that failed; --allow-empty appends it.

--commit appends to several aggregates, all or none, in a store with its heads in
DynamoDB or in SQLite. Each line of FILE is a JSON object: a changeset, with
"aggregate", with "content", "content_text" or "content_base64", and perhaps with
"content_type" and "metadata"; or "unchanged":true, for an aggregate that must be as
it is expected. The first line of an aggregate has what is expected: "new":true,
"after":VERSION (or "REF" or "ETAG") or "any":true. A commit has at most 100
aggregates, 256 changesets and 64 MiB. With --command-id the whole commit is
idempotent.`,
		Example: `  echo '{"type":"created"}' | ropewalk append order-4711 --new
  ropewalk append order-4711 invoice.pdf --after 0 --meta correlation-id=91c2
  ropewalk append order-4711 paid.json --after 1 --command-id payment-17
  ropewalk append --commit - <<'END'
  {"aggregate":"order-4711","new":true,"content":{"type":"placed"}}
  {"aggregate":"stock-7","after":12,"content":{"type":"reserved"}}
  {"aggregate":"customer-9","after":3,"unchanged":true}
  END`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("commit") {
				return nil
			}
			return cobra.MinimumNArgs(1)(cmd, args)
		},
		ValidArgsFunction: filesAfterID,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.afterGiven = cmd.Flags().Changed("after")
			if cmd.Flags().Changed("commit") {
				return runTogether(cmd, std, stores, f, args)
			}
			return runAppend(cmd, std, stores, f, args[0], args[1:])
		},
	}
	f.define(cmd)
	return cmd
}

// define defines the flags.
func (f *appendFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.create, "new", false, "the chain must not exist yet")
	flags.StringVar(&f.after, "after", "", "the newest changeset: `VERSION`, reference or ETag")
	flags.BoolVar(&f.any, "any", false, "append to any chain, existing or not")
	flags.StringVar(&f.commandID, "command-id", "", "`KEY` that makes the append idempotent, with --new or --after")
	flags.StringVar(&f.commit, "commit", "", "append to several aggregates, all or none: the lines of `FILE`, or - for stdin")
	flags.StringVar(&f.contentType, "type", "", "content `TYPE` (default: by the files' names and contents)")
	flags.StringArrayVar(&f.metadataList, "meta", nil, "metadata `KEY=VALUE`, for each changeset (repeatable)")
	flags.BoolVar(&f.allowEmpty, "allow-empty", false, "append empty content as well")
}

func runAppend(cmd *cobra.Command, std *ui.Streams, stores *storeFlags, f appendFlags, idArg string, files []string) error {
	id, err := reference.ParseNewID(idArg)
	if err != nil {
		return err
	}
	if err := f.check(expectationWords{"--new", "--after", "--after VERSION", "--any"}); err != nil {
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
		if after, err = f.head(ctx, s, chain); err == nil {
			newest, err = chain.Append(ctx, after, drafts...)
		}
	}
	return after, newest, err
}
