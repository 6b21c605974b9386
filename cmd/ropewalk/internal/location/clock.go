package location

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"ropewalk/internal/awscall"
)

// Clocked is a location whose service has a clock of its own.
type Clocked interface {
	Location
	// Skew returns by how much the clock of this machine is ahead of the clock of the
	// service: the least difference that explains the reply, so zero if the clocks may
	// agree. Services report their time in whole seconds.
	Skew(ctx context.Context) (time.Duration, error)
}

func (p awsLocation) Skew(ctx context.Context) (time.Duration, error) {
	cfg, err := p.config(ctx)
	if err != nil {
		return 0, err
	}
	endpoint := cmp.Or(p.endpoint, "https://s3."+cfg.Region+".amazonaws.com")
	return skew(ctx, strings.TrimSuffix(endpoint, "/")+"/"+p.bucket+"?list-type=2", "X-Amz-")
}

func (p azureLocation) Skew(ctx context.Context) (time.Duration, error) {
	endpoint := cmp.Or(p.endpoint, "https://"+p.account+".blob.core.windows.net")
	for part := range strings.SplitSeq(p.connection, ";") {
		if name, value, _ := strings.Cut(part, "="); strings.EqualFold(name, "BlobEndpoint") {
			endpoint = value
		}
	}
	return skew(ctx, strings.TrimSuffix(endpoint, "/")+"/?comp=list", "X-Ms-")
}

// skew compares the second in a reply with the time that the request took. The request has
// no credentials, and a refusal has the time as well. Only a reply with a header of the
// service counts.
func skew(ctx context.Context, url, mark string) (time.Duration, error) {
	var dialer net.Dialer
	limitDial(&dialer)
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, ResponseHeaderTimeout: answerTimeout}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	reply, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	end := time.Now()
	defer reply.Body.Close()
	at, err := http.ParseTime(reply.Header.Get("Date"))
	if err != nil || !awscall.HasHeader(reply.Header, mark) || reply.Header.Get("Age") != "" {
		return 0, fmt.Errorf("%s: the reply, %s, is not a reply of the service with its time", url, reply.Status)
	}
	return ahead(start, end, at), nil
}

// ahead returns by how much a clock is ahead of another clock, which read the second at
// some time between start and end.
func ahead(start, end, at time.Time) time.Duration {
	least, most := start.Sub(at.Add(time.Second)), end.Sub(at)
	return max(least, min(most, 0))
}
