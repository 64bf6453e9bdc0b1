// history.go - operations as the clients saw them, one JSON object a line, and what of them can be judged.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"sort"
)

const (
	lineBytesMax   = 1 << 20
	absent         = 0  // value and version of a record that is not there; values that are written start at 1
	unknownVersion = -1 // the answer carries no version
	forever        = math.MaxInt64
)

// Operation is one call on one key. A key is a record, or a group of `Size` records that are only ever written together.
type Operation struct {
	Client    int        `json:"client"`
	Op        string     `json:"op"` // put, insert, update, delete, get
	Key       string     `json:"key"`
	Value     int64      `json:"value"`
	Version   int64      `json:"version"`    // of an update's or a get's answer
	IfVersion int64      `json:"if_version"` // of an update; 0: none
	Deleted   int64      `json:"deleted"`    // of a delete's answer: rows that were there
	Size      int64      `json:"size"`       // records of the key; 0 means 1
	Rows      [][2]int64 `json:"rows"`       // a get of a group: value and version of each record
	CallNs    int64      `json:"call_ns"`
	ReturnNs  int64      `json:"return_ns"`
	Outcome   string     `json:"outcome"` // ok, fail, unknown
	Error     string     `json:"error"`   // of a fail: IdExists, IdNotFound, VersionConflict tell something of the state
	line      int
}

func (o *Operation) size() int64 { return max(o.Size, 1) }

func readHistory(in io.Reader) ([]Operation, error) {
	var out []Operation
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), lineBytesMax)
	for number := 1; lines.Scan(); number++ {
		var one Operation
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		one.line = number
		if err := one.check(); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		out = append(out, one)
	}
	return out, lines.Err()
}

// check refuses what would otherwise be judged as something else than was meant: a typo must not pass as a good history.
func (o *Operation) check() error {
	switch o.Op {
	case "put", "insert", "update":
		if o.Value <= absent {
			return fmt.Errorf("%s of value %d; values start at 1", o.Op, o.Value)
		}
	case "delete", "get":
	default:
		return fmt.Errorf("unknown op %q", o.Op)
	}
	switch o.Outcome {
	case "ok", "fail", "unknown":
	default:
		return fmt.Errorf("unknown outcome %q", o.Outcome)
	}
	if o.Key == "" || o.CallNs < 0 || (o.Outcome != "unknown" && o.ReturnNs < o.CallNs) {
		return fmt.Errorf("no key, or it returned before it was called")
	}
	return nil
}

// tells says whether an operation constrains anything. An unanswered read does not; nor does a write that failed for a reason
// that says nothing of the record - if it was stored all the same, somebody reads a value that nobody wrote.
func (o *Operation) tells() bool {
	switch o.Outcome {
	case "ok":
		return true
	case "unknown":
		return o.Op != "get"
	}
	return o.Error == "IdExists" || o.Error == "IdNotFound" || o.Error == "VersionConflict"
}

// torn names what an answer about a group shows that no moment of the group can: rows of different batches.
func (o *Operation) torn() string {
	if o.Outcome != "ok" {
		return ""
	}
	if o.Op == "delete" && o.Deleted != 0 && o.Deleted != o.size() {
		return fmt.Sprintf("half a batch: %d of %d rows were deleted", o.Deleted, o.size())
	}
	if o.Op != "get" || o.Rows == nil {
		return ""
	}
	if int64(len(o.Rows)) != o.size() {
		return fmt.Sprintf("half a batch: %d of %d rows were read", len(o.Rows), o.size())
	}
	for _, row := range o.Rows {
		if row != o.Rows[0] {
			return fmt.Sprintf("half a batch: one read saw the rows %v", o.Rows)
		}
	}
	return ""
}

// byKey sorts what tells something into its keys, each in the order of the calls; unknown outcomes get their latest moment.
func byKey(history []Operation) map[string][]Operation {
	keys := map[string][]Operation{}
	for _, one := range history {
		if !one.tells() {
			continue
		}
		if one.Op == "get" && len(one.Rows) > 0 {
			one.Value, one.Version = one.Rows[0][0], one.Rows[0][1]
		}
		if one.Outcome == "unknown" {
			one.ReturnNs = forever
		}
		keys[one.Key] = append(keys[one.Key], one)
	}
	for _, operations := range keys {
		sort.SliceStable(operations, func(a, b int) bool { return operations[a].CallNs < operations[b].CallNs })
		boundUnknown(operations)
	}
	return keys
}

// boundUnknown ends an unanswered write at the first answer that shows its value: it had happened by then. Without this, every
// unanswered write is concurrent with everything after it, and the search is exponential in their number. A value that two
// operations wrote (an insert and its repetition) says nothing of which of them happened.
func boundUnknown(operations []Operation) {
	writers := map[int64]int{}
	seen := map[int64]int64{}
	for _, one := range operations {
		switch one.Op {
		case "put", "insert", "update":
			writers[one.Value]++
		case "get":
			if at, known := seen[one.Value]; !known || one.ReturnNs < at {
				seen[one.Value] = one.ReturnNs
			}
		}
	}
	for at := range operations {
		one := &operations[at]
		if one.Outcome != "unknown" || one.Op == "delete" || writers[one.Value] != 1 {
			continue
		}
		if first, known := seen[one.Value]; known && first >= one.CallNs {
			one.ReturnNs = first
		}
	}
}
