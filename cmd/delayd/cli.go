package main

import (
	"fmt"
	"reflect"
	"time"

	"github.com/alecthomas/kong"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/cmd/delayd/internal/embedded"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// cli is every command and flag. The defaults of flags come from the packages
// that give them their meaning.
type cli struct {
	configFlags

	Serve   serveCmd   `cmd:"" help:"Run the delay service."`
	Send    sendCmd    `cmd:"" help:"Send records to be delivered later."`
	Tail    tailCmd    `cmd:"" help:"Print the records of a topic as they arrive, and how late they were."`
	Ready   readyCmd   `cmd:"" help:"Ask a running \"delayd serve\" whether it is ready: exit code 0, or 1 and why not."`
	Levels  levelsCmd  `cmd:"" help:"Print the levels, or which level each DURATION gets."`
	Admin   adminCmd   `cmd:"" help:"Manage the service's topics, dead letters and pauses."`
	Bench   benchCmd   `cmd:"" help:"Measure the service: lateness, throughput, cost, and that nothing is lost."`
	Demo    demoCmd    `cmd:"" help:"Show the whole thing in one process, in about fifteen seconds."`
	Version versionCmd `cmd:"" help:"Print the version."`

	BenchContender benchContenderCmd `cmd:"" hidden:"" help:"A yardstick of \"delayd bench\", which starts it."`
}

// adminCmd groups the commands for operators.
type adminCmd struct {
	Provision provisionCmd `cmd:"" help:"Create the topics that are missing and check those that are there."`
	Plan      planCmd      `cmd:"" help:"Print what provision would create, and what differs: exit code 0 is nothing to do, 2 something."`
	Export    exportCmd    `cmd:"" help:"Print the topics and ACLs for Kafka's own tools, Strimzi or Terraform. Needs no cluster."`
	Status    statusCmd    `cmd:"" help:"Print what is pending, overdue and due soon on each level, and who handles it."`
	Dead      deadCmd      `cmd:"" help:"List the dead letters, send them again, and delete old ones."`
	Parked    parkedCmd    `cmd:"" help:"List what waits for targets that cannot be written."`
	Find      findCmd      `cmd:"" help:"Say where one record is, by its delay-id: exit code 0 is found, 5 not."`
	Peek      peekCmd      `cmd:"" help:"Print what is due next on a level."`
	Purge     purgeCmd     `cmd:"" help:"Delete what is pending on a level."`
	Skip      skipCmd      `cmd:"" help:"Get a stopped partition past a batch of records that cannot be decoded."`
	Pause     pauseCmd     `cmd:"" help:"Stop delivering from a level or to a target; nothing is lost."`
	Resume    resumeCmd    `cmd:"" help:"Deliver again from a level or to a target that was paused."`
	Cancel    cancelCmd    `cmd:"" help:"Drop a record that waits, by its delay-id."`
}

// clientFlags are the flags of the commands that talk to a running service.
type clientFlags struct {
	Brokers brokerList `placeholder:"HOST:PORT,..." default:"${embedded}" help:"Kafka brokers to start from (default: the embedded broker of \"delayd serve\", ${embedded})."`
	securityFlags
}

// nameFlags say what the topics and groups are called.
type nameFlags struct {
	Prefix levels.Names `placeholder:"P" default:"${prefix}" help:"Begins the names of all topics and groups (default: ${prefix})."`
}

// ladderFlags say which levels there are.
type ladderFlags struct {
	Levels levels.Ladder `words:"" placeholder:"LADDER" default:"${levels}" help:"The levels, as in \"5s 10s 1m 2h\" (default: ${levels})."`
}

// knownLadderFlags are the same where the service may have said itself which it has.
type knownLadderFlags struct {
	Levels levels.Ladder `words:"" placeholder:"LADDER" default:"${levels}" help:"The levels, as in \"5s 10s 1m 2h\" (default: as the service has published, else ${levels})."`
}

// grantFlags say which level a delay gets.
type grantFlags struct {
	ladderFlags
	Rounding levels.Rounding `placeholder:"HOW" default:"nearest" help:"The level of a delay between two: nearest, up, down, or exact, which takes no level and delivers to the millisecond (default: ${default})."`
	OverMax  router.OverMax  `placeholder:"WHAT" default:"auto" help:"What becomes of a delay above the last level: clamp, reject, or auto, which rejects with --rounding=up and clamps otherwise (default: ${default})."`
}

// outputFlags choose between a form for people and one for programs.
type outputFlags struct {
	Output string `type:"choice" short:"o" enum:"text,json" default:"text" help:"text or json."`
}

func (f outputFlags) json() bool { return f.Output == "json" }

// newParser builds the parser of the command line. exit is called instead of
// ending the process once help has been printed.
func newParser(con *console, exit func(int)) (*kong.Kong, error) {
	return kong.New(new(cli),
		kong.Name("delayd"),
		kong.Description("Delivers Kafka records after the delay that their producer asked for.\n\n"+
			"Every flag can be set in the environment as DELAYD_ and its name, as in DELAYD_BROKERS, "+
			"or in the file that --config names. The command line counts first, then the environment, then the file. "+
			"Durations take the units ms, s, m, h and d."),
		kong.Writers(con.out, con.err),
		kong.Exit(exit),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.DefaultEnvars(envPrefix),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), textMapper("delay", levels.ParseDelay)),
		kong.TypeMapper(reflect.TypeFor[levels.Ladder](), textMapper("levels", levels.Parse)),
		kong.TypeMapper(reflect.TypeFor[levels.RetryPolicy](), textMapper("retry policy", levels.ParseRetryPolicy)),
		kong.TypeMapper(reflect.TypeFor[levels.Rounding](), textMapper("rounding", levels.ParseRounding)),
		kong.TypeMapper(reflect.TypeFor[router.OverMax](), textMapper("over-max", router.ParseOverMax)),
		kong.TypeMapper(reflect.TypeFor[forwarder.Delivery](), textMapper("delivery", forwarder.ParseDelivery)),
		kong.TypeMapper(reflect.TypeFor[levels.Names](), textMapper("prefix", parsePrefix)),
		kong.TypeMapper(reflect.TypeFor[brokerList](), kong.MapperFunc(mapBrokers)),
		kong.NamedMapper("choice", kong.MapperFunc(mapChoice)),
		kong.TypeMapper(reflect.TypeFor[admin.Profile](), textMapper("profile", admin.ParseProfile)),
		kong.NamedMapper("budget", textMapper("delay", parseBudget)),
		kong.NamedMapper("patterns", kong.MapperFunc(mapPatterns)),
		kong.NamedMapper("topic", textMapper("topic", parseTopic)),
		kong.NamedMapper("listen", textMapper("address", parseListen)),
		kong.NamedMapper("http", textMapper("address", parseHTTP)),
		kong.NamedMapper("wait", textMapper("delay", parseWait)),
		kong.NamedMapper("purge", textMapper("delay", parsePurge)),
		kong.NamedMapper("max-late", textMapper("delay", parseMaxLate)),
		kong.NamedMapper("above-zero", textMapper("delay", parseAboveZero)),
		kong.NamedMapper("interval", textMapper("delay", parseInterval)),
		kong.NamedMapper("most", textMapper("number", parseMost)),
		kong.NamedMapper("partitions", textMapper("partitions", parsePartitions)),
		kong.NamedMapper("replicas", textMapper("replicas", parseReplicas)),
		kong.NamedMapper("count", textMapper("count", parseCount)),
		kong.NamedMapper("number", kong.MapperFunc(mapNumber)),
		kong.NamedMapper("share", textMapper("share", parseShare)),
		kong.NamedMapper("spread", kong.MapperFunc(mapSpread)),
		kong.NamedMapper("codes", mapList(parseCode)),
		kong.NamedMapper("offsets", mapList(parseOffset)),
		kong.NamedMapper("through", textMapper("offset", parseThrough)),
		kong.NamedMapper("place", textMapper("place", parsePlace)),
		kong.NamedMapper("moment", textMapper("time", parseAgo)),
		kong.NamedMapper("level", textMapper("level", parseLevel)),
		kong.NamedMapper("peek", textMapper("count", parsePeek)),
		kong.NamedMapper("request", textMapper(levels.HeaderLevel, parseRequest)),
		kong.NamedMapper("plot", textMapper("plot", parsePlot)),
		kong.Vars{
			"embedded":        embedded.DefaultAddr,
			"prefix":          levels.DefaultPrefix,
			"levels":          levels.DefaultSpec,
			"retry":           levels.DefaultRetrySpec,
			"partitions":      fmt.Sprint(admin.DefaultPartitions),
			"profiles":        profileNames(),
			"export_replicas": fmt.Sprint(exportReplicas),
			"wait":            levels.FormatDelay(forwarder.DefaultMissingTargetWait),
			"give_up":         levels.FormatDelay(forwarder.DefaultGiveUp),
			"purge":           levels.FormatDelay(forwarder.DefaultPurgeAfter),
			"codes":           codeWords(" and "),
			"data":            defaultDataDir(),
		},
	)
}
