package webhook_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/publish/webhook"
)

func TestAddressesThatAreNotPublicAreRefused(t *testing.T) {
	for address, public := range map[string]bool{
		"93.184.216.34:443":             true,
		"1.1.1.1:443":                   true,
		"9.255.255.255:80":              true,
		"11.0.0.0:80":                   true,
		"100.63.255.255:443":            true,
		"100.128.0.0:443":               true,
		"172.15.255.255:443":            true,
		"172.32.0.0:443":                true,
		"223.255.255.255:443":           true,
		"[2606:2800:220:1::1]:443":      true,
		"[2a00:1450:4001::200e]:443":    true,
		"[::ffff:93.184.216.34]:443":    true,
		"[64:ff9b::93.184.216.34]:443":  true,
		"0.0.0.0:80":                    false,
		"0.1.2.3:80":                    false,
		"10.0.0.1:80":                   false,
		"10.255.255.255:80":             false,
		"100.64.0.1:80":                 false,
		"100.100.100.200:80":            false,
		"127.0.0.1:80":                  false,
		"127.255.255.254:80":            false,
		"168.63.129.16:80":              false,
		"169.254.169.254:80":            false,
		"172.16.0.1:80":                 false,
		"172.31.255.255:80":             false,
		"192.0.0.192:80":                false,
		"192.0.2.1:80":                  false,
		"192.88.99.1:80":                false,
		"192.168.0.1:80":                false,
		"198.18.0.1:80":                 false,
		"198.19.255.255:80":             false,
		"198.51.100.1:80":               false,
		"203.0.113.1:80":                false,
		"224.0.0.1:80":                  false,
		"239.255.255.250:80":            false,
		"240.0.0.1:80":                  false,
		"255.255.255.255:80":            false,
		"[::]:80":                       false,
		"[::1]:80":                      false,
		"[::127.0.0.1]:80":              false,
		"[::ffff:127.0.0.1]:80":         false,
		"[::ffff:10.0.0.1]:80":          false,
		"[::ffff:169.254.169.254]:80":   false,
		"[64:ff9b::10.0.0.1]:80":        false,
		"[64:ff9b::169.254.169.254]:80": false,
		"[64:ff9b:1::1]:80":             false,
		"[100::1]:80":                   false,
		"[2001::1]:80":                  false,
		"[2001:db8::1]:80":              false,
		"[2002:7f00:1::]:80":            false,
		"[3fff::1]:80":                  false,
		"[4000::1]:80":                  false,
		"[fc00::1]:80":                  false,
		"[fd00:ec2::254]:80":            false,
		"[fe80::1]:80":                  false,
		"[fe80::1%eth0]:80":             false,
		"[2001:db8::1%eth0]:80":         false,
		"[fec0::1]:80":                  false,
		"[ff02::1]:80":                  false,
		"receiver.example:443":          false,
		"":                              false,
	} {
		err := webhook.CheckAddress(address, nil)
		require.Equal(t, public, err == nil, "%s: %v", address, err)
		if err != nil {
			require.ErrorIs(t, err, webhook.ErrAddress)
		}
	}
}

func TestAllowedNetworksAreNotRefused(t *testing.T) {
	allow := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}
	for address, allowed := range map[string]bool{
		"10.1.2.3:80":          true,
		"[::ffff:10.1.2.3]:80": true,
		"[fd00::1]:80":         true,
		"93.184.216.34:80":     true,
		"10.2.0.0:80":          false,
		"127.0.0.1:80":         false,
	} {
		require.Equal(t, allowed, webhook.CheckAddress(address, allow) == nil, address)
	}
}

// A sender with the default transport does not reach this machine, by its address or
// by a name of it.
func TestTheDefaultTransportRefusesThisMachine(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	defer server.Close()
	t.Setenv("HTTP_PROXY", server.URL)
	t.Setenv("HTTPS_PROXY", server.URL)
	port := server.URL[strings.LastIndex(server.URL, ":"):]
	for _, url := range []string{server.URL, "http://localhost" + port, "http://[::ffff:127.0.0.1]" + port, "http://10.0.0.1" + port, "https://127.0.0.1" + port, "http://0.0.0.0" + port} {
		s, err := webhook.New(url, []webhook.Secret{secret}, &webhook.Options{AllowHTTP: true})
		require.NoError(t, err)
		err = s.Send(t.Context(), placed())
		require.ErrorIs(t, err, webhook.ErrAddress, url)
		require.ErrorContains(t, err, "attempts: 1", url)
	}
	require.Zero(t, requests.Load())

	s, err := webhook.New(server.URL, []webhook.Secret{secret}, &webhook.Options{AllowHTTP: true, Allow: []netip.Prefix{loopback}})
	require.NoError(t, err)
	require.NoError(t, s.Send(t.Context(), placed()))
	require.EqualValues(t, 1, requests.Load())
}

// A name that first has an allowed address and then another one is refused: the check
// is of the address that is connected to, and not of an earlier answer.
func TestANameThatMovesIsRefused(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	listener, err := net.Listen("tcp4", "0.0.0.0:0")
	require.NoError(t, err)
	require.NoError(t, server.Listener.Close())
	server.Listener = listener
	server.Start()
	defer server.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)

	names := &nameServer{addresses: []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")}}
	options := webhook.Options{AllowHTTP: true, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}
	transport := webhook.NewTransport(options.Allow...)
	transport.DialContext = webhook.NewDialer(&net.Resolver{PreferGo: true, Dial: names.dial}, options).DialContext
	transport.DisableKeepAlives = true
	options.Transport = transport
	s, err := webhook.New("http://moves.example:"+port, []webhook.Secret{secret}, &options)
	require.NoError(t, err)
	require.NoError(t, s.Send(t.Context(), placed()))
	err = s.Send(t.Context(), placed())
	require.ErrorIs(t, err, webhook.ErrAddress)
	require.ErrorContains(t, err, "127.0.0.1")
}

// nameServer answers each look-up of an IPv4 address with the next address.
type nameServer struct {
	addresses []netip.Addr
	n         atomic.Int32
}

func (s *nameServer) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe() // not a packet connection, so that queries come as over TCP
	go s.serve(server)
	return client, nil
}

// serve answers one query: it repeats the question, and adds an address of class IN.
func (s *nameServer) serve(c net.Conn) {
	defer c.Close()
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return
	}
	query := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, query); err != nil {
		return
	}
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	answer := append([]byte(nil), query[:end+5]...)
	copy(answer[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}) // an answer, one question
	if query[end+2] == 1 {                                       // of type A
		i := int(s.n.Add(1)) - 1
		ip := s.addresses[min(i, len(s.addresses)-1)].As4()
		answer[7] = 1
		answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		answer = append(answer, ip[:]...)
	}
	_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
}
