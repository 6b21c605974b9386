// Package ui is how the command speaks with people and with programs: its
// streams, colours, tables and progress, and the words and numbers in them.
package ui
