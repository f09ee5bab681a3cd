// Command bench compares rollstep with kubectl, Helm and the least that any
// client must do, all on one cluster and in one run, and says which of the
// project's numbers hold. `make bench` starts it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const usage = `bench compares rollstep with kubectl and Helm on the cluster in KUBECONFIG
(make bench: on a lab), in namespaces of its own that it removes.

  -quick         one round, small sizes: to see that it works
  -rounds N      how often each command runs (5); slow ones run less often
  -objects LIST  how many objects a release has (1,100,1000)
  -pods LIST     how many pods a release has (10,100,1000,5000); 5000 take 8 minutes
  -only LIST     of: objects, article, stages, failures, requests, memory, size
  -bin DIR       where rollstep, kubectl and helm are; where bench is
  -trace         print each request that the section requests counts, and when
  -write FILE    put the result between the markers of this Markdown file
`

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "measure": // see run.go
			os.Exit(measure(os.Args[2:]))
		case "bare": // see bare.go
			exit(bare(context.Background(), os.Args[2:]))
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(compare(ctx, os.Args[1:]))
}

func exit(err error) {
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// options are what the command line says.
type options struct {
	quick, trace  bool
	rounds        int
	objects, pods []int
	only          map[string]bool
	bin, write    string
}

func parse(args []string) (options, error) {
	o := options{only: map[string]bool{}}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	var objects, pods, only string
	flags.BoolVar(&o.quick, "quick", false, "")
	flags.BoolVar(&o.trace, "trace", false, "")
	flags.IntVar(&o.rounds, "rounds", 5, "")
	flags.StringVar(&objects, "objects", "", "")
	flags.StringVar(&pods, "pods", "", "")
	flags.StringVar(&only, "only", "", "")
	flags.StringVar(&o.bin, "bin", "", "")
	flags.StringVar(&o.write, "write", "", "")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.quick {
		o.rounds = 1
	}
	if o.bin == "" {
		self, err := os.Executable()
		if err != nil {
			return o, err
		}
		o.bin = filepath.Dir(self)
	}
	var err1, err2 error
	o.objects, err1 = numbers(objects, o.quick, []int{1, 30}, []int{1, 100, 1000})
	o.pods, err2 = numbers(pods, o.quick, []int{10, 30}, []int{10, 100, 1000, 5000})
	for _, name := range strings.FieldsFunc(only, func(r rune) bool { return r == ',' }) {
		o.only[name] = true
	}
	return o, errors.Join(err1, err2)
}

func numbers(list string, quick bool, few, all []int) ([]int, error) {
	switch {
	case list == "" && quick:
		return few, nil
	case list == "":
		return all, nil
	}
	var ns []int
	for _, text := range strings.Split(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no list of sizes, such as 10,100", list)
		}
		ns = append(ns, n)
	}
	return ns, nil
}

// sections are what is measured, in this order.
var sections = []struct {
	name    string
	measure func(*bench, context.Context) error
}{
	{"objects", (*bench).applyObjects},
	{"article", (*bench).applyArticle},
	{"stages", (*bench).stages},
	{"failures", (*bench).failures},
	{"requests", (*bench).requests},
	{"memory", (*bench).memory},
	{"size", (*bench).size},
}

func compare(ctx context.Context, args []string) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	began := time.Now()
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.cleanUp()) }()
	known := map[string]bool{}
	for _, s := range sections {
		known[s.name] = true
		if len(o.only) > 0 && !o.only[s.name] {
			continue
		}
		b.progress("%s", s.name)
		if err := s.measure(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	for name := range o.only {
		if !known[name] {
			return fmt.Errorf("-only: there is no section %q", name)
		}
	}
	b.report.environment = b.environment(began)
	fmt.Print(b.report.text())
	if o.write == "" {
		return nil
	}
	return b.report.writeInto(o.write)
}
