package bench

import (
	"context"
	"fmt"
	"math"
	"net"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
)

// unknown stands for what this system does not say; no figure depends on it.
const unknown = "unknown"

// describeMachine says what this is.
func describeMachine() Machine {
	m := Machine{CPU: unknown, Cores: min(runtime.NumCPU(), runtime.GOMAXPROCS(0)), OS: unknown, Arch: runtime.GOARCH, Go: runtime.Version()}
	if infos, err := cpu.Info(); err == nil && len(infos) > 0 && infos[0].ModelName != "" {
		m.CPU = strings.Join(strings.Fields(infos[0].ModelName), " ")
	}
	if v, err := mem.VirtualMemory(); err == nil {
		m.MemoryGiB = math.Round(float64(v.Total)/(1<<30)*10) / 10
	}
	if h, err := host.Info(); err == nil {
		m.OS = strings.TrimSpace(fmt.Sprintf("%s %s, %s %s", h.Platform, h.PlatformVersion, h.OS, h.KernelVersion))
	}
	return m
}

// describeCluster asks the brokers what they are. It is the first thing that is
// asked of them.
func describeCluster(ctx context.Context, client *kgo.Client) (Cluster, error) {
	adm := kadm.NewClient(client)
	meta, err := adm.BrokerMetadata(ctx)
	if err != nil {
		return Cluster{}, fmt.Errorf("ask the brokers what they are: %w", err)
	}
	c := Cluster{Brokers: len(meta.Brokers), Version: unknown, Local: true}
	for _, broker := range meta.Brokers {
		ip := net.ParseIP(broker.Host)
		c.Local = c.Local && (broker.Host == "localhost" || ip != nil && ip.IsLoopback())
	}
	if c.Embedded, err = connect.IsEmbedded(ctx, client); err != nil {
		return c, err
	}
	versions, err := adm.ApiVersions(ctx)
	if err != nil {
		return c, fmt.Errorf("ask the brokers for their versions: %w", err)
	}
	for _, v := range versions.Sorted() {
		c.Version = v.VersionGuess()
		break // the first speaks for all
	}
	return c, nil
}

// clock says what lateness is measured with and from.
func clock(c Cluster) string {
	accepted := "the broker's clock when it took the record"
	if c.Embedded {
		accepted = "the sender's clock, because the embedded broker keeps the sender's timestamps"
	}
	differ := " Those are different clocks where the broker is another machine, and their difference is in every figure."
	if c.Local {
		differ = " Both are the clock of one machine."
	}
	return "Lateness is the time at which the bench's own consumer has a record, by this machine's clock, minus the time of " +
		"acceptance, by " + accepted + ", minus the level's delay. " +
		"It includes the millisecond that is waited so as never to be early, and up to one more that Kafka cuts off its timestamps." + differ
}

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknown
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "devel"
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v += " " + s.Value[:min(len(s.Value), 12)]
			}
		}
	}
	return v
}
