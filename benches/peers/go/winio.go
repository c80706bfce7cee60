package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"

	"github.com/Microsoft/go-winio"
	"github.com/Microsoft/go-winio/backuptar"

	"winlayersbench/fold"
	"winlayersbench/windows"
)

// eachFile calls back for each member; hard links have no stream, as in the tool that imports layers.
func eachFile(path string, each func(*tar.Reader, *tar.Header, *winio.FileBasicInfo) (*tar.Header, error)) (int, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	reader := tar.NewReader(file)
	count := 0
	header, err := reader.Next()
	for err == nil {
		count++
		var info *winio.FileBasicInfo
		if _, _, info, err = backuptar.FileInfoFromHeader(header); err == nil {
			header, err = each(reader, header, info)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return count, err
}

func toStreams(request Request, out *fold.Writer) (func() (int, error), error) {
	return func() (int, error) {
		return eachFile(request.Tar, func(reader *tar.Reader, header *tar.Header, _ *winio.FileBasicInfo) (*tar.Header, error) {
			if header.Typeflag == tar.TypeLink {
				return reader.Next()
			}
			return backuptar.WriteBackupStreamFromTarFile(out, reader, header)
		})
	}, nil
}

// Stream is one line of the index of a file of backup streams.
type Stream struct {
	Name       string   `json:"name"`
	Target     string   `json:"target,omitempty"`
	Attributes uint32   `json:"attributes"`
	Times      [4]int64 `json:"times"` // creation, access, write, change; 100 ns since 1601
	Size       int64    `json:"size"`  // of the unnamed stream
	Offset     int64    `json:"offset"`
	Length     int64    `json:"length"`
}

// writeStreams keeps the backup streams of a layer in one file, and where each lies and what it is of in an index.
func writeStreams(request Request, _ *fold.Writer) (func() (int, error), error) {
	return func() (int, error) {
		data, err := os.Create(request.Streams)
		if err != nil {
			return 0, err
		}
		defer data.Close()
		index, err := os.Create(request.Index)
		if err != nil {
			return 0, err
		}
		defer index.Close()
		buffered, lines := bufio.NewWriterSize(data, 1<<20), bufio.NewWriter(index)
		encoder := json.NewEncoder(lines)
		offset := int64(0)
		count, err := eachFile(request.Tar, func(reader *tar.Reader, header *tar.Header, info *winio.FileBasicInfo) (*tar.Header, error) {
			line := Stream{Name: header.Name, Attributes: info.FileAttributes, Offset: offset}
			change := info.LastWriteTime // the layer has none
			for i, time := range []windows.Filetime{info.CreationTime, info.LastAccessTime, info.LastWriteTime, change} {
				line.Times[i] = time.Ticks()
			}
			var next *tar.Header
			var err error
			if header.Typeflag == tar.TypeLink {
				line.Target = header.Linkname
				next, err = reader.Next()
			} else {
				if header.Typeflag == tar.TypeReg {
					line.Size = header.Size
				}
				counter := &countingWriter{buffered, 0}
				next, err = backuptar.WriteBackupStreamFromTarFile(counter, reader, header)
				line.Length = counter.n
				offset += counter.n
			}
			if err == nil || err == io.EOF {
				if failed := encoder.Encode(line); failed != nil {
					return nil, failed
				}
			}
			return next, err
		})
		if err == nil {
			err = lines.Flush()
		}
		if err == nil {
			err = buffered.Flush()
		}
		return count, err
	}, nil
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// Held is a file of backup streams in memory, with its index.
type Held struct {
	data  []byte
	index []Stream
}

var held = map[string]*Held{}

// fromStreams reads streams held in memory, or else from the file, to see what memory the writer takes.
func fromStreams(request Request, out *fold.Writer) (func() (int, error), error) {
	if !request.Held {
		return func() (count int, err error) {
			data, err := os.Open(request.Streams)
			if err != nil {
				return 0, err
			}
			defer data.Close()
			writer := tar.NewWriter(out)
			err = eachLine(request.Index, func(stream *Stream) error {
				count++
				return addStream(writer, stream, io.NewSectionReader(data, stream.Offset, stream.Length))
			})
			if err == nil {
				err = writer.Close()
			}
			return count, err
		}, nil
	}
	source := held[request.Streams]
	if source == nil {
		data, err := os.ReadFile(request.Streams)
		if err != nil {
			return nil, err
		}
		source = &Held{data: data}
		if err = eachLine(request.Index, func(stream *Stream) error {
			source.index = append(source.index, *stream)
			return nil
		}); err != nil {
			return nil, err
		}
		held[request.Streams] = source
	}
	return func() (int, error) {
		writer := tar.NewWriter(out)
		for i := range source.index {
			stream := &source.index[i]
			data := bytes.NewReader(source.data[stream.Offset : stream.Offset+stream.Length])
			if err := addStream(writer, stream, data); err != nil {
				return i, err
			}
		}
		return len(source.index), writer.Close()
	}, nil
}

func addStream(writer *tar.Writer, stream *Stream, data io.Reader) error {
	info := &winio.FileBasicInfo{
		CreationTime: windows.FromTicks(stream.Times[0]), LastAccessTime: windows.FromTicks(stream.Times[1]),
		LastWriteTime: windows.FromTicks(stream.Times[2]), ChangeTime: windows.FromTicks(stream.Times[3]),
		FileAttributes: stream.Attributes,
	}
	if stream.Target != "" {
		header := backuptar.BasicInfoHeader(stream.Name, 0, info)
		header.Mode, header.Typeflag, header.Linkname = 0644, tar.TypeLink, stream.Target
		return writer.WriteHeader(header)
	}
	return backuptar.WriteTarFileFromBackupStream(writer, data, stream.Name, stream.Size, info)
}

func eachLine(path string, each func(*Stream) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	decoder := json.NewDecoder(bufio.NewReader(file))
	for {
		var stream Stream
		if err := decoder.Decode(&stream); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := each(&stream); err != nil {
			return err
		}
	}
}
