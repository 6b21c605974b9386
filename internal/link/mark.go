package link

import (
	"context"

	"ropewalk/changeset"
)

type markKey struct{}

// NoteMark returns a context under which a commit of several aggregates notes its mark. A
// commit that is built again has another mark. The mark stays zero if nothing was built.
func NoteMark(ctx context.Context, mark *changeset.Commit) context.Context {
	return context.WithValue(ctx, markKey{}, mark)
}

// NotedMark notes the mark of a commit for the caller of [NoteMark].
func NotedMark(ctx context.Context, mark changeset.Commit) {
	if noted, ok := ctx.Value(markKey{}).(*changeset.Commit); ok {
		*noted = mark
	}
}
