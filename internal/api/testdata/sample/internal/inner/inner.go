// Package inner has what sample names.
package inner

import "time"

// Wait is a constant.
const Wait = 3 * time.Second

// Kind is a type with a method.
type Kind int

// String is a method.
func (k Kind) String() string { return "kind" }
