package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// ErrAddress means that the name of a receiver leads to an address that is not public.
var ErrAddress = errors.New("the address of the receiver is not public")

// maxHeader is the largest size of the header of an answer, in bytes.
const maxHeader = 64 << 10

// NewTransport returns the transport of senders, to be changed before
// [Options.Transport] takes it: by certificates of a client, for example.
//
// It connects to public addresses alone, and to addresses in the networks that are
// allowed. Addresses that are private, of this machine or its link, multicast, shared
// by carriers, or special in another way are refused with an error that matches
// [ErrAddress], and so are IPv6 addresses that stand for such an IPv4 address. The check
// is made when a connection is opened, after the name was looked up, so that no change
// of the name leads around it.
//
// Proxies of the environment are not used: a proxy looks the name up itself, and would
// reach every address that it can reach. With a Proxy, only the address of the proxy
// is checked.
func NewTransport(allow ...netip.Prefix) *http.Transport {
	return &http.Transport{
		DialContext:            newDialer(allow).DialContext,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    64,
		MaxResponseHeaderBytes: maxHeader,
	}
}

func newDialer(allow []netip.Prefix) *net.Dialer {
	allow = slices.Clone(allow)
	return &net.Dialer{
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return checkAddress(address, allow)
		},
	}
}

// checkAddress returns an error if an address and port must not be connected to.
func checkAddress(address string, allow []netip.Prefix) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q", ErrAddress, address)
	}
	ip := ap.Addr().Unmap()
	if !contains(allow, ip) && !isPublic(ip) {
		return fmt.Errorf("%w: %s", ErrAddress, ip)
	}
	return nil
}

func contains(networks []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(ip) })
}

var (
	// nat64 has an IPv4 address in its last 32 bits, which a gateway connects to.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
	// unicast6 is what public IPv6 addresses are assigned from.
	unicast6 = netip.MustParsePrefix("2000::/3")
	// special are the networks, within IPv4 and unicast6, that the registries of special
	// addresses take out, and addresses of public networks that clouds use inside.
	special = networks(
		"0.0.0.0/8",        // this network
		"10.0.0.0/8",       // private
		"100.64.0.0/10",    // shared by carriers
		"127.0.0.0/8",      // loopback
		"168.63.129.16/32", // Azure's own services, for its machines
		"169.254.0.0/16",   // link-local, metadata of clouds
		"172.16.0.0/12",    // private
		"192.0.0.0/24",     // assigned to protocols
		"192.0.2.0/24",     // documentation
		"192.88.99.0/24",   // relays of 6to4
		"192.168.0.0/16",   // private
		"198.18.0.0/15",    // benchmarks
		"198.51.100.0/24",  // documentation
		"203.0.113.0/24",   // documentation
		"224.0.0.0/4",      // multicast
		"240.0.0.0/4",      // reserved, broadcast
		"2001::/23",        // assigned to protocols, Teredo
		"2001:db8::/32",    // documentation
		"2002::/16",        // 6to4, which stands for IPv4 addresses
		"3fff::/20",        // documentation
	)
)

func networks(all ...string) (prefixes []netip.Prefix) {
	for _, text := range all {
		prefixes = append(prefixes, netip.MustParsePrefix(text))
	}
	return prefixes
}

// isPublic reports whether an address, which is not an IPv4 address mapped to IPv6, is
// one of the public internet. No network contains an address with a zone.
func isPublic(ip netip.Addr) bool {
	if nat64.Contains(ip) {
		bytes := ip.As16()
		ip = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	return (ip.Is4() || unicast6.Contains(ip)) && !contains(special, ip)
}
