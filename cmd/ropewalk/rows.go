package main

import (
	"iter"

	"ropewalk/cmd/ropewalk/internal/ui"
)

// printRows prints each item as a row of a table, or as an object with --json. An
// error comes after the items before it.
func printRows[T any](std *ui.Streams, out *ui.Table, items iter.Seq2[T, error], object func(T) any, row func(T) []string) error {
	for item, err := range items {
		if err == nil && std.JSON {
			err = std.Emit(object(item))
		} else if err == nil {
			err = out.Row(row(item)...)
		}
		if err != nil {
			if flushed := flushLog(std, out); flushed != nil {
				return flushed
			}
			return err
		}
	}
	return flushLog(std, out)
}

// flushLog writes the rows that the table holds back.
func flushLog(std *ui.Streams, out *ui.Table) error {
	if std.JSON {
		return nil
	}
	return out.Flush()
}
