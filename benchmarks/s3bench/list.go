package main

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const listTime = "2006-01-02T15:04:05.000Z"

func escape(s string) string {
	if !strings.ContainsAny(s, "&<>\"'\t\n\r") {
		return s
	}
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a Buffer never fails
	return b.String()
}

// after is the least string above every string that starts with prefix; false if there is none.
func after(prefix string) (string, bool) {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			return prefix[:i] + string([]byte{prefix[i] + 1}), true
		}
	}
	return "", false
}

// seek is the index of the first key that is not below s.
func seek(keys []string, s string) int {
	i, _ := slices.BinarySearch(keys, s)
	return i
}

// skip is the index of the first key behind all those that start with prefix.
func skip(keys []string, prefix string) int {
	if next, ok := after(prefix); ok {
		return seek(keys, next)
	}
	return len(keys)
}

// listStart is where a page begins: at the token, or behind start-after or marker, or at the prefix.
func listStart(keys []string, q url.Values, prefix, delimiter string) (int, bool) {
	if token := q.Get("continuation-token"); token != "" {
		at, err := base64.StdEncoding.DecodeString(token)
		return seek(keys, string(at)), err == nil
	}
	i := seek(keys, prefix)
	name := "start-after"
	if q.Get("list-type") != "2" {
		name = "marker"
	}
	if s := q.Get(name); s != "" {
		j := seek(keys, s)
		if name == "marker" && delimiter != "" && strings.HasSuffix(s, delimiter) {
			j = skip(keys, s) // the marker is a common prefix of the page before
		} else if j < len(keys) && keys[j] == s {
			j++
		}
		i = max(i, j)
	}
	return i, true
}

func list(w http.ResponseWriter, b *bucket, name string, q url.Values) {
	keys := b.keys()
	prefix, delimiter := q.Get("prefix"), q.Get("delimiter")
	limit := 1000
	if s := q.Get("max-keys"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			fail(w, "InvalidArgument")
			return
		}
		limit = min(n, limit)
	}
	i, ok := listStart(keys, q, prefix, delimiter)
	if !ok {
		fail(w, "InvalidArgument")
		return
	}
	encode := escape
	if q.Get("encoding-type") == "url" {
		encode = func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "%2F", "/") }
	}

	var contents, prefixes bytes.Buffer
	contents.Grow(limit * 260)
	count, last, truncated := 0, "", false
	b.mu.RLock()
	for i < len(keys) && strings.HasPrefix(keys[i], prefix) {
		if count == limit {
			truncated = limit > 0
			break
		}
		key := keys[i]
		if delimiter != "" {
			if j := strings.Index(key[len(prefix):], delimiter); j >= 0 {
				last = key[:len(prefix)+j+len(delimiter)]
				fmt.Fprintf(&prefixes, "<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>", encode(last))
				count++
				i = skip(keys, last)
				continue
			}
		}
		i++
		o := b.objects[key]
		if o == nil { // deleted since the keys were read
			continue
		}
		contents.WriteString("<Contents><Key>")
		contents.WriteString(encode(key))
		contents.WriteString("</Key><LastModified>")
		contents.WriteString(o.modified.Format(listTime))
		contents.WriteString("</LastModified><ETag>&#34;")
		contents.WriteString(strings.Trim(o.etag, `"`))
		contents.WriteString("&#34;</ETag><Size>")
		contents.WriteString(strconv.FormatInt(o.size, 10))
		contents.WriteString("</Size><StorageClass>STANDARD</StorageClass></Contents>")
		count++
		last = key
	}
	b.mu.RUnlock()

	var out bytes.Buffer
	fmt.Fprintf(&out, `%s<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>%s</Name><Prefix>%s</Prefix><MaxKeys>%d</MaxKeys><IsTruncated>%v</IsTruncated>`,
		xml.Header, escape(name), encode(prefix), limit, truncated)
	if q.Get("encoding-type") == "url" {
		out.WriteString("<EncodingType>url</EncodingType>")
	}
	if delimiter != "" {
		fmt.Fprintf(&out, "<Delimiter>%s</Delimiter>", encode(delimiter))
	}
	if q.Get("list-type") == "2" {
		fmt.Fprintf(&out, "<KeyCount>%d</KeyCount>", count)
		if truncated {
			fmt.Fprintf(&out, "<NextContinuationToken>%s</NextContinuationToken>", base64.StdEncoding.EncodeToString([]byte(keys[i])))
		}
	} else if truncated {
		fmt.Fprintf(&out, "<NextMarker>%s</NextMarker>", encode(last))
	}
	out.Write(contents.Bytes())
	out.Write(prefixes.Bytes())
	out.WriteString("</ListBucketResult>")
	w.Header().Set("Content-Type", "application/xml")
	_, _ = w.Write(out.Bytes())
}
