package cancel

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/delayd-io/delayd/internal/record"
)

// TestHits goes by the table, which has a reason per line.
func TestHits(t *testing.T) {
	t.Parallel()
	file, err := os.Open("testdata/hits.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for in := bufio.NewScanner(file); in.Scan(); {
		line := in.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		var kind, place, target, who, verdict string
		m, s := Mark{}, record.Subject{}
		if _, err := fmt.Sscan(line, &kind, &m.At, &place, &s.Accepted, &target, &who, &verdict); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		m.Replaces, s.Unique = kind == "replace", who == "default"
		scan := func(text string, partition *int32, offset *int64) {
			if _, err := fmt.Sscanf(text, "%d/%d", partition, offset); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
		scan(place, &m.Partition, &m.Offset)
		if s.Place.Known = target != "-"; s.Place.Known {
			scan(target, &s.Place.Partition, &s.Place.Offset)
		}
		if got := m.Hits(&s); got != (verdict == "hit") {
			t.Errorf("%s\ngot hit: %v", line, got)
		}
	}
}

// TestReplacementsSpareOne: of records with one id that replace each other, whatever their
// order on the inbox and in time, one stays.
func TestReplacementsSpareOne(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		n := 2 + random.IntN(4)
		marks, subjects := make([]Mark, n), make([]record.Subject, n)
		var table Table
		next := make(map[int32]int64)
		at := int64(1000)
		for i := range n {
			p := int32(random.IntN(3))
			next[p]++
			at += int64(random.IntN(2)) // ties are frequent; a partition's times never fall
			marks[i] = Mark{Name: NameOf([]byte("id"), []byte("k")), Replaces: true, At: at, Partition: p, Offset: next[p]}
			subjects[i] = record.Subject{ID: []byte("id"), Key: []byte("k"), Accepted: at, Place: record.Place{Partition: p, Offset: next[p], Known: true}}
		}
		for _, i := range random.Perm(n) { // marks of different partitions are read in any order
			table.Add(marks[i])
		}
		spared := 0
		for i := range subjects {
			if !table.Hit(&subjects[i]) {
				spared++
			}
		}
		if spared != 1 {
			t.Fatalf("%d of %d stay: %v", spared, n, marks)
		}
	}
}

// TestTableIsTheTwin: a table hits what any of its marks hits. A record may be missed that was
// accepted in the same millisecond as the mark, in another partition: nobody knows which was
// first, and a mark of its own partition may have said that it was later than that.
func TestTableIsTheTwin(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(2, 2))
	key := func(n int) []byte {
		if n == 0 {
			return nil
		}
		return fmt.Appendf(nil, "k%d", n)
	}
	for range 200 {
		var table Table
		var marks []Mark
		var names []string
		at := int64(0)
		for i := range 30 {
			id, k := fmt.Appendf(nil, "id%d", random.IntN(3)), key(random.IntN(3))
			at += int64(random.IntN(3))
			m := Mark{Name: NameOf(id, k), AnyKey: k == nil, Replaces: random.IntN(2) == 0, At: at, Partition: int32(random.IntN(2)), Offset: int64(i)}
			marks, names = append(marks, m), append(names, fmt.Sprintf("%s/%s", id, k))
		}
		for _, i := range random.Perm(len(marks)) {
			table.Add(marks[i])
		}
		for range 100 {
			id, k := fmt.Appendf(nil, "id%d", random.IntN(3)), key(random.IntN(3))
			i := random.IntN(30) // times rise with the offset, as on the inbox
			s := record.Subject{ID: id, Key: k, Accepted: marks[i].At, Place: record.Place{Partition: marks[i].Partition, Offset: marks[i].Offset, Known: true}}
			want, certain := false, true
			for j := range marks {
				named := names[j] == fmt.Sprintf("%s/%s", id, k) || names[j] == fmt.Sprintf("%s/", id)
				if named && marks[j].Hits(&s) {
					tie := marks[j].Partition != s.Place.Partition && marks[j].At == s.Accepted
					certain = (want && certain) || !tie
					want = true
				}
			}
			if got := table.Hit(&s); got != want && (certain || got) {
				for j := range marks {
					if names[j] == fmt.Sprintf("%s/%s", id, k) || names[j] == fmt.Sprintf("%s/", id) {
						t.Logf("%s, hits: %v", marks[j], marks[j].Hits(&s))
					}
				}
				t.Fatalf("hit %v, want %v: %s %s %+v", got, want, id, k, s)
			}
		}
	}
}

// TestNames: an id and a key are not another id and key, and no key is not an empty one.
func TestNames(t *testing.T) {
	t.Parallel()
	seen := make(map[Name]string)
	for _, of := range [][2][]byte{{[]byte("a"), []byte("b")}, {[]byte("ab"), []byte("")}, {[]byte(""), []byte("ab")}, {[]byte("ab"), nil}, {[]byte("a"), nil}, {[]byte("a"), []byte("")}} {
		name, what := NameOf(of[0], of[1]), fmt.Sprintf("%q %q", of[0], of[1])
		if other, taken := seen[name]; taken {
			t.Errorf("%s and %s have one name", what, other)
		}
		seen[name] = what
	}
}

// TestParse: a mark is read as it was written, and nothing else is a mark.
func TestParse(t *testing.T) {
	t.Parallel()
	for _, m := range []Mark{
		{Name: NameOf([]byte("a"), nil), AnyKey: true, At: 1, Partition: 2, Offset: 3},
		{Name: NameOf([]byte("a"), []byte("k")), At: 1700000000000, Partition: 2, Offset: 3},
		{Name: NameOf([]byte("a"), []byte("k")), Replaces: true},
		{Name: NameOf([]byte("a"), nil), Replaces: true, AnyKey: true, Offset: 1 << 60},
	} {
		if got, err := Parse(m.String()); err != nil || got != m {
			t.Errorf("%s: %+v, %v", m, got, err)
		}
	}
	good := Mark{}.String()
	for _, bad := range []string{"", "hello", good + " 1", strings.Replace(good, "cancel", "pause", 1), strings.Replace(good, "00", "0", 1), strings.Replace(good, "00", "zz", 1), good[:len(good)-1] + "x"} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%q is a mark", bad)
		}
	}
}

// TestPurge: marks of before a time are forgotten, the others stay, and memory is given back.
func TestPurge(t *testing.T) {
	t.Parallel()
	var table Table
	const n = 100_000
	for i := range int64(n) {
		table.Add(Mark{Name: NameOf(fmt.Append(nil, i), []byte("k")), At: i})
	}
	if purged := table.Purge(n - 1000); purged != n-1000 || table.Len() != 1000 {
		t.Errorf("%d purged, %d left", purged, table.Len())
	}
	s := record.Subject{ID: []byte("99500"), Key: []byte("k"), Accepted: 1}
	if !table.Hit(&s) {
		t.Error("a mark that stays hits nothing")
	}
	if s.ID = []byte("98000"); table.Hit(&s) {
		t.Error("a purged mark hits")
	}
	table.Purge(n)
	if table.byKey != nil || table.byID != nil {
		t.Error("an empty table keeps its memory")
	}
}

// TestMemory: a mark takes no more than the documentation says.
func TestMemory(t *testing.T) {
	const n, most = 1_000_000, 128
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	tables := make([]Table, shards)
	for i := range int64(n) {
		name := NameOf(fmt.Append(nil, i), []byte("k"))
		tables[name[0]%shards].Add(Mark{Name: name, At: i})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := float64(after.HeapAlloc-before.HeapAlloc) / n
	t.Logf("%.1f bytes a mark", each)
	if each > most {
		t.Errorf("%.1f bytes a mark, and the documentation says at most %d", each, most)
	}
	runtime.KeepAlive(tables)
}

// TestMarksByID: marks of an id alone are asked for only while there are some, and count again
// when they are purged.
func TestMarksByID(t *testing.T) {
	t.Parallel()
	m := NewMarks("t", KeepAfter, nopLog, nopGauge)
	now := time.Now()
	s := record.Subject{ID: []byte("a"), Key: []byte("k"), Accepted: now.UnixMilli() - 1}
	m.table.add(Mark{Name: NameOf([]byte("b"), []byte("k")), At: now.UnixMilli()})
	if m.Hit(&s) {
		t.Error("another id's mark hits")
	}
	for range 2 { // the second is the first
		m.table.add(Mark{Name: NameOf([]byte("a"), nil), AnyKey: true, At: now.UnixMilli()})
	}
	if !m.Hit(&s) || m.Len() != 2 || m.table.byID.Load() != 1 {
		t.Errorf("hit: %v; %d marks, %d of an id alone; want 2 and 1", m.Hit(&s), m.Len(), m.table.byID.Load())
	}
	m.purge(now.Add(2 * KeepAfter))
	if m.Hit(&s) || m.Len() != 0 || m.table.byID.Load() != 0 {
		t.Errorf("after the purge: hit: %v; %d marks, %d of an id alone", m.Hit(&s), m.Len(), m.table.byID.Load())
	}
}

// BenchmarkHit is what a record costs while a million marks are outstanding.
func BenchmarkHit(b *testing.B) {
	m := NewMarks("t", KeepAfter, nopLog, nopGauge)
	for i := range 1_000_000 {
		m.table.add(Mark{Name: NameOf(fmt.Append(nil, i), []byte("k"))})
	}
	s := record.Subject{ID: []byte("an id of some length, as a UUID"), Key: []byte("a key")}
	b.ReportAllocs()
	for b.Loop() {
		m.Hit(&s)
	}
}
