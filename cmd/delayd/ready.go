package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// maxReason bounds what is read of the answer to a probe.
const maxReason = 64 << 10

// readyCmd is a health check for where there is no HTTP client, as in our image.
type readyCmd struct {
	HTTP  string `name:"http" type:"http" placeholder:"ADDR" default:"127.0.0.1:8080" help:"Where \"delayd serve\" has its --http (default: ${default})."`
	Alive bool   `env:"-" help:"Ask only whether the process answers (/healthz), ready or not."`
}

// Run returns nil where the instance is ready, else what it says that it waits for.
func (c *readyCmd) Run(ctx context.Context, con *console) error {
	if c.HTTP == httpOff {
		return usagef("--http off: there is nothing to ask; set the address that \"delayd serve\" has as --http")
	}
	addr, err := reachable(c.HTTP)
	if err != nil {
		return fmt.Errorf("--http %s: %w", c.HTTP, err)
	}
	path := "/readyz"
	if c.Alive {
		path = "/healthz"
	}
	answer, err := ask(ctx, "http://"+addr+path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(con.out, answer)
	return err
}

// reachable returns where to connect to for what listens on addr, which may be all
// addresses of this host.
func reachable(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	switch ip := net.ParseIP(host); {
	case host == "", ip != nil && ip.IsUnspecified() && ip.To4() != nil:
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}

// ask returns the body of a GET, as an error where the status is not 200.
func ask(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy
	resp, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("%w; is \"delayd serve\" running there, with this --http?", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReason))
	answer := strings.TrimSpace(string(body))
	switch {
	case err != nil:
		return "", fmt.Errorf("GET %s: %w", url, err)
	case resp.StatusCode == http.StatusServiceUnavailable:
		return "", errors.New("not ready: " + answer)
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return answer, nil
}
