// register.go - the promise of one record as a sequential machine for Porcupine: a register whose versions count its writes.
// Porcupine: Athalye 2017, after Wing and Gong 1993 and Lowe 2017 (P-compositionality: keys are judged apart).
package main

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// record is the state of a key; version 0: it is not there.
type record struct {
	version int64
	value   int64
}

func (r record) replaced(value int64) record { return record{r.version + 1, value} } // 1 where there was none

// step says whether `o` may be answered as it was in this state, and the state after it. An operation whose answer is unknown
// takes whatever effect the state allows; one that never happened is placed behind everything, where nobody sees it.
func step(state record, o *Operation) (bool, record) {
	isThere := state.version != absent
	isUnknown := o.Outcome == "unknown"
	if o.Outcome == "fail" {
		return refused(state, o), state
	}
	switch o.Op {
	case "get":
		return o.Value == state.value && (o.Version == unknownVersion || o.Version == state.version), state
	case "put":
		return true, state.replaced(o.Value)
	case "insert":
		if !isThere {
			return true, record{1, o.Value}
		}
		return isUnknown || state.value == o.Value, state // identical content: done before, nothing is written
	case "update":
		if !isThere || (o.IfVersion != 0 && o.IfVersion != state.version) {
			return isUnknown, state
		}
		next := state.replaced(o.Value)
		return isUnknown || o.Version == next.version, next
	default: // delete
		return isUnknown || (o.Deleted > 0) == isThere, record{}
	}
}

// refused says whether an error is true in this state.
func refused(state record, o *Operation) bool {
	isThere := state.version != absent
	switch o.Error {
	case "IdExists":
		return o.Op == "insert" && isThere && state.value != o.Value
	case "IdNotFound":
		return o.Op == "update" && !isThere
	default: // VersionConflict
		return o.Op == "update" && isThere && o.IfVersion != 0 && o.IfVersion != state.version
	}
}

func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return record{} },
		Step: func(state, input, _ any) (bool, any) {
			isAllowed, next := step(state.(record), input.(*Operation))
			return isAllowed, next
		},
		Equal: func(a, b any) bool { return a.(record) == b.(record) },
		Hash: func(state any) uint64 {
			one := state.(record)
			return uint64(one.value)*0x9E3779B97F4A7C15 ^ uint64(one.version)
		},
		DescribeState: func(state any) string {
			one := state.(record)
			return fmt.Sprintf("value %d, version %d", one.value, one.version)
		},
	}
}
