package ui

import (
	"image/color"

	"charm.land/lipgloss/v2"

	"ropewalk/cmd/ropewalk/internal/visible"
)

// The colours of the command belong to the terminal's own palette.
var (
	Red    = lipgloss.Red
	Green  = lipgloss.Green
	Yellow = lipgloss.Yellow
	Cyan   = lipgloss.Cyan
)

// Paint escapes text, and colours it if the stream takes colours.
func (s *Streams) Paint(stream any, c color.Color, text string) Safe {
	text = visible.Text(text)
	if !s.colored(stream) || text == "" {
		return Safe(text)
	}
	return Safe(lipgloss.NewStyle().Foreground(c).Render(text))
}

func (s *Streams) colored(stream any) bool {
	switch s.Color {
	case "always":
		return true
	case "never":
		return false
	}
	return s.Env["NO_COLOR"] == "" && s.Env["TERM"] != "dumb" && s.IsTerminal(stream)
}
