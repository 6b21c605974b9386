package main

import (
	"bytes"
	"io"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/ui"
)

// completionJSON is the result of completion with --json.
type completionJSON struct {
	ui.Kind
	Shell  string `json:"shell"`
	Script string `json:"script"`
}

func newCompletion(std *ui.Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a completion script for a shell",
		Long: `Print a script that completes commands and flags. Aggregate IDs are not
completed, since a TAB would cost requests.

  bash:        source <(ropewalk completion bash)
  zsh:         ropewalk completion zsh > "${fpath[1]}/_ropewalk"
  fish:        ropewalk completion fish > ~/.config/fish/completions/ropewalk.fish
  PowerShell:  ropewalk completion powershell | Out-String | Invoke-Expression`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			var script bytes.Buffer
			if err := generate(cmd.Root(), args[0], &script); err != nil {
				return err
			}
			if std.JSON {
				return std.Emit(completionJSON{ui.KindOf("completion"), args[0], script.String()})
			}
			_, err := script.WriteTo(std.Out)
			return err
		},
	}
}

func generate(root *cobra.Command, shell string, w io.Writer) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(w, true)
	case "zsh":
		return root.GenZshCompletion(w)
	case "fish":
		return root.GenFishCompletion(w, true)
	default:
		return root.GenPowerShellCompletionWithDesc(w)
	}
}
