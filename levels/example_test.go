package levels_test

import (
	"fmt"
	"time"

	"github.com/delayd-io/delayd/levels"
)

// From the value of a header to the topic on which the record waits.
func Example() {
	ladder := levels.Default()
	names := levels.Names{Prefix: levels.DefaultPrefix}

	request, err := levels.ParseRequest("45m") // the value of delay-level
	if err != nil {
		fmt.Println(err)
		return
	}
	level, over := ladder.Grant(request, levels.Nearest)
	fmt.Println(level, over, names.Level(level))
	// Output: 1h false delay.level.1h
}

func ExampleParse() {
	ladder, err := levels.Parse("5s 10s 30s 60s 5m 10m 1h 120m")
	fmt.Println(ladder, err)

	_, err = levels.Parse("5s 10s 1")
	fmt.Println(err)

	_, err = levels.Parse("5s 30s 10s")
	fmt.Println(err)
	// Output:
	// 5s 10s 30s 1m 5m 10m 1h 2h <nil>
	// level 3 "1": no unit; write 1s, 1m, 1h or 1d
	// level 3 "10s": shorter than level 2 "30s"; write 5s 10s 30s
}

func ExampleLadder_All() {
	ladder, err := levels.Parse("10s 1m 1h")
	if err != nil {
		fmt.Println(err)
		return
	}
	for level := range ladder.All() {
		fmt.Println(level.Number, level)
	}
	// Output:
	// 1 10s
	// 2 1m
	// 3 1h
}

func ExampleLadder_Round() {
	ladder := levels.Default()
	for _, d := range []time.Duration{100 * time.Millisecond, 89 * time.Minute, 90 * time.Minute, 3 * time.Hour} {
		nearest, over := ladder.Round(d, levels.Nearest)
		up, _ := ladder.Round(d, levels.Up)
		down, _ := ladder.Round(d, levels.Down)
		fmt.Println(levels.FormatDelay(d), "nearest", nearest, "up", up, "down", down, "over", over)
	}
	// Output:
	// 100ms nearest 1s up 1s down 1s over false
	// 89m nearest 1h up 2h down 1h over false
	// 90m nearest 2h up 2h down 1h over false
	// 3h nearest 2h up 2h down 2h over true
}

func ExampleLadder_AtLeast() {
	remaining := 61 * time.Second
	level, ok := levels.Default().AtLeast(remaining)
	fmt.Println(level, ok)
	// Output: 2m true
}

func ExampleParseRequest() {
	for _, value := range []string{"1m30s", "18", "0", "-5s"} {
		request, err := levels.ParseRequest(value)
		switch {
		case err != nil:
			fmt.Println(err)
		case request.ByNumber:
			fmt.Println("level number", request.Number)
		default:
			fmt.Println("delay", request.Delay)
		}
	}
	// Output:
	// delay 1m30s
	// level number 18
	// level number 0
	// delay-level "-5s": a sign is not allowed; write a duration such as 10s, 1m30s, 2h or 1d, or a level number such as 3
}

func ExampleFormatDelay() {
	for _, d := range []time.Duration{60 * time.Second, 90 * time.Second, 24 * time.Hour, 1500 * time.Millisecond} {
		fmt.Println(levels.FormatDelay(d))
	}
	// Output:
	// 1m
	// 90s
	// 1d
	// 1500ms
}

func ExampleNames_LevelDelay() {
	names := levels.Names{Prefix: levels.DefaultPrefix}
	fmt.Println(names.LevelDelay("delay.level.45m"))
	fmt.Println(names.LevelDelay("orders"))
	// Output:
	// 45m0s true
	// 0s false
}
