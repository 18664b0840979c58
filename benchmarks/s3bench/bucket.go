package main

import (
	"slices"
	"strings"
	"sync"
)

// bucket is a map of objects with its keys in order, brought up to date when it is listed.
type bucket struct {
	mu      sync.RWMutex
	objects map[string]*object
	sorted  []string // in order; may hold keys that are deleted since
	added   []string // put since `sorted` was made
	deleted int      // deleted since `sorted` was made
}

func newBucket() *bucket { return &bucket{objects: map[string]*object{}} }

func (b *bucket) get(key string) *object {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.objects[key]
}

// put stores an object if the conditions hold; "" or an S3 error code.
func (b *bucket) put(key string, o *object, ifNoneMatch, ifMatch string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	old, exists := b.objects[key]
	if ifNoneMatch == "*" && exists {
		return "PreconditionFailed"
	}
	if ifMatch != "" && !exists {
		return "NoSuchKey"
	}
	if ifMatch != "" && !sameETag(ifMatch, old.etag) {
		return "PreconditionFailed"
	}
	b.objects[key] = o
	if !exists {
		b.added = append(b.added, key)
	}
	return ""
}

func (b *bucket) delete(keys ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, key := range keys {
		if _, exists := b.objects[key]; exists {
			delete(b.objects, key)
			b.deleted++
		}
	}
}

// keys is every key in order. New keys are merged in, so listing while others write stays cheap.
func (b *bucket) keys() []string {
	b.mu.RLock()
	if len(b.added) == 0 && b.deleted == 0 {
		defer b.mu.RUnlock()
		return b.sorted
	}
	b.mu.RUnlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.Sort(b.added)
	merged := make([]string, 0, len(b.objects))
	i, j := 0, 0
	for i < len(b.sorted) || j < len(b.added) {
		var key string
		if j == len(b.added) || i < len(b.sorted) && b.sorted[i] <= b.added[j] {
			key = b.sorted[i]
			i++
		} else {
			key = b.added[j]
			j++
		}
		// A key that was deleted and put again is in both.
		if len(merged) > 0 && merged[len(merged)-1] == key {
			continue
		}
		if _, exists := b.objects[key]; exists {
			merged = append(merged, key)
		}
	}
	b.sorted, b.added, b.deleted = merged, nil, 0
	return merged
}

func sameETag(a, b string) bool { return strings.Trim(a, `"`) == strings.Trim(b, `"`) }
