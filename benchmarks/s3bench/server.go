package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// statuses are the HTTP statuses of the S3 error codes that are answered; all others are 400.
var statuses = map[string]int{
	"NoSuchBucket":       http.StatusNotFound,
	"NoSuchKey":          http.StatusNotFound,
	"NoSuchUpload":       http.StatusNotFound,
	"BucketNotEmpty":     http.StatusConflict,
	"PreconditionFailed": http.StatusPreconditionFailed,
	"InvalidRange":       http.StatusRequestedRangeNotSatisfiable,
	"NotImplemented":     http.StatusNotImplemented,
	"SlowDown":           http.StatusServiceUnavailable,
}

// Server holds the buckets; it is safe for use by many requests at once.
type Server struct {
	options      Options
	mu           sync.RWMutex
	buckets      map[string]*bucket
	uploads      sync.Map // upload id to *upload
	uploadSerial atomic.Int64
}

// NewServer makes a server without buckets.
func NewServer(options Options) *Server {
	return &Server{options: options, buckets: map[string]*bucket{}}
}

func (s *Server) bucket(name string) *bucket {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.buckets[name]
}

func (s *Server) makeBucket(name string) *bucket {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[name] == nil {
		s.buckets[name] = newBucket()
	}
	return s.buckets[name]
}

func fail(w http.ResponseWriter, code string) {
	status, ok := statuses[code]
	if !ok {
		status = http.StatusBadRequest
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "%s<Error><Code>%s</Code><Message>%s</Message></Error>", xml.Header, code, code)
}

func writeXML(w http.ResponseWriter, format string, values ...any) {
	w.Header().Set("Content-Type", "application/xml")
	_, _ = io.WriteString(w, xml.Header)
	_, _ = fmt.Fprintf(w, format, values...)
}

// ServeHTTP answers path-style S3 requests.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.options.Latency > 0 {
		time.Sleep(s.options.Latency)
	}
	if s.options.Err503 > 0 && rand.Float64() < s.options.Err503 {
		_, _ = io.Copy(io.Discard, r.Body)
		fail(w, "SlowDown")
		return
	}
	name, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	var q url.Values
	if r.URL.RawQuery != "" {
		q = r.URL.Query()
	}
	switch b := s.bucket(name); {
	case name == "":
		s.listBuckets(w)
	case key == "":
		s.serveBucket(w, r, b, name, q)
	case b == nil:
		_, _ = io.Copy(io.Discard, r.Body)
		fail(w, "NoSuchBucket")
	default:
		s.serveObject(w, r, b, name, key, q)
	}
}

func (s *Server) listBuckets(w http.ResponseWriter) {
	var names strings.Builder
	s.mu.RLock()
	for name := range s.buckets {
		fmt.Fprintf(&names, "<Bucket><Name>%s</Name><CreationDate>2026-01-01T00:00:00.000Z</CreationDate></Bucket>", escape(name))
	}
	s.mu.RUnlock()
	writeXML(w, "<ListAllMyBucketsResult><Owner><ID>a</ID></Owner><Buckets>%s</Buckets></ListAllMyBucketsResult>", names.String())
}

func (s *Server) serveBucket(w http.ResponseWriter, r *http.Request, b *bucket, name string, q url.Values) {
	if b == nil && r.Method != http.MethodPut {
		fail(w, "NoSuchBucket")
		return
	}
	switch r.Method {
	case http.MethodPut:
		s.makeBucket(name)
	case http.MethodHead:
	case http.MethodGet:
		switch {
		case q.Has("location"):
			writeXML(w, `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LocationConstraint>`)
		case q.Has("versioning"):
			writeXML(w, `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></VersioningConfiguration>`)
		case q.Has("uploads"), q.Has("versions"):
			fail(w, "NotImplemented")
		default:
			list(w, b, name, q)
		}
	case http.MethodPost:
		if !q.Has("delete") {
			fail(w, "NotImplemented")
			return
		}
		deleteMany(w, r, b)
	case http.MethodDelete:
		s.deleteBucket(w, b, name)
	default:
		fail(w, "NotImplemented")
	}
}

func (s *Server) deleteBucket(w http.ResponseWriter, b *bucket, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.mu.RLock()
	defer b.mu.RUnlock()
	if len(b.objects) > 0 {
		fail(w, "BucketNotEmpty")
		return
	}
	delete(s.buckets, name)
	w.WriteHeader(http.StatusNoContent)
}

func deleteMany(w http.ResponseWriter, r *http.Request, b *bucket) {
	var request struct {
		Quiet  bool
		Object []struct{ Key string }
	}
	if err := xml.NewDecoder(io.LimitReader(r.Body, maxMetadataBody)).Decode(&request); err != nil {
		fail(w, "MalformedXML")
		return
	}
	keys := make([]string, len(request.Object))
	var deleted strings.Builder
	for i, o := range request.Object {
		keys[i] = o.Key
		if !request.Quiet {
			fmt.Fprintf(&deleted, "<Deleted><Key>%s</Key></Deleted>", escape(o.Key))
		}
	}
	b.delete(keys...)
	writeXML(w, `<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">%s</DeleteResult>`, deleted.String())
}

func (s *Server) serveObject(w http.ResponseWriter, r *http.Request, b *bucket, name, key string, q url.Values) {
	id := q.Get("uploadId")
	switch r.Method {
	case http.MethodPut:
		if r.Header.Get("X-Amz-Copy-Source") != "" {
			s.copyObject(w, r, b, name, key, id, q.Get("partNumber"))
			return
		}
		s.putObject(w, r, b, name, key, id, q.Get("partNumber"))
	case http.MethodPost:
		switch {
		case q.Has("uploads"):
			s.startUpload(w, r, name, key)
		case id != "":
			s.completeUpload(w, r, b, name, key, id)
		default:
			fail(w, "NotImplemented")
		}
	case http.MethodDelete:
		if id != "" {
			s.uploads.Delete(id)
		} else {
			b.delete(key)
		}
		w.WriteHeader(http.StatusNoContent)
	case http.MethodGet, http.MethodHead:
		if s.options.Rate > 0 {
			w = &paced{ResponseWriter: w, rate: s.options.Rate, begun: time.Now()}
		}
		getObject(w, r, b.get(key))
	default:
		fail(w, "NotImplemented")
	}
}

func (s *Server) putObject(w http.ResponseWriter, r *http.Request, b *bucket, name, key, id, part string) {
	o, err := newObject(r, s.options.MD5)
	if err != nil {
		fail(w, err.Error())
		return
	}
	var code string
	if id == "" {
		code = b.put(key, o, r.Header.Get("If-None-Match"), r.Header.Get("If-Match"))
	} else if u := s.findUpload(id, name, key); u != nil {
		code = u.putPart(part, o)
	} else {
		code = "NoSuchUpload"
	}
	if code != "" {
		fail(w, code)
		return
	}
	w.Header().Set("ETag", o.etag)
	if o.crc != "" {
		w.Header().Set("X-Amz-Checksum-Crc32", o.crc)
	}
}

// paced sends a body no faster than so many bytes a second, as networks send those of one connection.
type paced struct {
	http.ResponseWriter
	rate, sent int64
	begun      time.Time
}

const paceStep = 256 << 10

func (p *paced) Write(data []byte) (int, error) {
	total := 0
	for len(data) > 0 {
		n, err := p.ResponseWriter.Write(data[:min(len(data), paceStep)])
		total += n
		p.sent += int64(n)
		if err != nil {
			return total, err
		}
		data = data[n:]
		due := p.begun.Add(time.Duration(float64(p.sent) / float64(p.rate) * float64(time.Second)))
		time.Sleep(time.Until(due))
	}
	return total, nil
}

// conditional are the headers for which net/http's own file serving is used; without them it is bypassed for speed.
var conditional = []string{"Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"}

func getObject(w http.ResponseWriter, r *http.Request, o *object) {
	if o == nil {
		fail(w, "NoSuchKey")
		return
	}
	header := w.Header()
	header.Set("ETag", o.etag)
	header.Set("Content-Type", o.contentType)
	for name, value := range o.meta {
		header.Set(name, value)
	}
	for _, name := range conditional {
		if r.Header.Get(name) != "" {
			http.ServeContent(w, r, "", o.modified, o.reader())
			return
		}
	}
	if o.crc != "" && r.Header.Get("X-Amz-Checksum-Mode") != "" {
		header.Set("X-Amz-Checksum-Crc32", o.crc)
	}
	header.Set("Accept-Ranges", "bytes")
	header.Set("Last-Modified", o.modified.Format(http.TimeFormat))
	header.Set("Content-Length", strconv.FormatInt(o.size, 10))
	if r.Method == http.MethodGet {
		for _, chunk := range o.data {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
}
