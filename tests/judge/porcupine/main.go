// Porcupine: our model of a branch (a lock with a list, tests/judge/history.ts) for Porcupine, which judges whether a history
// is linearizable. Not built unless somebody says where Porcupine's source is (tests/judge/porcupine.ts).
package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

type operation struct {
	Client   string
	Op       string
	Steal    bool
	CallUs   int64
	ReturnUs *int64
	Term     *int
	Length   *int
	Last     string
	Ids      []string
	From     *int
	Again    bool
}

type history struct {
	Operations []operation
	Final      []string
}

// state is comparable: the list is its ids, each followed by a newline.
type state struct {
	holder string
	term   int
	length int
	list   string
}

func (s state) sees(o operation) bool {
	if o.Length == nil {
		return true
	}
	return *o.Length == s.length && (s.length == 0 && o.Last == "" || strings.HasSuffix("\n"+s.list, "\n"+o.Last+"\n"))
}

// step: what nobody was told of may also have done nothing. That it did nothing where it could have done something is the same
// as that it did it after the end.
func step(before, input, _ interface{}) (bool, interface{}) {
	isOk, after := apply(before.(state), input.(operation))
	if o := input.(operation); !isOk && o.ReturnUs == nil && o.Op != "ci" && o.Op != "final" {
		return true, before
	}
	return isOk, after
}

func apply(s state, o operation) (bool, state) {
	switch o.Op {
	case "read":
		return s.sees(o), s
	case "final":
		return s.list == o.Last, s
	case "lock":
		own := s.holder == o.Client
		if s.holder != "" && !own && !o.Steal || !s.sees(o) {
			return false, s
		}
		if o.Term == nil {
			if !own {
				s.term++
			}
		} else if *o.Term < s.term || *o.Term == s.term && !own {
			return false, s
		} else {
			s.term = *o.Term
		}
		s.holder = o.Client
		return true, s
	case "ci":
		byHolder := o.ReturnUs != nil && !o.Again
		if byHolder && s.holder != o.Client || o.From != nil && *o.From != s.length+1 {
			return false, s
		}
		s.holder = ""
		s.length += len(o.Ids)
		s.list += strings.Join(o.Ids, "\n") + "\n"
		return true, s
	case "unlock":
		had := s.holder == o.Client || o.Steal && s.holder != ""
		s.holder = ""
		return had, s
	case "drop":
		if s.holder == o.Client {
			s.holder = ""
		}
		return true, s
	}
	panic("no such operation: " + o.Op)
}

func main() {
	bytes, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	var h history
	if err := json.Unmarshal(bytes, &h); err != nil {
		panic(err)
	}
	there := map[string]bool{}
	for _, id := range h.Final {
		there[id] = true
	}
	var operations []porcupine.Operation
	var end int64
	for _, o := range h.Operations {
		if o.Op == "ci" && o.ReturnUs == nil && !there[o.Ids[0]] {
			continue // it is not in the final list: it never came to pass
		}
		returnUs := int64(math.MaxInt64)
		if o.ReturnUs != nil {
			returnUs = *o.ReturnUs
		}
		for _, at := range []int64{o.CallUs, returnUs} {
			if at > end && at != math.MaxInt64 {
				end = at
			}
		}
		operations = append(operations, porcupine.Operation{Input: o, Call: o.CallUs, Return: returnUs})
	}
	list := ""
	for _, id := range h.Final {
		list += id + "\n"
	}
	final := operation{Op: "final", Last: list}
	operations = append(operations, porcupine.Operation{Input: final, Call: end + 1, Return: end + 2})
	model := porcupine.Model{Init: func() interface{} { return state{} }, Step: step}
	begin := time.Now()
	result := porcupine.CheckOperationsTimeout(model, operations, 10*time.Minute)
	fmt.Printf("{\"result\":%q,\"operations\":%d,\"tookMs\":%d}\n", result, len(operations)-1, time.Since(begin).Milliseconds())
}
