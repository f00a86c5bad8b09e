// Package sample has one of each kind of declaration.
package sample

import (
	"errors"
	"time"

	"github.com/delayd-io/delayd/internal/api/testdata/sample/internal/inner"
)

// Max and Wait are constants: a value that changes shows, wherever it is written.
const (
	Max    = 10
	Wait   = inner.Wait
	hidden = 1
)

// ErrGone is a variable.
var ErrGone = errors.New("gone")

// Alias is a type with methods of an internal package.
type Alias = inner.Kind

// Config has fields, and what Base has.
type Config struct {
	Base
	Name  string
	After func(attempt int, err error) (time.Duration, bool)
	kind  Alias
}

// Base is embedded.
type Base struct{ Depth int }

// Validate is promoted.
func (b Base) Validate() error { return nil }

// New makes a Config.
func New(name string, opts ...func(*Config)) (*Config, error) { return &Config{Name: name}, nil }

// Set has a pointer receiver.
func (c *Config) Set(kind Alias) { c.kind = kind }

func (c *Config) private() int { return hidden }

// Sizer is an interface.
type Sizer interface {
	Size() int
	private() int
}

// Many is generic.
func Many[T Sizer](all ...T) (n int) { return len(all) }
