package main

import (
	"embed"
	"strings"

	"ropewalk/cmd/ropewalk/internal/ui"

	"github.com/spf13/cobra"
)

// schemas holds a JSON Schema for each kind of object that --json prints, and
// one for its errors.
//
//go:embed schema
var schemas embed.FS

func newSchema(std *ui.Streams) *cobra.Command {
	names := schemaNames()
	return &cobra.Command{
		Use:       "schema KIND",
		Short:     "Print the JSON Schema of an object that --json prints",
		Long:      "Print the JSON Schema of one kind of object that --json prints:\n" + strings.Join(names, ", ") + ".",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: names,
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := schemas.ReadFile("schema/" + args[0] + ".json")
			if err != nil {
				return err
			}
			_, err = std.Out.Write(text)
			return err
		},
	}
}

func schemaNames() (names []string) {
	entries, _ := schemas.ReadDir("schema") // embedded, so that it exists
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".json"))
	}
	return names
}
