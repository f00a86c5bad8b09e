package lane

import "errors"

// errNoRoom says that a batch is read when memory is free again.
var errNoRoom = errors.New("no memory for what is unpacked")
