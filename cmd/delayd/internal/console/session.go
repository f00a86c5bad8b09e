package console

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// cookieName holds a session, and never the token.
	cookieName = "delayd-console"
	// sessionTime is how long somebody stays signed in.
	sessionTime = 12 * time.Hour
	// wrongTokenPause is what a wrong token costs, so that nobody tries many.
	wrongTokenPause = time.Second
	// maxName is how long the name is that somebody signs in with, in bytes.
	maxName = 64
)

// sessions know who is signed in. They are kept in the cookies alone, signed with the
// token: another token ends them all, and every instance with the same token knows them.
type sessions struct {
	token string
	key   []byte
}

func newSessions(token string) sessions {
	key := sha256.Sum256([]byte("delayd console session\x00" + token))
	return sessions{token, key[:]}
}

// right reports whether a token is the one, in a time that tells nothing of it.
func (s sessions) right(token string) bool {
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.token))
	return s.token != "" && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

func (s sessions) sign(text string) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// cookie is the session of somebody who has shown the token.
func (s sessions) cookie(name string, now time.Time) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(name)) + "." + strconv.FormatInt(now.Add(sessionTime).Unix(), 10)
	return text + "." + s.sign(text)
}

// name reads a cookie.
func (s sessions) name(cookie string, now time.Time) (name string, ok bool) {
	i := strings.LastIndexByte(cookie, '.')
	if i < 0 || s.token == "" || !hmac.Equal([]byte(cookie[i+1:]), []byte(s.sign(cookie[:i]))) {
		return "", false
	}
	who, end, _ := strings.Cut(cookie[:i], ".")
	until, err := strconv.ParseInt(end, 10, 64)
	text, err2 := base64.RawURLEncoding.DecodeString(who)
	if err != nil || err2 != nil || !now.Before(time.Unix(until, 0)) {
		return "", false
	}
	return string(text), true
}

// viewer is who has sent a request.
type viewer struct {
	Name   string // that they gave when they signed in, or of the header of a program
	Signed bool   // whether they have the token
	// Contents says whether they may see keys, values and headers of records.
	Contents bool
	cookie   bool // signed by a cookie, which the browser sends by itself
}

// bearerName is who acts with the token in a header.
const bearerName = "bearer token"

// viewer finds out who has sent a request.
func (c *Console) viewer(req *http.Request) viewer {
	v := viewer{}
	if token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer "); ok && c.session.right(token) {
		v.Name, v.Signed = bearerName, true
	} else if cookie, err := req.Cookie(cookieName); err == nil {
		v.Name, v.Signed = c.session.name(cookie.Value, time.Now())
		v.cookie = v.Signed
	}
	// A page of another site can have the name of that site lead here, and then read
	// what is answered: it shows in the Host.
	v.Contents = v.Signed || c.cfg.Loopback && loopbackHost(req.Host)
	return v
}

// loopbackHost reports whether a Host header names this machine.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// sameOrigin reports whether a request that changes something comes from a page of ours.
// Browsers say so in Sec-Fetch-Site where the connection is trusted, and in Origin
// everywhere.
func sameOrigin(req *http.Request) bool {
	if site := req.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	origin, err := url.Parse(req.Header.Get("Origin"))
	if err != nil || origin.Host == "" {
		return false
	}
	return origin.Host == req.Host || origin.Host == req.Header.Get("X-Forwarded-Host")
}

// mayAct returns why a request may change nothing, and its status; 0 where it may. A
// program that sends the token in a header needs no origin: no other site can make a
// browser send that.
func (c *Console) mayAct(req *http.Request, v viewer) (status int, why string) {
	switch {
	case c.session.token == "":
		return http.StatusForbidden, "this console is read-only: start delayd with --http-token-file to act here"
	case !v.Signed:
		return http.StatusUnauthorized, "sign in, or send the token of --http-token-file as Authorization: Bearer TOKEN"
	case v.cookie && !sameOrigin(req):
		return http.StatusForbidden, "the request does not come from a page of this console"
	}
	return 0, ""
}

// setCookie signs somebody in, or out with "".
func setCookie(w http.ResponseWriter, req *http.Request, value string) {
	cookie := &http.Cookie{
		Name: cookieName, Value: value, Path: prefixOf(req) + "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: req.TLS != nil || req.Header.Get("X-Forwarded-Proto") == "https", MaxAge: int(sessionTime.Seconds()),
	}
	if value == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, cookie)
}

// prefixOf is the path that a reverse proxy puts in front of ours, "" for none or one
// that is none.
func prefixOf(req *http.Request) string {
	prefix := strings.TrimRight(req.Header.Get("X-Forwarded-Prefix"), "/")
	if !strings.HasPrefix(prefix, "/") || strings.ContainsAny(prefix, ";,\\ \t\r\n\"") || strings.HasPrefix(prefix, "//") {
		return ""
	}
	return prefix
}

// cleanName is the name that somebody signs in with.
func cleanName(s string) string {
	s = strings.TrimSpace(strings.ToValidUTF8(s, ""))
	for len(s) > maxName {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	if s == "" {
		return "(no name)"
	}
	return s
}

// headers are on every answer: nothing but our own files runs or is shown, and no other
// page can have ours in a frame.
func headers(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	// With no-referrer browsers would say "null" for the Origin of our own forms.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}
