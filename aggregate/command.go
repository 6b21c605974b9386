package aggregate

import "slices"

// command is a command ID that was met in a history.
type command struct {
	id    string
	joint bool // a commit of several aggregates processed it
}

// commands are the command IDs that were met, oldest first.
type commands []command

// has reports whether a command was met.
func (all commands) has(id string) bool {
	return slices.ContainsFunc(all, func(c command) bool { return c.id == id })
}

// hasJoint reports whether a command was met that a commit of several aggregates processed.
func (all commands) hasJoint(id string) bool { return slices.Contains(all, command{id, true}) }

// with returns the commands and a newer one. The changesets of one append repeat theirs.
func (all commands) with(c command) commands {
	if c.id == "" || len(all) > 0 && all[len(all)-1] == c {
		return all
	}
	return append(all, c)
}

// stored returns the newest commands as a snapshot has them: all, and again those that
// commits of several aggregates processed.
func (all commands) stored() (ids, joint []string) {
	for _, c := range all[max(0, len(all)-CommandWindow):] {
		ids = append(ids, c.id)
		if c.joint {
			joint = append(joint, c.id)
		}
	}
	return ids, joint
}

// commandsOf reverses stored.
func commandsOf(ids, joint []string) commands {
	all := make(commands, len(ids))
	for i, id := range ids {
		all[i] = command{id, slices.Contains(joint, id)}
	}
	return all
}
