// Command s3bench is an in-memory S3 server for benchmarks and injected faults.
//
// It checks no signatures and keeps everything in memory, so that what a benchmark measures is the client.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"
)

// Options are the faults and costs that a server adds to every request.
type Options struct {
	MD5     bool          // compute MD5 ETags, as S3 does for single PUTs
	Latency time.Duration // waited before each answer
	Err503  float64       // share of requests answered 503 SlowDown
	Rate    int64         // most bytes of an object sent in a second by each answer; 0 for no limit
}

func main() {
	var options Options
	var fills fillList
	addr := flag.String("addr", "127.0.0.1:9200", "address to listen on")
	flag.BoolVar(&options.MD5, "md5", true, "compute MD5 ETags")
	flag.DurationVar(&options.Latency, "latency", 0, "delay added to every request")
	flag.Float64Var(&options.Err503, "err503", 0, "share of requests (0 to 1) answered 503 SlowDown")
	flag.Int64Var(&options.Rate, "rate", 0, "most bytes of an object sent in a second by each answer; 0 for no limit")
	flag.Var(&fills, "fill", "make a bucket with objects, as bucket:count:smallest:largest (bytes); may be repeated")
	flag.Parse()

	server := NewServer(options)
	for _, f := range fills {
		server.fill(f)
	}
	if err := (&http.Server{Addr: *addr, Handler: server}).ListenAndServe(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
