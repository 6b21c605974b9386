package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/inspector"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// uiJSON is the link of the inspector with --json.
type uiJSON struct {
	ui.Kind
	URL   string `json:"url"`
	Store string `json:"store"`
}

// uiFlags are the flags of ui.
type uiFlags struct {
	listen string
	open   bool
}

func newUI(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var f uiFlags
	cmd := &cobra.Command{
		Use:   "ui",
		Short: "Show the store in a browser, read-only",
		Long: `Show the store in a browser on this machine, until interrupted: its aggregates, their
chains with the forks and what is left over of lost appends, each changeset with its
content, its proofs and where it is stored, differences, the feed and its subscriptions,
and the changes as they come. Nothing can be changed.

Open the link that is printed. It has a token, and a browser with the link can read the
store while the command runs; programs and web sites without the link cannot. Only
this machine reaches the address.`,
		Example: `  ropewalk ui
  ropewalk ui --open
  ropewalk ui --listen 127.0.0.1:8080`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd.Context(), stores, func(s *store) error { return runUI(cmd.Context(), std, stores, s, f) })
		},
	}
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:0", "listen on this loopback `ADDRESS`; port 0 is any free port")
	completeFlag(cmd, "listen", []string{"127.0.0.1:0"}, cobra.ShellCompDirectiveDefault)
	cmd.Flags().BoolVar(&f.open, "open", false, "open the link in the browser as well")
	return cmd
}

func runUI(ctx context.Context, std *ui.Streams, stores *storeFlags, s *store, f uiFlags) error {
	l, err := inspector.Listen(ctx, f.listen)
	if _, ok := errors.AsType[*inspector.AddressError](err); ok {
		return cliexit.WithHint(cliexit.Wrap(cliexit.Usage, err), "from another machine, forward a port: ssh -L 8080:127.0.0.1:8080 HOST")
	}
	if err != nil {
		return cliexit.Wrap(cliexit.Failed, err)
	}
	site := inspector.New(&uiSource{s, std, stores.url()}, inspector.Options{Store: std.Redacted(stores.url()), Address: l.Addr().String()})
	// The link is printed before the first request is answered, and the system keeps the requests until then.
	if err := printLink(std, stores, site.Link()); err != nil {
		return errors.Join(err, l.Close())
	}
	if f.open {
		if err := openBrowser(ctx, site.Link()); err != nil {
			std.Warn("no browser could be opened: %v", err)
		}
	}
	return inspector.Serve(ctx, l, site)
}

func printLink(std *ui.Streams, stores *storeFlags, url string) error {
	if std.JSON {
		return std.Emit(uiJSON{ui.KindOf("ui"), url, std.Redacted(stores.url())})
	}
	return std.Print("%s\n", url)
}

// openBrowser opens a link as the system does it.
func openBrowser(ctx context.Context, url string) error {
	name, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	}
	if err := exec.CommandContext(ctx, name, args...).Start(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
