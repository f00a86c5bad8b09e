package connect

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Use is what the options of a program are for.
type Use int

const (
	// ForService is several clients that read and write what the service chooses.
	ForService Use = iota
	// ForProducer is one client that writes.
	ForProducer
)

// Refuse reports the first option that would break what opts are for, and what to do
// instead. It opens no connection. Options that franz-go itself refuses are left to it.
func Refuse(opts []kgo.Opt, use Use) error {
	cl := configured(opts)
	if cl == nil {
		return nil
	}
	if err := refuseReading(cl, use); err != nil {
		return err
	}
	transactional := cl.OptValue(kgo.TransactionalID) != ""
	switch {
	case use == ForService && transactional:
		return errors.New("kgo.TransactionalID would take the place of the service's own transactional ids; " +
			"leave it out, and set Config.Delivery to ExactlyOnce for transactions")
	case use == ForService:
		return refuseHooks(cl, opts)
	case transactional:
		return errors.New("kgo.TransactionalID would make each write part of a transaction that nobody begins; leave it out, " +
			"and write what Prepare returns with the client of your transaction")
	case cl.OptValue(kgo.RecordPartitioner) != any(unchanged):
		return errors.New("kgo.RecordPartitioner could separate records with one key, which would lose their order; leave it out")
	}
	if off, _ := cl.OptValue(kgo.DisableIdempotentWrite).(bool); off {
		return errors.New("kgo.DisableIdempotentWrite would write records twice and out of order; leave it out")
	}
	return nil
}

// reading are the options that make a client read, which begins as soon as it exists.
var reading = []struct {
	name   string
	option any
}{
	{"kgo.ConsumerGroup", kgo.ConsumerGroup},
	{"kgo.ShareGroup", kgo.ShareGroup},
	{"kgo.ConsumeTopics", kgo.ConsumeTopics},
	{"kgo.ConsumePartitions", kgo.ConsumePartitions},
	{"kgo.ConsumeRegex", kgo.ConsumeRegex},
}

func refuseReading(cl *kgo.Client, use Use) error {
	for _, r := range reading {
		if isUnset(cl.OptValue(r.option)) {
			continue
		}
		if use == ForProducer {
			return fmt.Errorf("%s would make the producer's client read records that nobody handles; "+
				"leave it out, and read with a client of your own", r.name)
		}
		return fmt.Errorf("%s would change what the service reads; leave it out, and read with a client of your own", r.name)
	}
	return nil
}

// isUnset reports whether v is a zero value or has no elements.
func isUnset(v any) bool {
	value := reflect.ValueOf(v)
	switch value.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Map, reflect.Slice:
		return value.Len() == 0
	}
	return value.IsZero()
}

// unchanged is the partitioner of options that set none.
var unchanged = &struct{ kgo.Partitioner }{kgo.StickyKeyPartitioner(nil)}

// configured returns a client that has opts, only to read them with OptValue: it is not
// started, and no hook of opts has met it. nil: franz-go refuses opts.
func configured(opts []kgo.Opt) (cl *kgo.Client) {
	reader := new(stopStart)
	defer func() {
		if r := recover(); r != nil && r != any(reader) {
			panic(r)
		}
		cl = reader.client
	}()
	// Hooks meet a client in their order and before it starts anything, see kgo.NewClient.
	_, _ = kgo.NewClient(append([]kgo.Opt{kgo.WithHooks(reader), kgo.RecordPartitioner(unchanged)}, opts...)...)
	return nil
}

// stopStart is a hook that stops the start of the client that it meets.
type stopStart struct{ client *kgo.Client }

// OnNewClient implements kgo.HookNewClient.
func (s *stopStart) OnNewClient(cl *kgo.Client) {
	s.client = cl
	panic(s)
}

// refuseHooks refuses a hook that cannot meet two clients, such as a kprom.Metrics, which
// registers its collectors for each. It would panic when the service opens the second of
// its clients.
func refuseHooks(cl *kgo.Client, opts []kgo.Opt) (err error) {
	kinds := newClientHooks(cl)
	if len(kinds) == 0 {
		return nil
	}
	var met []*kgo.Client
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("kgo.WithHooks: one of %s panics when it meets several clients, which the service has: %v; "+
				"embed it in a type of yours that calls its OnNewClient only once, as clientMetrics of docs/go.md does", strings.Join(kinds, ", "), r)
		}
		for _, cl := range met {
			cl.Close()
		}
	}()
	for range 2 {
		cl, err := kgo.NewClient(append(opts[:len(opts):len(opts)], kgo.DisableClientMetrics())...)
		if err != nil {
			return nil // configured took them; the caller's own client will say it
		}
		met = append(met, cl)
	}
	return nil
}

// newClientHooks are the types of the hooks that do something when they meet a client.
func newClientHooks(cl *kgo.Client) (kinds []string) {
	hooks := reflect.ValueOf(cl.OptValue(kgo.WithHooks)) // a slice of a type that is not exported
	for i := range hooks.Len() {
		hook := hooks.Index(i).Interface()
		if _, own := hook.(*stopStart); own {
			continue
		}
		if _, ok := hook.(kgo.HookNewClient); ok {
			kinds = append(kinds, fmt.Sprintf("%T", hook))
		}
	}
	return kinds
}
