package inspector

import (
	"regexp"
	"strings"
)

// Token is a piece of JSON with the class that colours it.
type Token struct{ Class, Text string }

var jsonToken = regexp.MustCompile(`"(?:[^"\\]|\\.)*"(\s*:)?|-?[0-9][0-9.eE+-]*|\b(?:true|false|null)\b`)

// tokens splits JSON into names, strings, numbers, words, and what stands between them.
func tokens(text string) (all []Token) {
	end := 0
	for _, at := range jsonToken.FindAllStringSubmatchIndex(text, -1) {
		if at[0] > end {
			all = append(all, Token{"", text[end:at[0]]})
		}
		end = at[1]
		if at[2] >= 0 {
			end = at[2] // the colon is no part of the name
		}
		all = append(all, Token{tokenClass(text[at[0]:end], at[2] >= 0), text[at[0]:end]})
	}
	return append(all, Token{"", text[end:]})
}

func tokenClass(token string, isName bool) string {
	switch {
	case isName:
		return "name"
	case strings.HasPrefix(token, `"`):
		return "string"
	case strings.ContainsAny(token[:1], "tfn"):
		return "word"
	default:
		return "number"
	}
}
