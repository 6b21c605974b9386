package gc

// WithoutFence lets a collector take what is pending for lost, as it is.
func (c *Collector) WithoutFence() *Collector {
	c.rule = func(after, revision uint64) fate {
		if after == revision {
			return lost
		}
		return fateOf(after, revision)
	}
	return c
}

// WithoutRevisions lets a collector take what the head has not reached yet for
// lost: the chain does not reach it, after all.
func (c *Collector) WithoutRevisions() *Collector {
	c.rule = func(after, revision uint64) fate {
		if after > revision {
			return lost
		}
		return fateOf(after, revision)
	}
	return c
}
