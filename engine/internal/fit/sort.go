package fit

import (
	"cmp"
	"math"
	"slices"
	"sync"

	"brenier/engine/internal/threads"
)

// sortBucket is how many items a bucket of [sortByKey] has where keys are spread evenly.
const sortBucket = 4

// sortByKey returns the items in the order of their keys, finite numbers, and those of equal keys in
// that of ties: spread into buckets, which are shared out to be sorted. Keys far from even make it a
// plain sort, no worse.
func sortByKey[T any](parallel threads.Share, items []T, key func(T) float64, ties func(a, b T) int) []T {
	low, high := math.Inf(1), math.Inf(-1)
	var known sync.Mutex // what is known of all keys
	parallel(len(items), func(first, end int) {
		least, most := math.Inf(1), math.Inf(-1)
		for i := first; i < end; i++ {
			k := key(items[i])
			least, most = min(least, k), max(most, k)
		}
		known.Lock()
		low, high = min(low, least), max(high, most)
		known.Unlock()
	})
	buckets := 1 + len(items)/sortBucket
	scale := 0.0
	if high > low {
		scale = float64(buckets) / (high - low)
	}
	bucket := make([]int32, len(items)) // of every item; does not fall as keys rise
	ends := make([]int, buckets+1)
	parallel(len(items), func(first, end int) {
		for i := first; i < end; i++ {
			bucket[i] = int32(min(int((key(items[i])-low)*scale), buckets-1))
		}
	})
	for _, b := range bucket {
		ends[b+1]++
	}
	for b := range buckets {
		ends[b+1] += ends[b]
	}
	sorted := make([]T, len(items))
	for i, b := range bucket {
		sorted[ends[b]] = items[i]
		ends[b]++ // from the bucket's start to its end
	}
	parallel(buckets, func(first, end int) {
		start := 0
		if first > 0 {
			start = ends[first-1]
		}
		for _, stop := range ends[first:end] {
			slices.SortFunc(sorted[start:stop], func(a, b T) int {
				if order := cmp.Compare(key(a), key(b)); order != 0 {
					return order
				}
				return ties(a, b)
			})
			start = stop
		}
	})
	return sorted
}
