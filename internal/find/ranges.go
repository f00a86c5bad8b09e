package find

import (
	"cmp"
	"slices"
)

// interval is offsets from one up to before another.
type interval struct{ from, to int64 }

func (i interval) len() int64 { return max(0, i.to-i.from) }

// ranges are disjoint intervals in their order: what has been read of a partition.
type ranges []interval

// with returns ranges that have i too.
func (r ranges) with(i interval) ranges {
	if i.len() == 0 {
		return r
	}
	all := append(slices.Clone(r), i)
	slices.SortFunc(all, func(a, b interval) int { return cmp.Compare(a.from, b.from) })
	merged := all[:1]
	for _, next := range all[1:] {
		last := &merged[len(merged)-1]
		if next.from > last.to {
			merged = append(merged, next)
			continue
		}
		last.to = max(last.to, next.to)
	}
	return merged
}

// missing returns the parts of i that are not in the ranges, in their order.
func (r ranges) missing(i interval) (gaps []interval) {
	at := i.from
	for _, have := range r {
		if gap := (interval{at, min(have.from, i.to)}); gap.len() > 0 {
			gaps = append(gaps, gap)
		}
		at = max(at, have.to)
	}
	if gap := (interval{at, i.to}); gap.len() > 0 {
		gaps = append(gaps, gap)
	}
	return gaps
}

// allot divides a budget among wishes: each gets what it wishes for, or an equal share of
// what the smaller ones leave.
func allot(wishes []int64, budget int64) []int64 {
	order := make([]int, len(wishes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(wishes[a], wishes[b]) })
	shares := make([]int64, len(wishes))
	for k, i := range order {
		shares[i] = min(wishes[i], budget/int64(len(order)-k))
		budget -= shares[i]
	}
	return shares
}
