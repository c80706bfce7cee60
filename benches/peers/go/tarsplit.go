package main

import (
	"compress/gzip"
	"io"
	"os"

	"github.com/vbatts/tar-split/tar/asm"
	"github.com/vbatts/tar-split/tar/storage"

	"winlayersbench/fold"
)

// split takes the tar apart: contents are checksummed and dropped, the metadata is what gets folded.
func split(request Request, out *fold.Writer) (func() (int, error), error) {
	return splitInto(request, out), nil
}

func splitInto(request Request, out io.Writer) func() (int, error) {
	return func() (int, error) {
		file, err := os.Open(request.Tar)
		if err != nil {
			return 0, err
		}
		defer file.Close()
		var packed *gzip.Writer
		if request.Gzip {
			packed = gzip.NewWriter(out)
			out = packed
		}
		stream, done, err := asm.NewInputTarStreamWithDone(file, storage.NewJSONPacker(out), storage.NewDiscardFilePutter())
		if err != nil {
			return 0, err
		}
		defer stream.Close()
		if _, err = io.Copy(io.Discard, stream); err != nil {
			return 0, err
		}
		if err = <-done; err == nil && packed != nil {
			err = packed.Close()
		}
		return 0, err
	}
}

func writeMetadata(request Request, _ *fold.Writer) (func() (int, error), error) {
	out, err := os.Create(request.Metadata)
	if err != nil {
		return nil, err
	}
	run := splitInto(request, out)
	return func() (int, error) {
		defer out.Close()
		return run()
	}, nil
}

// join puts it together again from the metadata and a directory of files.
func join(request Request, out *fold.Writer) (func() (int, error), error) {
	return func() (int, error) {
		metadata, err := os.Open(request.Metadata)
		if err != nil {
			return 0, err
		}
		defer metadata.Close()
		return 0, asm.WriteOutputTarStream(storage.NewPathFileGetter(request.Tree), storage.NewJSONUnpacker(metadata), out)
	}, nil
}
