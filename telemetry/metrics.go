package telemetry

// Kind is what the numbers of a metric are.
type Kind int

// The kinds.
const (
	Counter   Kind = iota // only rises
	Gauge                 // rises and falls
	Histogram             // how often a measurement was within which bounds
)

// Family is a metric with its series.
type Family struct {
	Name, Help string
	Kind       Kind
	Labels     []string // the names of the labels; none where there is one series
	Series     []Series // in no order
}

// Series is the state of one series.
type Series struct {
	Values []string // of the family's labels, in their order

	Value float64 // of a counter or a gauge

	// Count and Sum are of all measurements of a histogram, Buckets of those up to a bound.
	Count   uint64
	Sum     float64
	Buckets []Bucket
}

// Bucket is how many measurements of a histogram were at most Upper, those of the buckets
// before it included.
type Bucket struct {
	Upper float64
	Count uint64
}

// Source has metrics. Its methods may be called from several goroutines.
type Source interface {
	// Describe returns the families that Gather has, without their series.
	Describe() []Family
	// Gather returns all series as they are now.
	Gather() []Family
}

// Registry is where metrics are published; delaydprom.Registry makes one for Prometheus.
type Registry interface {
	// Register publishes what source gathers, and returns source. Where a source with the
	// same families is registered it returns that one, so that a router and a forwarder of
	// one program count together. It returns an error, and publishes nothing, where a name
	// is taken by something else.
	Register(source Source) (Source, error)
}
