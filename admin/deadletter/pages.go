package deadletter

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/internal/scan"
	"github.com/delayd-io/delayd/levels"
)

const (
	// pageWindow is how many offsets of a partition are read first for a page, from the
	// end backwards. Each further window is four times as large, up to maxPageWindow.
	pageWindow    = 64
	maxPageWindow = 4096
	// pageLetters is how many letters a page has where the filter sets no limit.
	pageLetters = 50
	// pagePatience bounds how long a page searches for letters. Those found by then are
	// the page, and the next one goes on from there.
	pagePatience = 3 * time.Second
	// pageLooked bounds how many letters a page searches while it is not full: a page of rare letters costs the brokers no more than that.
	pageLooked = 20_000
	// sendingsKept is how many of the newest records that say what was sent again are read
	// and remembered. Twice as many make it forget the older ones.
	sendingsKept = 100_000
)

// Pages shows dead letters page by page, the newest first, and reads no more of
// their topic than a page takes. It remembers what was sent again, the newest 100,000
// times at least, so that only the first page reads all of that. One goroutine at a time
// may use it.
type Pages struct {
	cl       *kgo.Client
	names    levels.Names
	sendings *sendings
	read     map[offsets.Partition]int64 // up to where sendings goes
	kept     int64
}

// NewPages returns Pages that ask through cl.
func NewPages(cl *kgo.Client, names levels.Names) *Pages {
	return &Pages{cl: cl, names: names, kept: sendingsKept}
}

// Page is a page of dead letters.
type Page struct {
	Letters []*Letter `json:"letters"`
	// Next is where the next page begins; "" where no older letter is left.
	Next string `json:"next,omitempty"`
	// Looked is how many records were read for it. A page with a filter may end early,
	// even with no letter at all, when letters that match are rare: Next goes on.
	Looked int `json:"looked"`
	// Older is how many records are left for the pages from Next on.
	Older int64 `json:"older"`
}

// Page returns the letters that f takes, the newest first: from the end of the topic,
// or from before, which is the Next of an earlier page. The limit of f is the size of the
// page, 50 where there is none.
func (p *Pages) Page(ctx context.Context, f Filter, before string) (Page, error) {
	page := Page{Letters: []*Letter{}}
	bounds, err := parsePageBounds(before)
	if err != nil {
		return page, err
	}
	if err := p.refresh(ctx); err != nil {
		return page, err
	}
	spans, err := letterSpans(ctx, p.cl, p.names)
	if err != nil {
		return page, err
	}
	for i := range spans {
		if bound, ok := bounds[spans[i].Partition.Partition]; ok {
			spans[i].To = min(spans[i].To, bound)
		} else if before != "" {
			spans[i].To = spans[i].From // a partition that is newer than the page before
		}
	}
	limit := cmp.Or(f.Limit, pageLetters)
	began := time.Now()
	for window := int64(pageWindow); len(page.Letters) < limit && page.Looked < pageLooked && time.Since(began) < pagePatience; window = min(4*window, maxPageWindow) {
		left := false
		for i := range spans {
			s := &spans[i]
			if s.From >= s.To {
				continue
			}
			left = true
			part := *s
			part.From = max(s.From, s.To-window)
			err := part.Read(ctx, p.cl, func(rec *kgo.Record) error {
				page.Looked++
				if l := newLetter(rec); f.takes(l) {
					l.tell(p.sendings)
					page.Letters = append(page.Letters, l)
				}
				return nil
			})
			if err != nil {
				return page, err
			}
			s.To = part.From
		}
		if !left {
			break
		}
	}
	slices.SortStableFunc(page.Letters, func(a, b *Letter) int {
		return cmp.Or(b.Died.Compare(a.Died), cmp.Compare(b.Offset, a.Offset))
	})
	if len(page.Letters) > limit {
		for _, l := range page.Letters[limit:] {
			for i := range spans {
				if spans[i].Partition.Partition == l.Partition {
					spans[i].To = max(spans[i].To, l.Offset+1)
				}
			}
		}
		clear(page.Letters[limit:])
		page.Letters = page.Letters[:limit]
	}
	page.Next = pageBounds(spans)
	for _, s := range spans {
		page.Older += max(0, s.To-s.From)
	}
	return page, nil
}

// Read reads the record at a place, as [Read] does, and reads no more than a page of
// what was sent again for it.
func (p *Pages) Read(ctx context.Context, at admin.Place, most int) (*Contents, error) {
	c, err := readContents(ctx, p.cl, p.names, at, most)
	if err != nil || c.Letter == nil {
		return c, err
	}
	if err := p.refresh(ctx); err != nil {
		return nil, err
	}
	c.Letter.tell(p.sendings)
	return c, nil
}

// refresh reads what was sent again since the last time.
func (p *Pages) refresh(ctx context.Context) error {
	spans, err := scan.Readable(ctx, p.cl, p.names.Resent())
	if err != nil {
		return err
	}
	for _, s := range spans {
		if s.To < p.read[s.Partition] { // deleted, and made again
			p.sendings = nil
		}
	}
	if p.sendings == nil || spans == nil || int64(len(p.sendings.letters)) > 2*p.kept {
		p.sendings, p.read = newSendings(), make(map[offsets.Partition]int64)
	}
	for _, s := range spans {
		s.From = max(s.From, p.read[s.Partition], s.To-p.kept)
		if err := p.sendings.read(ctx, p.cl, s); err != nil {
			p.sendings = nil
			return err
		}
		p.read[s.Partition] = s.To
	}
	return nil
}

// pageBounds is up to where the next page goes, as in "0:17,1:4": the partitions that
// have older letters, and an offset after those. "" is none.
func pageBounds(spans []scan.Span) string {
	var parts []string
	for _, s := range spans {
		if s.From < s.To {
			parts = append(parts, fmt.Sprintf("%d:%d", s.Partition.Partition, s.To))
		}
	}
	return strings.Join(parts, ",")
}

func parsePageBounds(s string) (map[int32]int64, error) {
	bounds := make(map[int32]int64)
	if s == "" {
		return bounds, nil
	}
	for _, part := range strings.Split(s, ",") {
		partition, offset, _ := strings.Cut(part, ":")
		n, err1 := strconv.ParseInt(partition, 10, 32)
		at, err2 := strconv.ParseInt(offset, 10, 64)
		if err1 != nil || err2 != nil || n < 0 || at < 0 {
			return nil, fmt.Errorf("%q is not where a page of dead letters begins; leave it out for the newest", s)
		}
		bounds[int32(n)] = at
	}
	return bounds, nil
}
