// Package names has unique names as docs/unique-names.md describes them, and races for them.
// The page quotes names.go.
package names
