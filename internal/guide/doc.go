// Package guide has the code that docs/go.md shows: whole programs, and pieces of
// programs in its tests. All of it is built and run, so that the page shows nothing
// that does not work.
package guide
