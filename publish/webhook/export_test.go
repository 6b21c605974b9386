package webhook

import "net"

var (
	CheckAddress = checkAddress
	RetryAfter   = retryAfter
	Sign         = Secret.sign
)

// NewDialer returns the dialer of senders, with another resolver.
func NewDialer(resolver *net.Resolver, options Options) *net.Dialer {
	d := newDialer(options.Allow)
	d.Resolver = resolver
	return d
}
