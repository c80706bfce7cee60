// Package windows holds what go-winio takes from golang.org/x/sys/windows, for building it on other systems.
package windows

import "unicode/utf16"

const FILE_ATTRIBUTE_DIRECTORY = 0x10

const ticksBeforeUnix = 116444736000000000

// Filetime counts 100 ns since 1601, in two halves as Windows does.
type Filetime struct{ LowDateTime, HighDateTime uint32 }

func (ft *Filetime) Nanoseconds() int64 {
	ticks := int64(ft.HighDateTime)<<32 | int64(ft.LowDateTime)
	return (ticks - ticksBeforeUnix) * 100
}

func NsecToFiletime(nanoseconds int64) Filetime {
	return FromTicks(nanoseconds/100 + ticksBeforeUnix)
}

func FromTicks(ticks int64) Filetime {
	return Filetime{LowDateTime: uint32(ticks), HighDateTime: uint32(ticks >> 32)}
}

func (ft *Filetime) Ticks() int64 {
	return int64(ft.HighDateTime)<<32 | int64(ft.LowDateTime)
}

func UTF16ToString(s []uint16) string {
	for i, unit := range s {
		if unit == 0 {
			s = s[:i]
			break
		}
	}
	return string(utf16.Decode(s))
}
