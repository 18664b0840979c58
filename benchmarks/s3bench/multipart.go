package main

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// minPart is S3's least size of every part but the last: 5 MiB.
const minPart = 5 << 20

const maxParts = 10_000

// upload is a multipart upload that is not completed yet.
type upload struct {
	key   string
	head  *object
	mu    sync.Mutex
	parts map[int]*object
}

func (s *Server) startUpload(w http.ResponseWriter, r *http.Request, bucketName, key string) {
	id := fmt.Sprintf("u%d", s.uploadSerial.Add(1))
	s.uploads.Store(id, &upload{key: bucketName + "/" + key, head: headerObject(r), parts: map[int]*object{}})
	writeXML(w, "<InitiateMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><UploadId>%s</UploadId></InitiateMultipartUploadResult>",
		escape(bucketName), escape(key), id)
}

func (s *Server) findUpload(id, bucketName, key string) *upload {
	if found, ok := s.uploads.Load(id); ok {
		if u := found.(*upload); u.key == bucketName+"/"+key {
			return u
		}
	}
	return nil
}

// putPart stores a part that was sent or copied.
func (u *upload) putPart(number string, part *object) string {
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > maxParts {
		return "InvalidArgument"
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.parts[n] = part
	return ""
}

type completeRequest struct {
	Parts []struct {
		PartNumber int
		ETag       string
	} `xml:"Part"`
}

func (s *Server) completeUpload(w http.ResponseWriter, r *http.Request, b *bucket, bucketName, key, id string) {
	u := s.findUpload(id, bucketName, key)
	if u == nil {
		fail(w, "NoSuchUpload")
		return
	}
	var request completeRequest
	if err := xml.NewDecoder(io.LimitReader(r.Body, maxMetadataBody)).Decode(&request); err != nil || len(request.Parts) == 0 {
		fail(w, "MalformedXML")
		return
	}
	o, code := u.assemble(request)
	if code == "" {
		code = b.put(key, o, r.Header.Get("If-None-Match"), r.Header.Get("If-Match"))
	}
	if code != "" {
		fail(w, code)
		return
	}
	s.uploads.Delete(id)
	writeXML(w, "<CompleteMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><ETag>%s</ETag></CompleteMultipartUploadResult>",
		escape(bucketName), escape(key), escape(o.etag))
}

// assemble puts the named parts together, or says which rule of S3 they break.
func (u *upload) assemble(request completeRequest) (*object, string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	o := *u.head
	hash := md5.New()
	before := 0
	for i, named := range request.Parts {
		if named.PartNumber <= before {
			return nil, "InvalidPartOrder"
		}
		before = named.PartNumber
		part := u.parts[named.PartNumber]
		if part == nil || !sameETag(named.ETag, part.etag) {
			return nil, "InvalidPart"
		}
		if part.size < minPart && i < len(request.Parts)-1 {
			return nil, "EntityTooSmall"
		}
		o.data = append(o.data, part.data...)
		o.size += part.size
		digest, _ := hex.DecodeString(strings.Trim(part.etag, `"`)) // a part's ETag that is no MD5 adds nothing
		hash.Write(digest)
	}
	o.etag = fmt.Sprintf(`"%x-%d"`, hash.Sum(nil), len(request.Parts))
	return &o, ""
}

// copyObject answers a PUT with a copy source: a whole object, or (with an upload) a part. Bytes are shared, not moved.
func (s *Server) copyObject(w http.ResponseWriter, r *http.Request, b *bucket, bucketName, key, uploadID, part string) {
	location, err := url.PathUnescape(r.Header.Get("X-Amz-Copy-Source"))
	if err != nil {
		fail(w, "InvalidArgument")
		return
	}
	sourceBucket, sourceKey, _ := strings.Cut(strings.TrimPrefix(location, "/"), "/")
	from := s.bucket(sourceBucket)
	if from == nil {
		fail(w, "NoSuchBucket")
		return
	}
	source := from.get(sourceKey)
	if source == nil {
		fail(w, "NoSuchKey")
		return
	}
	if match := r.Header.Get("X-Amz-Copy-Source-If-Match"); match != "" && !sameETag(match, source.etag) {
		fail(w, "PreconditionFailed")
		return
	}
	o := *source
	o.modified = headerObject(r).modified
	var code, result string
	if uploadID == "" {
		result = "CopyObjectResult"
		code = b.put(key, &o, r.Header.Get("If-None-Match"), r.Header.Get("If-Match"))
	} else {
		result = "CopyPartResult"
		u := s.findUpload(uploadID, bucketName, key)
		if u == nil {
			fail(w, "NoSuchUpload")
			return
		}
		start, end, ok := copyRange(r.Header.Get("X-Amz-Copy-Source-Range"), source.size)
		if !ok {
			fail(w, "InvalidRange")
			return
		}
		o.data, o.size, o.crc = source.slice(start, end), end-start, ""
		sum := md5.Sum(fmt.Appendf(nil, "%s %d-%d", source.etag, start, end)) // the content is not hashed: copies cost nothing here
		o.etag = `"` + hex.EncodeToString(sum[:]) + `"`
		code = u.putPart(part, &o)
	}
	if code != "" {
		fail(w, code)
		return
	}
	writeXML(w, "<%s><ETag>%s</ETag><LastModified>%s</LastModified></%s>", result, escape(o.etag), o.modified.Format(listTime), result)
}

// copyRange reads "bytes=first-last" (both inclusive) as a half-open range.
func copyRange(header string, size int64) (int64, int64, bool) {
	if header == "" {
		return 0, size, true
	}
	text, ok := strings.CutPrefix(header, "bytes=")
	first, last, found := strings.Cut(text, "-")
	start, err1 := strconv.ParseInt(first, 10, 64)
	end, err2 := strconv.ParseInt(last, 10, 64)
	if !ok || !found || err1 != nil || err2 != nil || start < 0 || start > end || end >= size {
		return 0, 0, false
	}
	return start, end + 1, true
}
