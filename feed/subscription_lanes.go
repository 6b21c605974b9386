package feed

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"

	"ropewalk"
	"ropewalk/internal/pause"
)

// lanes are queues of changes that are handed over at the same time. The changes of
// one lane are handed over one after another: all changes, or in parallel, the
// changes of one aggregate.
type lanes struct {
	slots   chan struct{} // one for each lane that may be at work
	mu      sync.Mutex
	queues  map[string][]job // has a key for each lane that has a goroutine
	running sync.WaitGroup
}

func (l *lanes) start(n int) {
	l.slots, l.queues = make(chan struct{}, n), map[string][]job{}
}

// wait returns when all lanes are empty, or have given up because the run ends.
func (l *lanes) wait() { l.running.Wait() }

// add gives a job to its lane.
func (r *run) add(j job) {
	lane := ""
	if r.options.Parallel > 1 {
		lane = j.AggregateID
	}
	l := &r.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	queue, running := l.queues[lane]
	if l.queues[lane] = append(queue, j); !running {
		l.running.Go(func() { r.drain(lane) })
	}
}

var errExited = errors.New("the handler ended its goroutine: it called runtime.Goexit, as the methods FailNow and SkipNow of a test do")

// drain hands over the jobs of a lane until none is left.
func (r *run) drain(lane string) {
	exited := true
	defer func() {
		if exited {
			r.end(errExited)
		}
	}()
	for r.acquire() {
		jobs := r.take(lane)
		if len(jobs) > 0 {
			r.hand(jobs)
		}
		r.release()
		if len(jobs) == 0 {
			break
		}
	}
	exited = false
}

func (r *run) acquire() bool {
	select {
	case r.lanes.slots <- struct{}{}:
	case <-r.ctx.Done():
		return false
	}
	if r.ctx.Err() != nil {
		r.release()
		return false
	}
	return true
}

func (r *run) release() { <-r.lanes.slots }

// take returns the next jobs of a lane. An empty lane ends.
func (r *run) take(lane string) []job {
	l := &r.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	queue := l.queues[lane]
	if len(queue) == 0 {
		delete(l.queues, lane)
		return nil
	}
	n := min(len(queue), r.size)
	l.queues[lane] = queue[n:]
	return queue[:n]
}

// hand hands over jobs, as many at a time as are admitted.
func (r *run) hand(jobs []job) {
	for jobs = r.due(jobs); len(jobs) > 0; jobs = r.due(jobs) {
		n, err := r.admit(r.ctx, len(jobs))
		if err != nil {
			return
		}
		if !r.handOver(jobs[:n]) {
			return
		}
		jobs = jobs[n:]
	}
}

// handOver hands over a batch. If its handler fails, it hands over the changes one
// at a time. It reports whether all changes are finished.
func (r *run) handOver(batch []job) bool {
	err := r.call(batch, 1)
	switch {
	case err == nil:
		r.handled(batch)
		return true
	case len(batch) == 1:
		return r.again(batch[0], err)
	}
	r.options.Logger.WarnContext(r.ctx, "batch was not handled, handing over its changes one at a time", "subscription", r.sub.key(), "changes", len(batch), "cause", err)
	for _, j := range batch {
		r.hand([]job{j})
	}
	return r.ctx.Err() == nil
}

// again decides about a change that was not handled: it hands it over again, parks
// its aggregate, or ends the run. It reports whether the change is finished.
func (r *run) again(j job, err error) bool {
	attempts := 1
	for pauses := pause.New(pause.First(firstRetry), pause.Max(r.options.RetryPause)); r.options.Retries < 0 || attempts <= r.options.Retries; attempts++ {
		r.options.Logger.WarnContext(r.ctx, "change was not handled, trying again", "subscription", r.sub.key(), "ref", j.Ref, "cause", err)
		if !r.pauseLane(pauses) {
			return false
		}
		if err = r.call([]job{j}, attempts+1); err == nil {
			r.handled([]job{j})
			return true
		}
	}
	if r.ctx.Err() != nil { // the error may be a consequence of the end
		return false
	}
	if r.options.Park {
		return r.parkAfter(j, err)
	}
	r.end(&HandlerError{r.sub.key(), j.Ref, j.Position, attempts, err})
	return false
}

// pauseLane waits before a retry. Other lanes may work in the meantime.
func (r *run) pauseLane(pauses *pause.Pauses) bool {
	r.release()
	err := pauses.Wait(r.ctx)
	r.lanes.slots <- struct{}{}
	if err == nil {
		_, err = r.admit(r.ctx, 1)
	}
	return err == nil
}

func (r *run) parkAfter(j job, cause error) bool {
	if err := r.park(j, reason(cause)); err != nil {
		r.end(errors.Join(err, cause))
		return false
	}
	r.options.Logger.ErrorContext(r.ctx, "aggregate parked", "subscription", r.sub.key(), "ref", j.Ref, "position", j.Position, "cause", cause)
	return true
}

// reason returns the class of an error of a handler.
func reason(err error) string {
	if _, ok := errors.AsType[*PanicError](err); ok {
		return "panic"
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	return "error"
}

// call calls the handler, for the changes' attempt of that number, as an operation that is
// observed.
func (r *run) call(jobs []job, attempt int) (err error) {
	ctx, end := r.sub.observed(r.handlers, jobs, attempt)
	err = errExited
	defer func() { end(ropewalk.Result{Count: len(jobs), Err: err}) }()
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{v, debug.Stack()}
		}
	}()
	changes := make([]Change, len(jobs))
	for i, j := range jobs {
		changes[i] = j.Change
		changes[i].Fence = r.fence
	}
	return r.handle(ctx, changes)
}

// observed begins a call of the handler for the observer of the store.
func (s *Subscription) observed(ctx context.Context, jobs []job, attempt int) (context.Context, func(ropewalk.Result)) {
	o := ropewalk.Operation{Name: ropewalk.OperationHandle, Subscription: s.key(), Attempt: attempt}
	options := s.feed.store.Options()
	if options.Observer != nil {
		for _, j := range jobs {
			o.Changes = append(o.Changes, j.Changeset)
		}
	}
	return options.Start(ctx, o)
}
