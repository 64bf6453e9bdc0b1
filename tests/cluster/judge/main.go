// main.go - judges a history of JSON lines: prints one JSON line, exit code 1 when it is wrong, 2 when it cannot be read.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

func main() {
	limit := flag.Duration("limit", time.Minute, "for one key")
	directory := flag.String("wrong", "", "where the smallest wrong part of a key is written")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: judge [-limit 1m] [-wrong DIR] HISTORY.jsonl")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	verdict, err := judgeFile(flag.Arg(0), *directory, *limit)
	if err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(2)
	}
	line, _ := json.Marshal(verdict)
	fmt.Println(string(line))
	if !verdict.Ok {
		os.Exit(1)
	}
}

func judgeFile(path, directory string, limit time.Duration) (Verdict, error) {
	file, err := os.Open(path)
	if err != nil {
		return Verdict{}, err
	}
	defer file.Close()
	history, err := readHistory(file)
	if err != nil {
		return Verdict{}, err
	}
	verdict := judge(history, limit)
	for at := range verdict.Wrong {
		if directory == "" {
			break
		}
		if err := verdict.Wrong[at].write(directory); err != nil {
			return verdict, err
		}
	}
	return verdict, nil
}

var unfit = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

func (w *Wrong) write(directory string) error {
	w.File = filepath.Join(directory, "wrong-"+unfit.ReplaceAllString(w.Key, "_")+".jsonl")
	file, err := os.Create(w.File)
	if err != nil {
		return err
	}
	lines := json.NewEncoder(file)
	for _, one := range w.part {
		if err := lines.Encode(one); err != nil {
			file.Close()
			return err
		}
	}
	return file.Close()
}
