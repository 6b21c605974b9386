package link

import "ropewalk/head"

// Move returns the head that replaces h when the aggregate moves. Its revision shuts out
// every append that was built on h, and its format number shuts out later appends of older
// versions.
func Move(h head.Head, m head.Move) head.Head {
	h.Revision++
	h.Move = m
	f := h.Formats.Numbers()
	h.Formats = head.Formats{Written: head.FormatMoved, MinReader: f.MinReader, MinWriter: head.FormatMoved}
	return h
}

// Stay returns the head that replaces h when the aggregate no longer moves.
func Stay(h head.Head) head.Head {
	h.Revision++
	h.Move = head.Move{}
	n := h.Formats.Numbers().MinReader
	h.Formats = head.Formats{Written: n, MinReader: n, MinWriter: n}
	return h
}
