package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
)

type client struct {
	t   *testing.T
	url string
}

func newClient(t *testing.T) client {
	server := httptest.NewServer(NewServer(Options{MD5: true}))
	t.Cleanup(server.Close)
	c := client{t, server.URL}
	c.do("PUT", "/b", "", nil, 200)
	return c
}

func (c client) do(method, path, body string, header map[string]string, status int) string {
	c.t.Helper()
	request, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if response.StatusCode != status {
		c.t.Fatalf("%s %s: %d %s", method, path, response.StatusCode, answer)
	}
	return string(answer)
}

func find(t *testing.T, text, tag string) string {
	t.Helper()
	match := regexp.MustCompile("<" + tag + ">([^<]*)</" + tag + ">").FindStringSubmatch(text)
	if match == nil {
		t.Fatalf("no %s in %s", tag, text)
	}
	return match[1]
}

// A package is composed of sent and copied parts, and reads back whole and by ranges across parts.
func TestPartsAreSentAndCopied(t *testing.T) {
	c := newClient(t)
	big := string(bytes.Repeat([]byte("0123456789"), 1<<20))
	c.do("PUT", "/b/source", big, nil, 200)
	id := find(t, c.do("POST", "/b/made?uploads", "", nil, 200), "UploadId")
	copied := c.do("PUT", "/b/made?partNumber=1&uploadId="+id, "", map[string]string{
		"X-Amz-Copy-Source": "/b/source", "X-Amz-Copy-Source-Range": "bytes=5-6000004"}, 200)
	c.do("PUT", "/b/made?partNumber=1&uploadId="+id, "", map[string]string{
		"X-Amz-Copy-Source": "/b/source", "X-Amz-Copy-Source-If-Match": `"other"`}, 412)
	c.do("PUT", "/b/made?partNumber=2&uploadId="+id, "end", nil, 200)
	parts := fmt.Sprintf("<C><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part><Part><PartNumber>2</PartNumber><ETag>%%s</ETag></Part></C>",
		find(t, copied, "ETag"))
	c.do("POST", "/b/made?uploadId="+id, fmt.Sprintf(parts, "wrong"), nil, 400)
	c.do("POST", "/b/made?uploadId="+id, fmt.Sprintf(parts, "7f021a1415b86f2d013b2618fb31ae53"), nil, 200)
	if got := c.do("GET", "/b/made", "", nil, 200); got != big[5:6000005]+"end" {
		t.Fatal("the parts are not put together as sent")
	}
	if got := c.do("GET", "/b/made", "", map[string]string{"Range": "bytes=5999998-6000001"}, 206); got != "34en" {
		t.Fatalf("a range across parts: %q", got)
	}
}

// Parts under 5 MiB that are not the last are refused, as by S3.
func TestSmallPartsAreRefused(t *testing.T) {
	c := newClient(t)
	id := find(t, c.do("POST", "/b/k?uploads", "", nil, 200), "UploadId")
	var request strings.Builder
	for n := range 2 {
		c.do("PUT", fmt.Sprintf("/b/k?partNumber=%d&uploadId=%s", n+1, id), "a", nil, 200)
		fmt.Fprintf(&request, "<Part><PartNumber>%d</PartNumber><ETag>0cc175b9c0f1b6a831c399e269772661</ETag></Part>", n+1)
	}
	answer := c.do("POST", "/b/k?uploadId="+id, "<C>"+request.String()+"</C>", nil, 400)
	if code := find(t, answer, "Code"); code != "EntityTooSmall" {
		t.Fatal(code)
	}
}

// Pages with a delimiter name every key and prefix once, also after deletes and puts between listings.
func TestPagesAreComplete(t *testing.T) {
	c := newClient(t)
	for i := range 30 {
		c.do("PUT", fmt.Sprintf("/b/d%d/k%d", i%3, i), "x", nil, 200)
	}
	c.do("PUT", "/b/e&f", "x", nil, 200)
	c.do("GET", "/b?list-type=2", "", nil, 200)
	c.do("DELETE", "/b/d0/k0", "", nil, 204)
	c.do("PUT", "/b/d0/k0", "x", nil, 200)
	c.do("DELETE", "/b/d0/k3", "", nil, 204)
	for query, want := range map[string]int{"": 30, "&delimiter=/": 4, "&prefix=d1/&delimiter=/": 10, "&start-after=d1/k9": 11} {
		token, seen := "", map[string]bool{}
		for {
			page := c.do("GET", "/b?list-type=2&max-keys=2"+query+token, "", nil, 200)
			for _, m := range regexp.MustCompile("<(Key|CommonPrefixes><Prefix)>([^<]*)<").FindAllStringSubmatch(page, -1) {
				if seen[m[2]] {
					t.Fatalf("%s: %s twice", query, m[2])
				}
				seen[m[2]] = true
			}
			if find(t, page, "IsTruncated") != "true" {
				break
			}
			token = "&continuation-token=" + strings.ReplaceAll(find(t, page, "NextContinuationToken"), "=", "%3D")
		}
		if len(seen) != want {
			t.Fatalf("%q: %d of %d", query, len(seen), want)
		}
	}
}

// Of many writers with If-None-Match: * exactly one wins (run with -race: readers and listings go on meanwhile).
func TestOneOfManyCreatorsWins(t *testing.T) {
	c := newClient(t)
	var all sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 16 {
		all.Go(func() {
			request, _ := http.NewRequest("PUT", c.url+"/b/k", strings.NewReader(fmt.Sprint(i)))
			request.Header.Set("If-None-Match", "*")
			for _, r := range []*http.Request{request, mustGet(c.url + "/b/k"), mustGet(c.url + "/b?list-type=2")} {
				response, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				_ = response.Body.Close()
				if r == request && response.StatusCode == 200 {
					mu.Lock()
					won++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	if won != 1 {
		t.Fatalf("%d won", won)
	}
}

func mustGet(url string) *http.Request {
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		panic(err)
	}
	return r
}

// A body that is cut off, or lies about its length, is an error and no object.
func TestBadBodiesAreRefused(t *testing.T) {
	c := newClient(t)
	streaming := map[string]string{"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
	for length, body := range map[string]string{"-1": "", "9": "5\r\nhello\r\n0\r\n\r\n", "3": "5\r\nhello\r\n0\r\n\r\n", "99999999999999": ""} {
		streaming["X-Amz-Decoded-Content-Length"] = length
		c.do("PUT", "/b/k", body, streaming, 400)
	}
	streaming["X-Amz-Decoded-Content-Length"] = "5"
	c.do("PUT", "/b/k", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", streaming, 400)
	c.do("GET", "/b/k", "", nil, 404)
	c.do("PUT", "/b/k", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", streaming, 200)
}
