// Package fold is the checksum that every side of every benchmark folds its bytes into: see ../../../fold/fold.c.
package fold

import "encoding/binary"

// Writer folds what is written to it. The zero value is ready.
type Writer struct {
	sum, pending uint64
	pendingBytes uint
	total        uint64
}

func (w *Writer) Write(p []byte) (int, error) {
	length := len(p)
	w.total += uint64(length)
	for len(p) > 0 && w.pendingBytes > 0 {
		w.take(p[0])
		p = p[1:]
	}
	var a, b, c, d uint64
	for len(p) >= 32 {
		a += binary.LittleEndian.Uint64(p)
		b += binary.LittleEndian.Uint64(p[8:])
		c += binary.LittleEndian.Uint64(p[16:])
		d += binary.LittleEndian.Uint64(p[24:])
		p = p[32:]
	}
	for len(p) >= 8 {
		a += binary.LittleEndian.Uint64(p)
		p = p[8:]
	}
	w.sum += a + b + c + d
	for _, last := range p {
		w.take(last)
	}
	return length, nil
}

func (w *Writer) take(last byte) {
	w.pending |= uint64(last) << (8 * w.pendingBytes)
	w.pendingBytes++
	if w.pendingBytes == 8 {
		w.sum += w.pending
		w.pending, w.pendingBytes = 0, 0
	}
}

// Result is the sum and the number of bytes.
func (w *Writer) Result() (sum, total uint64) {
	return w.sum + w.pending, w.total
}
