//go:build unix

package embedded

import "syscall"

// keepPrivate makes the files and directories of this process readable by its user
// alone. kfake would have others read them, and has no option for that.
func keepPrivate() { syscall.Umask(0o077) }
