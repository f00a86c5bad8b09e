// Package api prints the exported API of packages as text, a line for each constant with
// its value, variable, function, type, field and method. A test keeps it in
// testdata/api, where every change shows in a diff. What is promoted from an embedded
// type, and what an alias of a type in an internal package has, is part of it.
package api
