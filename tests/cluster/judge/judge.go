// judge.go - the verdict on a history: key by key, and for a wrong one the smallest part of it that is still wrong.
package main

import (
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

// Wrong is a key whose operations no order explains, or which could not be judged in time.
type Wrong struct {
	Key         string `json:"key"`
	Why         string `json:"why"`
	File        string `json:"file,omitempty"` // the smallest wrong part
	Operations  int    `json:"operations"`
	IsUndecided bool   `json:"undecided,omitempty"`
	part        []Operation
}

// Verdict is the one line that the judge prints.
type Verdict struct {
	Ok         bool    `json:"ok"`
	Keys       int     `json:"keys"`
	Operations int     `json:"operations"`
	Unknown    int     `json:"unknown"`
	Seconds    float64 `json:"seconds"`
	Wrong      []Wrong `json:"wrong"`
}

func check(operations []Operation, limit time.Duration) porcupine.CheckResult {
	history := make([]porcupine.Operation, len(operations))
	for at := range operations {
		one := &operations[at]
		history[at] = porcupine.Operation{ClientId: one.Client, Input: one, Call: one.CallNs, Return: one.ReturnNs}
	}
	return porcupine.CheckOperationsTimeout(model(), history, limit)
}

func judge(history []Operation, limit time.Duration) Verdict {
	start := time.Now()
	verdict := Verdict{Wrong: []Wrong{}}
	keys := byKey(history)
	names := make([]string, 0, len(keys))
	for name, operations := range keys {
		names = append(names, name)
		verdict.Operations += len(operations)
		for at := range operations {
			if operations[at].Outcome == "unknown" {
				verdict.Unknown++
			}
		}
	}
	sort.Strings(names)
	verdict.Keys = len(names)
	for _, name := range names {
		if wrong := judgeKey(name, keys[name], limit); wrong != nil {
			verdict.Wrong = append(verdict.Wrong, *wrong)
		}
	}
	verdict.Ok = len(verdict.Wrong) == 0
	verdict.Seconds = time.Since(start).Seconds()
	return verdict
}

func judgeKey(name string, operations []Operation, limit time.Duration) *Wrong {
	for at := range operations {
		if why := operations[at].torn(); why != "" {
			return &Wrong{Key: name, Why: why, Operations: len(operations), part: operations[at : at+1]}
		}
	}
	switch check(operations, limit) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		why := "not decided within " + limit.String() + ": this proves nothing"
		return &Wrong{Key: name, Why: why, Operations: len(operations), IsUndecided: true, part: operations}
	}
	why := "not linearizable: no order of these operations explains their answers"
	return &Wrong{Key: name, Why: why, Operations: len(operations), part: smallest(operations, limit)}
}

// smallest keeps the shortest beginning that is wrong - linearizability is closed under prefixes, so halving finds it - and
// drops from it every answer without which it is still wrong. Only answers that wrote nothing may go: leaving out a write would
// make an innocent read guilty.
func smallest(operations []Operation, limit time.Duration) []Operation {
	ends := make([]int64, len(operations))
	for at := range operations {
		ends[at] = operations[at].ReturnNs
	}
	sort.Slice(ends, func(a, b int) bool { return ends[a] < ends[b] })
	stop := time.Now().Add(limit) // for all of it: a part that is not the smallest is good enough
	isWrong := func(part []Operation) bool {
		left := time.Until(stop)
		return left > 0 && check(part, left) == porcupine.Illegal
	}
	first := sort.Search(len(ends), func(at int) bool { return isWrong(until(operations, ends[at])) })
	if first == len(ends) || !isWrong(until(operations, ends[first])) {
		return operations
	}
	part := until(operations, ends[first])
	for at := len(part) - 1; at >= 0; at-- {
		if part[at].Op != "get" && part[at].Outcome != "fail" {
			continue
		}
		without := append(append([]Operation{}, part[:at]...), part[at+1:]...)
		if isWrong(without) {
			part = without
		}
	}
	return part
}

// until is the history as it was known at `end`: later answers had not come, so their writes are unknown.
func until(operations []Operation, end int64) []Operation {
	var part []Operation
	for _, one := range operations {
		if one.CallNs > end {
			continue
		}
		if one.ReturnNs > end {
			if one.Op == "get" || one.Outcome == "fail" {
				continue
			}
			one.Outcome, one.ReturnNs = "unknown", forever
		}
		part = append(part, one)
	}
	return part
}
