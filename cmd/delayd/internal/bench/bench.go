// Package bench measures the delay service on a cluster: how late records are,
// how fast a backlog is released, what that costs, and that nothing is lost,
// early or out of order. Beside it, on the same cluster and in turns, it can run
// yardsticks, so that every figure is a ratio too and not only a property of the
// machine.
//
//	Run ─▶ round ─▶ contender (a process of its own)      the service or a yardstick
//	         │          ▲            │
//	         │       source       target
//	         │          │            ▼
//	         └──────▶ sender      consumer ─▶ tally ─▶ Result ─▶ Summary, Ratio
//
// What it shares with the torture, and what not, is in the package harness.
package bench

import (
	"encoding/json"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// Kind is who is measured.
type Kind string

const (
	Delayd Kind = "delayd" // the service
	Loop   Kind = "loop"   // the bare loop: wait for the head, then write; see lane.go
	Copy   Kind = "copy"   // the bare copy loop, without any delay; see copy.go
	Naive  Kind = "naive"  // the service that people write first; see naive.go
)

// The scenarios.
const (
	Steady  = "steady"  // a fixed rate, for a while
	Backlog = "backlog" // all records are overdue when the contender starts
	Pending = "pending" // records wait, and nothing is due
)

// The ways in.
const (
	ThroughLevel = "level" // straight to the level topics
	ThroughInbox = "inbox" // to the inbox, and from there through the router
)

// The labels of results that need one.
const (
	LabelAlone    = "alone"
	LabelFlood    = "beside a flood"
	LabelFlooding = "the flood itself"
	LabelSick     = "one unavailable target"
	LabelKilled   = "killed on the way"
	LabelCancel   = "with cancels"
)

// Config is what a run is asked to do.
type Config struct {
	// Opts are how the bench itself reaches the cluster.
	Opts []kgo.Opt
	// Brokers are the same, for child processes; Environ is what they need beside
	// it to get in, as variables of the environment: it is in no report.
	Brokers []string
	Environ []string
	// Program is the path of the delayd binary, which every contender is a
	// process of.
	Program string
	Load    Load
	// Rounds is how many times each contender runs. They take turns, and every
	// other round in the reverse order.
	Rounds int
	// Contenders are who runs: the service, and the yardsticks that the
	// scenario has. None: the service alone.
	Contenders []Kind
	// Kills is how often the service is ended by kill -9 within the release of
	// a backlog, evenly spread, and started again at once.
	Kills int
	// Flood is how many overdue records of FloodLevel are released while the
	// steady load runs. The load then runs alone too.
	Flood      int
	FloodLevel levels.Level
	// Sick spreads the steady load over four targets, one of which does not
	// exist until the records of the others have arrived. The load then runs
	// with four healthy ones too.
	Sick bool
	// Cancel is the share of the steady load that is cancelled, above 0 and up to 1, of the
	// records that wait long enough for it; see CancelLeast. The load then runs without
	// cancels too. 0: none is.
	Cancel float64
	// Cancels is how many cancels that hit nothing are written after the records, and
	// outstanding when the service is measured again; pending.
	Cancels int
	// Delivery is what the service is to promise. What is delivered exactly once is
	// read committed.
	Delivery levels.Delivery
	// ServeArgs are more flags for the service.
	ServeArgs []string
	// Progress is called with how far a run is, unless it is nil.
	Progress Progress
	Log      zerolog.Logger
}

// Progress shows how far a run is. Its methods are called from one goroutine at
// a time.
type Progress interface {
	Start(what string, total int64)
	Add(n int64)
	Done()
}

// Load is what is sent.
type Load struct {
	Scenario string
	Through  string
	// Levels are what records wait on, in turns, record by record.
	Levels     []levels.Level
	Exact      bool          // each asks for an exact delay, of up to the longest of Levels; steady, pending
	Rate       int           // records a second; steady
	Duration   time.Duration // steady, without the warm-up
	Records    int           // backlog, pending
	Size       int           // of a value, in bytes
	Keys       int           // how many different keys
	Partitions int32         // of the topics that are read and of the targets
}

// MarshalJSON writes the levels by their names and the duration in seconds, and
// leaves out what the scenario does not use.
func (l Load) MarshalJSON() ([]byte, error) {
	names := make([]string, len(l.Levels))
	for i, level := range l.Levels {
		names[i] = level.String()
	}
	return json.Marshal(struct {
		Scenario   string   `json:"scenario"`
		Through    string   `json:"through"`
		Levels     []string `json:"levels"`
		Exact      bool     `json:"exact,omitempty"`
		Rate       int      `json:"rate,omitempty"`
		Seconds    float64  `json:"seconds,omitempty"`
		Records    int      `json:"records,omitempty"`
		Size       int      `json:"size_bytes"`
		Keys       int      `json:"keys"`
		Partitions int32    `json:"partitions"`
	}{l.Scenario, l.Through, names, l.Exact, l.Rate, l.Duration.Seconds(), l.Records, l.Size, l.Keys, l.Partitions})
}

// Report is all that a run found, with what it was found on.
type Report struct {
	Started time.Time `json:"started"`
	Version string    `json:"version"`
	Machine Machine   `json:"machine"`
	Cluster Cluster   `json:"cluster"`
	// Clock says what lateness is measured with and from.
	Clock string `json:"clock"`
	Load  Load   `json:"load"`
	// Delivery is what the service promised, where that is not the default.
	Delivery levels.Delivery `json:"delivery,omitzero"`
	// Notes are sentences that a reader of the figures has to know.
	Notes   []string  `json:"notes,omitempty"`
	Runs    []Result  `json:"runs"`    // in the order they ran
	Summary []Summary `json:"summary"` // per contender and label, in the order they first ran
	Ratios  []Ratio   `json:"ratios,omitempty"`
}

// Machine is what the bench and the contenders run on.
type Machine struct {
	CPU       string  `json:"cpu"`
	Cores     int     `json:"cores"`
	MemoryGiB float64 `json:"memory_gib"`
	OS        string  `json:"os"`
	Arch      string  `json:"arch"`
	Go        string  `json:"go"`
}

// Cluster is what the records go through.
type Cluster struct {
	Brokers  int    `json:"brokers"`
	Version  string `json:"version"` // a guess, from the requests that it takes
	Embedded bool   `json:"embedded"`
	// Local says that all brokers are on loopback addresses: they share the
	// machine.
	Local bool `json:"local"`
}

// Result is one run of one contender. What does not apply is zero or nil.
type Result struct {
	Contender  Kind   `json:"contender"`
	Label      string `json:"label,omitempty"`
	Round      int    `json:"round"` // from 1
	Sent       int64  `json:"sent"`
	Delivered  int64  `json:"delivered"` // different records
	Lost       int64  `json:"lost"`
	Duplicated int64  `json:"duplicated"`
	Early      int64  `json:"early"`
	// Disordered are records that arrived behind a later one of their key and
	// level.
	Disordered int64 `json:"disordered"`
	// Kills is how often the contender was killed on the way.
	Kills int `json:"kills,omitempty"`
	// Cancelled are records that were cancelled in time, which is a second before they are due
	// or more, and CancelledDelivered those that arrived all the same; steady. Where records
	// are pending, Cancelled are the cancels that are outstanding, and hit nothing.
	Cancelled          int64 `json:"cancelled,omitempty"`
	CancelledDelivered int64 `json:"cancelled_delivered,omitempty"`
	// SentRate is how many records a second went in; steady. It is below the
	// load's rate where the sender could not keep up.
	SentRate float64 `json:"sent_rate,omitempty"`
	// Seconds is from the first delivery to the last, and Rate the deliveries
	// a second in that time.
	Seconds float64 `json:"seconds,omitempty"`
	Rate    float64 `json:"rate,omitempty"`
	Late    *Late   `json:"late,omitempty"`
	// FirstSeconds is from the start of the process to its first delivery.
	FirstSeconds float64 `json:"first_seconds,omitempty"`
	// CPUSeconds are user and system time of the contender's process while it
	// was loaded.
	CPUSeconds    float64 `json:"cpu_seconds,omitempty"`
	CPUPerMillion float64 `json:"cpu_seconds_per_million,omitempty"`
	// IdleMiB is the resident memory before any load, and PeakMiB its peak.
	IdleMiB float64 `json:"idle_mib,omitempty"`
	PeakMiB float64 `json:"peak_mib,omitempty"`
	// PendingMiB is the resident memory when all records wait; pending.
	PendingMiB float64 `json:"pending_mib,omitempty"`
	// IdleCPUPercent and PendingCPUPercent are of one core, with nothing to do:
	// before anything waits and when all records do; pending.
	IdleCPUPercent    float64 `json:"idle_cpu_percent,omitempty"`
	PendingCPUPercent float64 `json:"pending_cpu_percent,omitempty"`
	// CancelsMiB and CancelsCPUPercent are the same when the cancels are outstanding too;
	// pending.
	CancelsMiB        float64 `json:"cancels_mib,omitempty"`
	CancelsCPUPercent float64 `json:"cancels_cpu_percent,omitempty"`
}

// Late is how late records were, in milliseconds; the report's Clock says
// exactly what that is.
type Late struct {
	Mean float64 `json:"mean_ms"`
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
	Max  float64 `json:"max_ms"`
	// Percentiles are for plotting, rising.
	Percentiles []Percentile `json:"percentiles,omitempty"`
	// Histogram is all of it, in microseconds.
	Histogram *hdrhistogram.Histogram `json:"-"`
}

// Percentile is a share of the records, in percent, and the latest of them.
type Percentile struct {
	Percent float64 `json:"percent"`
	Ms      float64 `json:"ms"`
}

// Figure names a figure of a result that runs are compared by.
type Figure string

// The figures, see [Result].
const (
	FigureLateP50       Figure = "late_p50_ms"
	FigureLateP90       Figure = "late_p90_ms"
	FigureLateP99       Figure = "late_p99_ms"
	FigureLateP999      Figure = "late_p999_ms"
	FigureLateMax       Figure = "late_max_ms"
	FigureRate          Figure = "rate"
	FigureFirst         Figure = "first_seconds"
	FigureCPUPerMillion Figure = "cpu_seconds_per_million"
	FigureIdleMiB       Figure = "idle_mib"
	FigurePendingMiB    Figure = "pending_mib"
	FigurePeakMiB       Figure = "peak_mib"
	FigureIdleCPU       Figure = "idle_cpu_percent"
	FigurePendingCPU    Figure = "pending_cpu_percent"
	FigureCancelsMiB    Figure = "cancels_mib"
	FigureCancelsCPU    Figure = "cancels_cpu_percent"
)

// Figures are all of them, in the order to show them in.
var Figures = []Figure{
	FigureLateP50, FigureLateP90, FigureLateP99, FigureLateP999, FigureLateMax,
	FigureRate, FigureFirst, FigureCPUPerMillion,
	FigureIdleMiB, FigurePendingMiB, FigureCancelsMiB, FigurePeakMiB, FigureIdleCPU, FigurePendingCPU, FigureCancelsCPU,
}

// Summary is all rounds of one contender.
type Summary struct {
	Contender Kind   `json:"contender"`
	Label     string `json:"label,omitempty"`
	Rounds    int    `json:"rounds"`
	// The counts are of all rounds together.
	Sent       int64 `json:"sent"`
	Delivered  int64 `json:"delivered"`
	Lost       int64 `json:"lost"`
	Duplicated int64 `json:"duplicated"`
	Early      int64 `json:"early"`
	Disordered int64 `json:"disordered"`
	Kills      int   `json:"kills,omitempty"`
	// Cancelled and CancelledDelivered: see [Result].
	Cancelled          int64 `json:"cancelled,omitempty"`
	CancelledDelivered int64 `json:"cancelled_delivered,omitempty"`
	// Medians are over the rounds, of each figure that the scenario has.
	Medians map[Figure]float64 `json:"medians"`
	// Late is of the records of all rounds together, for plotting; nil where
	// lateness is not measured.
	Late *Late `json:"-"`
}

// Ratio compares a figure of Of with the same figure of To: the median, the
// least and the greatest of the ratios of each round, because what the two of a
// round share is the state of the machine.
type Ratio struct {
	Of      Kind    `json:"of"`
	OfLabel string  `json:"of_label,omitempty"`
	To      Kind    `json:"to"`
	ToLabel string  `json:"to_label,omitempty"`
	Figure  Figure  `json:"figure"`
	Median  float64 `json:"median"`
	Min     float64 `json:"min"`
	Max     float64 `json:"max"`
	Pairs   int     `json:"pairs"`
}
