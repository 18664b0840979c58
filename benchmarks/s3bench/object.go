package main

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// maxBody is S3's limit for one PUT or part: 5 GiB.
const maxBody = 5 << 30

// maxMetadataBody bounds XML request bodies; 10,000 parts or 1,000 keys fit well.
const maxMetadataBody = 8 << 20

var (
	errTooLarge   = errors.New("EntityTooLarge")
	errIncomplete = errors.New("IncompleteBody")
	errBadDigest  = errors.New("BadDigest")
)

var etagSerial atomic.Uint64

// object is immutable once it is in a bucket or an upload, so readers need no lock.
type object struct {
	data        [][]byte
	size        int64
	etag        string // quoted
	crc         string // base64 of the big-endian CRC-32, "" if the writer sent none
	modified    time.Time
	contentType string
	meta        map[string]string
}

// headerObject takes from a request what describes an object: type, user metadata and time.
func headerObject(r *http.Request) *object {
	// S3 keeps whole seconds, and says the same time in listings and in Last-Modified.
	o := &object{modified: time.Now().UTC().Truncate(time.Second), contentType: r.Header.Get("Content-Type")}
	if o.contentType == "" {
		o.contentType = "binary/octet-stream"
	}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-Amz-Meta-") {
			if o.meta == nil {
				o.meta = map[string]string{}
			}
			o.meta[name] = values[0]
		}
	}
	return o
}

// newObject reads the body of a PUT into an object, checking the CRC-32 that came with it.
func newObject(r *http.Request, withMD5 bool) (*object, error) {
	body, trailers, err := readBody(r)
	if err != nil {
		return nil, err
	}
	o := headerObject(r)
	o.data = [][]byte{body}
	o.size = int64(len(body))
	if withMD5 {
		sum := md5.Sum(body)
		o.etag = `"` + hex.EncodeToString(sum[:]) + `"`
	} else {
		o.etag = uniqueETag()
	}
	sent := r.Header.Get("X-Amz-Checksum-Crc32")
	if sent == "" {
		sent = trailers["x-amz-checksum-crc32"]
	}
	if sent != "" {
		var sum [4]byte
		binary.BigEndian.PutUint32(sum[:], crc32.ChecksumIEEE(body))
		if o.crc = base64.StdEncoding.EncodeToString(sum[:]); o.crc != sent {
			return nil, errBadDigest
		}
	}
	return o, nil
}

// uniqueETag is an ETag that is no MD5 (it has a part count), for content that is not hashed.
func uniqueETag() string {
	return fmt.Sprintf(`"%032x-1"`, etagSerial.Add(1))
}

// slice is the bytes from start to end (exclusive) of the object, sharing its memory.
func (o *object) slice(start, end int64) [][]byte {
	var out [][]byte
	var base int64
	for _, chunk := range o.data {
		n := int64(len(chunk))
		from, to := max(start-base, 0), min(end-base, n)
		if from < to {
			out = append(out, chunk[from:to])
		}
		base += n
	}
	return out
}

// reader is a seekable view of the object, for ranges.
func (o *object) reader() io.ReadSeeker {
	if len(o.data) == 1 {
		return bytes.NewReader(o.data[0])
	}
	return &chunkReader{o: o}
}

type chunkReader struct {
	o     *object
	at    int64
	index int   // the chunk that holds `at` …
	base  int64 // … and where it starts
}

func (c *chunkReader) Read(p []byte) (int, error) {
	for c.index < len(c.o.data) {
		chunk := c.o.data[c.index]
		if c.at < c.base+int64(len(chunk)) {
			n := copy(p, chunk[c.at-c.base:])
			c.at += int64(n)
			return n, nil
		}
		c.base += int64(len(chunk))
		c.index++
	}
	return 0, io.EOF
}

func (c *chunkReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.at
	case io.SeekEnd:
		offset += c.o.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start")
	}
	c.at, c.index, c.base = offset, 0, 0
	return offset, nil
}

// readBody reads a plain or aws-chunked body, and the trailers of the latter.
func readBody(r *http.Request) ([]byte, map[string]string, error) {
	if strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return readChunked(r)
	}
	if r.ContentLength > maxBody {
		return nil, nil, errTooLarge
	}
	if r.ContentLength >= 0 {
		body := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return nil, nil, errIncomplete
		}
		return body, nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, nil, errIncomplete
	case len(body) > maxBody:
		return nil, nil, errTooLarge
	}
	return body, nil, nil
}

func readChunked(r *http.Request) ([]byte, map[string]string, error) {
	size, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
	if err != nil || size < 0 {
		return nil, nil, errIncomplete
	}
	if size > maxBody {
		return nil, nil, errTooLarge
	}
	body := make([]byte, 0, size)
	in := bufio.NewReaderSize(r.Body, 1<<16)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return nil, nil, errIncomplete
		}
		text, _, _ := strings.Cut(strings.TrimSpace(string(line)), ";")
		n, err := strconv.ParseInt(text, 16, 64)
		if err != nil || n < 0 || n > size-int64(len(body)) {
			return nil, nil, errIncomplete
		}
		if n == 0 {
			break
		}
		at := len(body)
		body = body[:at+int(n)]
		if _, err := io.ReadFull(in, body[at:]); err != nil {
			return nil, nil, errIncomplete
		}
		if _, err := in.Discard(2); err != nil {
			return nil, nil, errIncomplete
		}
	}
	if int64(len(body)) != size {
		return nil, nil, errIncomplete
	}
	trailers := map[string]string{}
	for {
		line, err := in.ReadSlice('\n')
		if name, value, ok := strings.Cut(strings.TrimSpace(string(line)), ":"); ok {
			trailers[strings.ToLower(name)] = value
		}
		if err != nil {
			return body, trailers, nil
		}
	}
}
