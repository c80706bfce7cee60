// Command peer does the work of the Go tools for the benchmarks: it reads requests, one JSON object a line, does each
// once in this process, and answers with one line: seconds, the checksum of what was produced, its bytes, and the
// highest memory this process ever held.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"winlayersbench/fold"
)

// Request names a work and its inputs; each work reads the fields it needs.
type Request struct {
	Work     string `json:"work"`
	Tar      string `json:"tar"`
	Streams  string `json:"streams"`
	Index    string `json:"index"`
	Metadata string `json:"metadata"`
	Tree     string `json:"tree"`
	Output   string `json:"output"`
	Held     bool   `json:"held"`
	Gzip     bool   `json:"gzip"`
	Sync     bool   `json:"sync"`
}

// Answer is what the harness compares.
type Answer struct {
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu"` // seconds of processor time, of all threads
	Fold    string  `json:"fold"`
	Bytes   uint64  `json:"bytes"`
	Count   int     `json:"count"`
	PeakKiB int     `json:"peak_kib"`
	Error   string  `json:"error,omitempty"`
}

// A work prepares what is not to be timed and returns what is; that returns how many entries it saw.
type work func(Request, *fold.Writer) (func() (int, error), error)

// Those that take a file system of Unix are added by their files.
var works = map[string]work{
	"nothing": func(Request, *fold.Writer) (func() (int, error), error) {
		return func() (int, error) { return 0, nil }, nil
	},
	"to_streams":     toStreams,
	"from_streams":   fromStreams,
	"write_streams":  writeStreams,
	"split":          split,
	"write_metadata": writeMetadata,
	"join":           join,
}

func main() {
	input := bufio.NewScanner(os.Stdin)
	output := json.NewEncoder(os.Stdout)
	for input.Scan() {
		answer, err := serve(input.Bytes())
		if err != nil {
			answer.Error = err.Error()
		}
		answer.PeakKiB = peakKiB()
		if err := output.Encode(answer); err != nil {
			os.Exit(1)
		}
	}
}

func serve(line []byte) (answer Answer, err error) {
	var request Request
	if err = json.Unmarshal(line, &request); err != nil {
		return answer, err
	}
	prepare, known := works[request.Work]
	if !known {
		return answer, fmt.Errorf("no such work: %s", request.Work)
	}
	var folded fold.Writer
	run, err := prepare(request, &folded)
	if err != nil {
		return answer, err
	}
	start, used := time.Now(), processorTime()
	answer.Count, err = run()
	answer.Seconds, answer.CPU = time.Since(start).Seconds(), processorTime()-used
	sum, total := folded.Result()
	answer.Fold, answer.Bytes = fmt.Sprintf("%016x", sum), total
	return answer, err
}
