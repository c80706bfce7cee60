//go:build unix

package main

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/klauspost/compress/zstd"

	"winlayersbench/fold"
)

func init() {
	works["pack"], works["pack_gzip"], works["pack_zstd"] = pack, packGzip, packZstd
	works["gzip"], works["zstd"] = gzipFile, zstdFile
}

func pack(request Request, out *fold.Writer) (func() (int, error), error) {
	return func() (int, error) { return packInto(request.Tree, out) }, nil
}

func packGzip(request Request, out *fold.Writer) (func() (int, error), error) {
	return func() (count int, err error) {
		packed, err := gzip.NewWriterLevel(out, 6)
		if err != nil {
			return 0, err
		}
		if count, err = packInto(request.Tree, packed); err == nil {
			err = packed.Close()
		}
		return count, err
	}, nil
}

func packZstd(request Request, out *fold.Writer) (func() (int, error), error) {
	return func() (count int, err error) {
		packed, err := zstd.NewWriter(out)
		if err != nil {
			return 0, err
		}
		if count, err = packInto(request.Tree, packed); err == nil {
			err = packed.Close()
		}
		return count, err
	}, nil
}

// packInto writes a directory as a tar, a file of several names once and then as links.
func packInto(root string, out io.Writer) (count int, err error) {
	writer := tar.NewWriter(out)
	seen := map[uint64]string{}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		count++
		info, err := entry.Info()
		if err != nil {
			return err
		}
		header, err := tar.FileInfoHeader(info, "")
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		header.Name, header.Format = filepath.ToSlash(name), tar.FormatPAX
		if info.IsDir() {
			header.Name += "/"
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 && info.Mode().IsRegular() {
			if first := seen[stat.Ino]; first != "" {
				header.Typeflag, header.Linkname, header.Size = tar.TypeLink, first, 0
			} else {
				seen[stat.Ino] = header.Name
			}
		}
		if err = writer.WriteHeader(header); err != nil || header.Typeflag != tar.TypeReg {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = io.Copy(writer, file)
		return err
	})
	if err == nil {
		err = writer.Close()
	}
	return count, err
}

// gzipFile and zstdFile compress a tar as it is: to make inputs, and to compare sizes on the same bytes.
func gzipFile(request Request, out *fold.Writer) (func() (int, error), error) {
	return compressFile(request, out, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, 6) })
}

func zstdFile(request Request, out *fold.Writer) (func() (int, error), error) {
	return compressFile(request, out, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
}

func compressFile(request Request, out *fold.Writer, compressor func(io.Writer) (io.WriteCloser, error)) (func() (int, error), error) {
	return func() (int, error) {
		file, err := os.Open(request.Tar)
		if err != nil {
			return 0, err
		}
		defer file.Close()
		var sink io.Writer = out
		if request.Output != "" {
			written, err := os.Create(request.Output)
			if err != nil {
				return 0, err
			}
			defer written.Close()
			sink = io.MultiWriter(out, written)
		}
		packed, err := compressor(sink)
		if err != nil {
			return 0, err
		}
		if _, err = io.Copy(packed, file); err == nil {
			err = packed.Close()
		}
		return 0, err
	}, nil
}
