// Runs the Go tar-split package, so that tests can compare with it.
//
// One JSON command a line on standard input, one JSON answer a line on standard output. Commands:
//
//	{"do": "split", "tar": FILE, "metadata": FILE, "content": DIRECTORY}
//	{"do": "join", "metadata": FILE, "content": DIRECTORY, "tar": FILE}
//	{"do": "list", "tar": FILE}
//
// "split" and "join" are the Go tool's; "list" reads the archive with the standard library's archive/tar. In a content
// directory the data of a member lies in a file named by the SHA-256 of the member's name, so that any name will do.
package main

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"os"
	"path/filepath"

	"github.com/vbatts/tar-split/tar/asm"
	"github.com/vbatts/tar-split/tar/storage"
)

type command struct {
	Do       string `json:"do"`
	Tar      string `json:"tar"`
	Metadata string `json:"metadata"`
	Content  string `json:"content"`
}

type answer struct {
	Error string   `json:"error"`
	Names [][]byte `json:"names"`
}

func main() {
	commands := json.NewDecoder(os.Stdin)
	answers := bufio.NewWriter(os.Stdout)
	for {
		var c command
		if err := commands.Decode(&c); err == io.EOF {
			return
		} else if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		var a answer
		if err := run(c, &a); err != nil {
			a.Error = err.Error()
		}
		line, err := json.Marshal(a)
		if err != nil {
			panic(err)
		}
		answers.Write(append(line, '\n'))
		answers.Flush()
	}
}

func run(c command, a *answer) error {
	switch c.Do {
	case "split":
		return split(c)
	case "join":
		return join(c)
	case "list":
		return list(c, a)
	}
	return fmt.Errorf("unknown command %q", c.Do)
}

func split(c command) error {
	source, err := os.Open(c.Tar)
	if err != nil {
		return err
	}
	defer source.Close()
	file, err := os.Create(c.Metadata)
	if err != nil {
		return err
	}
	defer file.Close()
	metadata := bufio.NewWriter(file)
	stream, done, err := asm.NewInputTarStreamWithDone(source, storage.NewJSONPacker(metadata), directory(c.Content))
	if err != nil {
		return err
	}
	defer stream.Close()
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return err
	}
	if err := <-done; err != nil {
		return err
	}
	return metadata.Flush()
}

func join(c command) error {
	metadata, err := os.Open(c.Metadata)
	if err != nil {
		return err
	}
	defer metadata.Close()
	file, err := os.Create(c.Tar)
	if err != nil {
		return err
	}
	defer file.Close()
	sink := bufio.NewWriter(file)
	unpacker := storage.NewJSONUnpacker(bufio.NewReader(metadata))
	if err := asm.WriteOutputTarStream(directory(c.Content), unpacker, sink); err != nil {
		return err
	}
	return sink.Flush()
}

func list(c command, a *answer) error {
	file, err := os.Open(c.Tar)
	if err != nil {
		return err
	}
	defer file.Close()
	reader := tar.NewReader(file)
	for {
		header, err := reader.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		a.Names = append(a.Names, []byte(header.Name))
		if size, err := io.Copy(io.Discard, io.LimitReader(reader, maxData+1)); err != nil {
			return err
		} else if size > maxData {
			return errTooLarge
		}
	}
}

// maxData is the most data of one member that is read: some sparse members have gigabytes of holes.
const maxData = 64 << 20

var errTooLarge = errors.New("test: too much data")

// directory keeps the data of members in files named by the hash of the member's name.
type directory string

func (d directory) path(name string) string {
	return filepath.Join(string(d), fmt.Sprintf("%x", sha256.Sum256([]byte(name))))
}

func (d directory) Get(name string) (io.ReadCloser, error) {
	return os.Open(d.path(name))
}

func (d directory) Put(name string, data io.Reader) (int64, []byte, error) {
	file, err := os.Create(d.path(name))
	if err != nil {
		return 0, nil, err
	}
	defer file.Close()
	sum := crc64.New(storage.CRCTable)
	size, err := io.Copy(io.MultiWriter(file, sum), io.LimitReader(data, maxData+1))
	if err == nil && size > maxData {
		err = errTooLarge
	}
	return size, sum.Sum(nil), err
}
