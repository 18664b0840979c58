package main

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"time"
)

// partSize is the size from which clients upload in parts by default (boto3, aws): the ETag is then no MD5.
const partSize = 8 << 20

// fill describes a bucket to be made at the start.
type fill struct {
	bucket            string
	count             int
	smallest, largest int64
}

type fillList []fill

func (l *fillList) String() string { return fmt.Sprint(*l) }

func (l *fillList) Set(text string) error {
	var f fill
	fields := strings.Split(text, ":")
	if len(fields) != 4 {
		return fmt.Errorf("%q is not bucket:count:smallest:largest", text)
	}
	f.bucket = fields[0]
	if _, err := fmt.Sscan(strings.Join(fields[1:], " "), &f.count, &f.smallest, &f.largest); err != nil {
		return fmt.Errorf("%q is not bucket:count:smallest:largest: %w", text, err)
	}
	if f.bucket == "" || f.count < 0 || f.smallest < 0 || f.largest < f.smallest {
		return fmt.Errorf("%q makes no bucket", text)
	}
	*l = append(*l, f)
	return nil
}

// fill makes the objects of a bucket: the same ones at every start, cut from one random block that they share.
func (s *Server) fill(f fill) {
	b := s.makeBucket(f.bucket)
	block := make([]byte, 2*partSize)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(block) // never fails
	modified := time.Now().UTC().Truncate(time.Second)
	objects := make([]*object, f.count)
	var work sync.WaitGroup
	for worker := range runtime.NumCPU() {
		work.Go(func() {
			for i := worker; i < f.count; i += runtime.NumCPU() {
				objects[i] = f.object(i, block, modified, s.options.MD5)
			}
		})
	}
	work.Wait()
	for i, o := range objects {
		b.put(fmt.Sprintf("dir%03d/obj-%07d.bin", i%100, i), o, "", "")
	}
	b.keys()
}

func (f fill) object(i int, block []byte, modified time.Time, withMD5 bool) *object {
	random := rand.New(rand.NewPCG(uint64(i), 1))
	size := f.smallest + random.Int64N(f.largest-f.smallest+1)
	o := &object{size: size, modified: modified, contentType: "binary/octet-stream", etag: uniqueETag()}
	for left := size; left > 0; {
		n := min(left, partSize)
		start := random.Int64N(int64(len(block)) - n + 1)
		o.data = append(o.data, block[start:start+n])
		left -= n
	}
	if size < partSize && withMD5 {
		hash := md5.New()
		for _, chunk := range o.data {
			hash.Write(chunk)
		}
		o.etag = `"` + hex.EncodeToString(hash.Sum(nil)) + `"`
	}
	return o
}
