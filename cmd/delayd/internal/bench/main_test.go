package bench

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/delayd-io/delayd/levels"
)

// asChild in the environment turns the test binary into a contender's process.
const asChild = "TEST_AS_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		beChild(os.Args[1])
	}
	goleak.VerifyTestMain(m)
}

// beChild does what a test asks for, and ends.
func beChild(what string) {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	switch what {
	case "serve":
		fmt.Println("not yet")
		fmt.Println(ReadyLine)
		<-end
		fmt.Fprintln(os.Stderr, "asked to end")
		os.Exit(0)
	case "die":
		for i := range keptLines + 1 {
			fmt.Fprintln(os.Stderr, "line "+strconv.Itoa(i))
		}
		os.Exit(3)
	}
	os.Exit(2)
}

// patience bounds every wait. It only matters where a test fails.
const patience = time.Minute

func level(delay time.Duration) levels.Level { return levels.Level{Delay: delay} }
