// judge_test.go - the judge judged: good histories pass, and every planted lie is found.
package main

import (
	"fmt"
	"math/rand"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const limit = 20 * time.Second

func put(call, end, value int64) Operation {
	return Operation{Op: "put", Key: "k", Value: value, Version: unknownVersion, CallNs: call, ReturnNs: end, Outcome: "ok"}
}
func get(call, end, value, version int64) Operation {
	return Operation{Op: "get", Key: "k", Value: value, Version: version, CallNs: call, ReturnNs: end, Outcome: "ok"}
}
func insert(call, end, value int64) Operation {
	one := put(call, end, value)
	one.Op = "insert"
	return one
}
func update(call, end, value, version, ifVersion int64) Operation {
	one := put(call, end, value)
	one.Op, one.Version, one.IfVersion = "update", version, ifVersion
	return one
}
func remove(call, end, deleted int64) Operation {
	return Operation{Op: "delete", Key: "k", Deleted: deleted, CallNs: call, ReturnNs: end, Outcome: "ok"}
}
func unknown(one Operation) Operation {
	one.Outcome = "unknown"
	return one
}
func failed(one Operation, why string) Operation {
	one.Outcome, one.Error = "fail", why
	return one
}
func rows(call, end int64, rows ...[2]int64) Operation {
	return Operation{Op: "get", Key: "k", Rows: rows, Size: 3, CallNs: call, ReturnNs: end, Outcome: "ok"}
}

func TestGoodHistoriesPass(t *testing.T) {
	good := map[string][]Operation{
		"nothing":                          {},
		"absent at first":                  {get(0, 1, 0, 0)},
		"one after the other":              {put(0, 1, 7), get(2, 3, 7, 1), put(4, 5, 8), get(6, 7, 8, 2)},
		"either order when concurrent":     {put(0, 10, 7), put(0, 10, 8), get(11, 12, 7, 2)},
		"seen before it is answered":       {put(0, 10, 7), get(1, 2, 7, 1), get(3, 4, 7, 1)},
		"unknown and never done":           {put(0, 1, 7), unknown(put(2, 3, 8)), get(4, 5, 7, 1), get(6, 7, 7, 1)},
		"unknown and done late":            {put(0, 1, 7), unknown(put(2, 3, 8)), get(4, 5, 7, 1), get(9, 10, 8, 2)},
		"unknown update of an old version": {put(0, 1, 7), unknown(update(2, 3, 8, 0, 1)), put(4, 5, 9), get(6, 7, 9, 2)},
		"version again 1 after delete":     {put(0, 1, 7), put(2, 3, 8), remove(4, 5, 1), insert(6, 7, 9), get(8, 9, 9, 1)},
		"identical insert":                 {insert(0, 1, 7), insert(2, 3, 7), get(4, 5, 7, 1)},
		"unknown insert repeated":          {unknown(insert(0, 1, 7)), insert(2, 3, 7), get(4, 5, 7, 1)},
		"insert refused":                   {insert(0, 1, 7), failed(insert(2, 3, 8), "IdExists"), get(4, 5, 7, 1)},
		"update refused":                   {failed(update(0, 1, 7, 0, 0), "IdNotFound"), get(2, 3, 0, 0)},
		"if_version refused":               {put(0, 1, 7), failed(update(2, 3, 8, 0, 2), "VersionConflict"), get(4, 5, 7, 1)},
		"nothing known of a failure":       {put(0, 1, 7), failed(put(2, 3, 8), "Unavailable"), get(4, 5, 7, 1)},
		"delete of nothing":                {remove(0, 1, 0), put(2, 3, 7), remove(4, 5, 1), remove(6, 7, 0)},
		"search without versions":          {put(0, 1, 7), get(2, 3, 7, unknownVersion)},
		"a whole batch":                    {put(0, 1, 7), rows(2, 3, [2]int64{7, 1}, [2]int64{7, 1}, [2]int64{7, 1})},
	}
	for name, history := range good {
		if verdict := judge(history, limit); !verdict.Ok {
			t.Errorf("%s: %+v", name, verdict.Wrong)
		}
	}
}

func TestWrongHistoriesAreFound(t *testing.T) {
	wrong := map[string][]Operation{
		"stale read":                  {put(0, 1, 7), put(2, 3, 8), get(4, 5, 7, 1)},
		"stale read, no version":      {put(0, 1, 7), put(2, 3, 8), get(4, 5, 7, unknownVersion)},
		"lost write":                  {put(0, 1, 7), get(2, 3, 0, 0)},
		"lost write in a version":     {put(0, 1, 7), put(2, 3, 8), put(4, 5, 9), get(6, 7, 9, 2)},
		"resurrected delete":          {put(0, 1, 7), remove(2, 3, 1), get(4, 5, 7, 1)},
		"delete that did not see it":  {put(0, 1, 7), remove(2, 3, 0)},
		"deleted twice":               {put(0, 1, 7), remove(2, 8, 1), remove(3, 9, 1)},
		"version skipped":             {put(0, 1, 7), put(2, 3, 8), get(4, 5, 8, 3)},
		"version kept after delete":   {put(0, 1, 7), remove(2, 3, 1), insert(4, 5, 8), get(6, 7, 8, 3)},
		"two successes of a version":  {put(0, 1, 7), update(2, 8, 8, 2, 1), update(3, 9, 9, 2, 1)},
		"the same version twice":      {put(0, 1, 7), update(2, 8, 8, 2, 0), update(3, 9, 9, 2, 0)},
		"never written":               {put(0, 1, 7), get(2, 3, 99, 2)},
		"read before it was called":   {get(0, 1, 7, 1), put(2, 3, 7)},
		"stored although refused":     {put(0, 1, 7), failed(put(2, 3, 8), "Unavailable"), get(4, 5, 8, 2)},
		"seen, then unseen":           {put(0, 1, 7), put(2, 20, 8), get(3, 4, 8, 2), get(5, 6, 7, 1)},
		"unknown seen, then unseen":   {put(0, 1, 7), unknown(put(2, 3, 8)), get(4, 5, 8, 2), get(6, 7, 7, 1)},
		"unknown happened twice":      {put(0, 1, 7), unknown(put(2, 3, 8)), get(4, 5, 8, 2), put(6, 7, 9), get(8, 9, 8, 4)},
		"half a batch read":           {put(0, 1, 7), put(2, 9, 8), rows(3, 4, [2]int64{8, 2}, [2]int64{7, 1}, [2]int64{8, 2})},
		"half a batch there":          {put(0, 1, 7), rows(2, 3, [2]int64{7, 1}, [2]int64{0, 0}, [2]int64{7, 1})},
		"a row too many":              {put(0, 1, 7), rows(2, 3, [2]int64{7, -1}, [2]int64{7, -1}, [2]int64{7, -1}, [2]int64{7, -1})},
		"insert over other content":   {insert(0, 1, 7), insert(2, 3, 8)},
		"IdExists on nothing":         {failed(insert(0, 1, 7), "IdExists")},
		"IdExists on the same":        {insert(0, 1, 7), failed(insert(2, 3, 7), "IdExists")},
		"IdNotFound on a record":      {put(0, 1, 7), failed(update(2, 3, 8, 0, 0), "IdNotFound")},
		"conflict with the same":      {put(0, 1, 7), failed(update(2, 3, 8, 0, 1), "VersionConflict")},
		"update of another version":   {put(0, 1, 7), put(2, 3, 8), update(4, 5, 9, 3, 1)},
		"identical insert that wrote": {insert(0, 1, 7), insert(2, 3, 7), get(4, 5, 7, 2)},
	}
	for name, history := range wrong {
		verdict := judge(history, limit)
		if verdict.Ok || len(verdict.Wrong) != 1 || verdict.Wrong[0].Key != "k" || verdict.Wrong[0].IsUndecided {
			t.Errorf("%s was not found: %+v", name, verdict)
		}
	}
}

// live plays `count` calls of several clients on a store that is right by its lock, some of them answered by nobody: few, as
// the search grows exponentially with the unanswered writes of a key.
func live(seed int64, clients, count int) []Operation {
	var lock, noting sync.Mutex
	var waiting sync.WaitGroup
	states := map[string]record{}
	var history []Operation
	start := time.Now()
	for client := range clients {
		waiting.Add(1)
		go func() {
			defer waiting.Done()
			random := rand.New(rand.NewSource(seed*1000 + int64(client)))
			for number := range count {
				one := Operation{Client: client, Key: fmt.Sprint("k", random.Intn(12)), Outcome: "ok"}
				one.Op = []string{"put", "get", "get", "delete", "update", "insert"}[random.Intn(6)]
				one.Value = int64(client*1_000_000 + number + 1)
				one.CallNs = time.Since(start).Nanoseconds()
				isLost, isDone := random.Intn(60) == 0, random.Intn(2) == 0
				lock.Lock()
				if !isLost || isDone {
					answer(states, &one)
				}
				lock.Unlock()
				if isLost {
					one.Outcome = "unknown"
				}
				one.ReturnNs = time.Since(start).Nanoseconds()
				noting.Lock()
				history = append(history, one)
				noting.Unlock()
			}
		}()
	}
	waiting.Wait()
	return history
}

// answer is a second, plain writing of the promise: not step(), which it is to be compared with.
func answer(states map[string]record, one *Operation) {
	state, isThere := states[one.Key]
	switch one.Op {
	case "get":
		one.Value, one.Version = state.value, state.version
	case "put":
		states[one.Key] = record{state.version + 1, one.Value}
	case "delete":
		one.Deleted = min(state.version, 1)
		delete(states, one.Key)
	case "insert":
		if isThere {
			one.Outcome, one.Error = "fail", "IdExists"
		} else {
			states[one.Key] = record{1, one.Value}
		}
	case "update":
		if !isThere {
			one.Outcome, one.Error = "fail", "IdNotFound"
		} else {
			one.Version = state.version + 1
			states[one.Key] = record{one.Version, one.Value}
		}
	}
}

func TestLiveHistoriesPassAndOneLieIsFound(t *testing.T) {
	for seed := range int64(20) {
		history := live(seed, 6, 200)
		if verdict := judge(history, limit); !verdict.Ok {
			t.Fatalf("seed %d: %+v", seed, verdict.Wrong)
		}
		for at := len(history) / 2; ; at++ {
			if one := &history[at]; one.Op == "get" && one.Outcome == "ok" && one.Value != 0 {
				one.Value, one.Version = one.Value+500_000, one.Version+1000
				break
			}
		}
		if verdict := judge(history, limit); verdict.Ok {
			t.Fatalf("seed %d: the lie passed", seed)
		}
	}
}

func TestSmallestPartOfAWrongHistoryIsWrongAndWritten(t *testing.T) {
	history := []Operation{
		put(0, 1, 7), get(2, 3, 7, 1), get(2, 4, 7, 1), put(5, 6, 8), get(7, 8, 8, 2), get(9, 10, 7, 1), put(11, 12, 9), get(13, 14, 9, 3),
	}
	verdict := judge(history, limit)
	if verdict.Ok || len(verdict.Wrong[0].part) != 3 {
		t.Fatalf("two puts and the stale read are enough: %+v", verdict.Wrong)
	}
	directory := t.TempDir()
	if err := verdict.Wrong[0].write(directory); err != nil {
		t.Fatal(err)
	}
	again, err := judgeFile(filepath.Join(directory, "wrong-k.jsonl"), "", limit)
	if err != nil || again.Ok || again.Operations != 3 {
		t.Fatalf("what was written is judged otherwise: %+v %v", again, err)
	}
}

func TestUnreadableHistoriesAreRefused(t *testing.T) {
	for _, line := range []string{
		`{`, `{"op":"gte","key":"a","outcome":"ok"}`, `{"op":"get","key":"a","outcome":"okay"}`, `{"op":"get","outcome":"ok"}`,
		`{"op":"get","key":"a","outcome":"ok","call_ns":5,"return_ns":4}`, `{"op":"put","key":"a","outcome":"ok","value":0}`,
	} {
		if _, err := readHistory(strings.NewReader(line)); err == nil {
			t.Errorf("accepted: %s", line)
		}
	}
}
