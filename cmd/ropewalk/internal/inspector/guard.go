package inspector

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"
)

// guard lets only the browser of the person through who has the link. Another program
// on the machine can reach the port, and so can any web site that the person visits.
//
// The token of the link is exchanged for a cookie with another secret, so that the
// token does not stay in the address bar. A page of a foreign name that resolves to
// this address has another Host. Cookies are sent to every port of a host, and pages
// of other ports count as the same site, so that Origin and Sec-Fetch-Site are held
// against the exact address.
type guard struct {
	address string
	token   string // of the link
	secret  string // of the cookie
}

func newGuard(address string) *guard { return &guard{address, rand.Text(), rand.Text()} }

// policy allows the site's own files, and nothing that stands in a page.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// before returns a handler that checks a request before it goes on.
func (g *guard) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-store")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		token := r.URL.Query().Get("token")
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			header.Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD: the inspector is read-only", http.StatusMethodNotAllowed)
		case !g.isOwn(r.Host):
			http.Error(w, "the name of another host", http.StatusMisdirectedRequest)
		case r.Header.Get("Origin") != "" && r.Header.Get("Origin") != "http://"+r.Host:
			http.Error(w, "a request of another site", http.StatusForbidden)
		case r.URL.Path == "/" && same(token, g.token):
			g.letIn(w, r)
		case foreign(r.Header.Get("Sec-Fetch-Site")):
			http.Error(w, "a request of another site", http.StatusForbidden)
		case !g.known(r):
			http.Error(w, "open the link that ropewalk ui has printed: it has the token that this page needs", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// isOwn reports whether a Host is the address that the site listens on. A browser may
// call 127.0.0.1 localhost.
func (g *guard) isOwn(host string) bool {
	_, port, _ := net.SplitHostPort(g.address)
	return host == g.address || host == net.JoinHostPort("localhost", port)
}

// foreign reports whether a browser says that a page of another site, or of another
// port, sends a request. Older browsers say nothing.
func foreign(site string) bool { return site != "" && site != "same-origin" && site != "none" }

// letIn exchanges the token for the cookie, and leads to the page without the token.
func (g *guard) letIn(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: g.cookie(), Value: g.secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// cookie returns the name of the cookie, which differs by port: two inspectors on one
// machine share the cookies of their host.
func (g *guard) cookie() string {
	return "ropewalk-" + g.address[strings.LastIndexByte(g.address, ':')+1:]
}

func (g *guard) known(r *http.Request) bool {
	for _, c := range r.CookiesNamed(g.cookie()) {
		if same(c.Value, g.secret) {
			return true
		}
	}
	return false
}

// same compares secrets in a time that depends on neither.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
