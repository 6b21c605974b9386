package main

// batching are the decisions of an appender, whose batches pass through the
// append protocol as any append does.
var batching = []mutant{
	{
		"an appender sends a batch of which a call has failed", "appender_batch.go",
		"if len(stored) == len(b.calls) && a.send(stored) {", "if a.send(stored) {", appending,
	},
	{
		"an appender sends a call that has gone", "appender_queue.go",
		"if c.stage == left || c.ctx.Err() != nil {\n			return false", "if c == nil {\n			return false", appending,
	},
	{
		"an appender builds anew what may be committed", "appender_run.go",
		"case errors.As(err, &uncertain):\n		b.tell(err)", "case errors.As(err, &uncertain):\n		a.again(b)", appending,
	},
	{
		"an appender sends what was built on another head", "appender_batch.go",
		"if !h.SameRecord(b.attempt.old) {", "if false {", appending,
	},
	{
		"an appender forgets what was prepared behind a lost batch", "appender_run.go",
		"	case errors.As(err, &conflict):\n		a.again(b, ahead)", "	case errors.As(err, &conflict):\n		a.again(b)", appending,
	},
	{
		"an appender leaves no time for others", "appender_run.go",
		"if a.work.streak == burst {", "if false {", appending,
	},
	{
		"an appender puts without a limit of time", "appender_batch.go",
		"ctx, cancel := context.WithTimeoutCause(c.ctx, a.options.PutTimeout, late)", "ctx, cancel := context.WithCancel(c.ctx)", appending,
	},
	{
		"an appender fills batches without a limit", "appender_queue.go",
		"full := size > changeset.MaxPerAppend || bytes > a.options.MaxBatchBytes", "full := size > changeset.MaxPerAppend && bytes < 0", appending,
	},
}

// appending runs the tests of appenders.
const appending = ". -run Appender"

// typed are the checks of aggregates of typed events.
var typed = []mutant{
	{
		"a command is not looked for among those that were loaded", "aggregate/save.go",
		`if c.key != "" && slices.Contains(commands, c.key) {`, "if false {", "./aggregate",
	},
	{
		"a precondition is not checked", "aggregate/save.go",
		`if c.ifMatch != "" && !h.Matches(c.ifMatch) {`, "if false {", "./aggregate",
	},
	{
		"a command is not looked for behind a conflict", "aggregate/save.go",
		"if slices.Contains(now.commands, c.key) {", "if false {", "./aggregate",
	},
	{
		"what another has appended for a command passes for one's own", "aggregate/save.go",
		`case c.key != "" && !made(l.Head, h, draft):`, "case false:", "./aggregate",
	},
	{
		"events that cannot be read back are stored", "aggregate/save.go",
		"if err != nil {\n		return changeset.Draft{}, nil, fmt.Errorf(\"it could not", "if false {\n		return changeset.Draft{}, nil, fmt.Errorf(\"it could not", "./aggregate",
	},
	{
		"a snapshot carries no commands", "aggregate/stored.go",
		"content, err := marshal(snapshotContent{snapshotFormat, schema, record, commands, state})", "_ = commands\n	content, err := marshal(snapshotContent{snapshotFormat, schema, record, nil, state})", "./aggregate",
	},
	{
		"a snapshot need not match its hash", "aggregate/stored.go",
		"if err := c.Verify(changeset.Digest{}); err != nil {", "if err := c.Verify(changeset.Digest{}); false && err != nil {", "./aggregate",
	},
	{
		"a snapshot of another schema is taken", "aggregate/stored.go",
		"|| stored.Schema != r.plan.Snapshots.Schema {", "{", "./aggregate",
	},
	{
		"a snapshot of another version is taken", "aggregate/stored.go",
		"if h.Version != version || ", "if ", "./aggregate",
	},
	{
		"a snapshot of another history is taken", "aggregate/load.go",
		"s.err == nil && !follows(c.Header, s.base.Head) {", "false {", "./aggregate",
	},
	{
		"a snapshot at another head is taken", "aggregate/load.go",
		"if s.err == nil && (s.base.Head.Ref != h.Ref", "if s.err == nil && false && (s.base.Head.Ref != h.Ref", "./aggregate",
	},
	{
		"an earlier snapshot is not proved", "aggregate/load.go",
		"if err == nil && !follows(c.Header, base) {", "if err == nil && c.Version == 0 {", "./aggregate",
	},
	{
		"a conflict ends an update", "aggregate/update.go",
		"if !errors.As(err, &conflict) {", "if true {", "./aggregate",
	},
	{
		"an update does not notice a head that went back", "aggregate/update.go",
		"|| err == nil && h.Revision < seen.Revision {", "{", "./aggregate",
	},
}
