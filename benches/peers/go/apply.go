//go:build unix

package main

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/containerd/containerd/v2/pkg/archive/compression"

	"winlayersbench/fold"
)

func init() { works["apply"], works["bare"] = apply, bare }

// apply lays a layer out as containerd does, into the empty folder `output`. It takes igzip for gzip where there is one.
func apply(request Request, _ *fold.Writer) (func() (int, error), error) {
	return func() (int, error) {
		file, err := os.Open(request.Tar)
		if err != nil {
			return 0, err
		}
		defer file.Close()
		stream, err := compression.DecompressStream(file)
		if err != nil {
			return 0, err
		}
		defer stream.Close()
		if _, err = archive.Apply(context.Background(), request.Output, stream); err == nil {
			_, err = io.Copy(io.Discard, stream)
		}
		return 0, err
	}, os.MkdirAll(request.Output, 0o755)
}

const bareThreads, bareChunk = 2, 256 << 10

type bareFile struct {
	path         string
	offset, size int64
}

// bare makes the same folders, files and hard links below `output` as a checkout has, with nothing besides: where they
// lie in the tar is known before the clock starts.
func bare(request Request, _ *fold.Writer) (func() (int, error), error) {
	var folders []string
	var files []bareFile
	var links [][2]string
	source, err := os.Open(request.Tar)
	if err != nil {
		return nil, err
	}
	reader := tar.NewReader(source)
	for {
		header, err := reader.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		path := filepath.Join(request.Output, header.Name)
		switch {
		case header.Name != "Files" && !strings.HasPrefix(header.Name, "Files/"):
		case header.Typeflag == tar.TypeDir:
			folders = append(folders, path)
		case header.Typeflag == tar.TypeLink:
			links = append(links, [2]string{filepath.Join(request.Output, header.Linkname), path})
		default:
			offset, err := source.Seek(0, io.SeekCurrent)
			if err != nil {
				return nil, err
			}
			files = append(files, bareFile{path, offset, header.Size})
		}
	}
	return func() (int, error) {
		defer source.Close()
		for _, folder := range folders {
			if err := syscall.Mkdir(folder, 0o755); err != nil {
				return 0, err
			}
		}
		var next atomic.Int64
		var threads sync.WaitGroup
		failed := make([]error, bareThreads)
		for thread := range bareThreads {
			threads.Go(func() {
				buffer := make([]byte, bareChunk)
				for failed[thread] == nil {
					i := int(next.Add(1)) - 1
					if i >= len(files) {
						return
					}
					failed[thread] = writeBare(files[i], int(source.Fd()), buffer, request.Sync)
				}
			})
		}
		threads.Wait()
		if err := errors.Join(failed...); err != nil {
			return 0, err
		}
		for _, link := range links {
			if err := syscall.Link(link[0], link[1]); err != nil {
				return 0, err
			}
		}
		return len(files), nil
	}, os.MkdirAll(request.Output, 0o755)
}

func writeBare(file bareFile, source int, buffer []byte, sync bool) error {
	target, err := syscall.Open(file.path, syscall.O_CREAT|syscall.O_EXCL|syscall.O_WRONLY|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	defer syscall.Close(target)
	for at := int64(0); at < file.size; {
		n, err := syscall.Pread(source, buffer[:min(bareChunk, file.size-at)], file.offset+at)
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err == nil {
			_, err = syscall.Write(target, buffer[:n])
		}
		if err != nil {
			return err
		}
		at += int64(n)
	}
	if sync {
		return syscall.Fsync(target)
	}
	return nil
}
