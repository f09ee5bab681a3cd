package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	"sigs.k8s.io/kwok/pkg/config"
	kwok "sigs.k8s.io/kwok/pkg/kwok/cmd"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/signals"

	"gitlab.com/rollstep/rollstep/lab/internal/controlplane"
	"gitlab.com/rollstep/rollstep/lab/internal/part"
)

// runPart makes this process one part of a lab. args begins with the part's name.
func runPart(args []string, stderr io.Writer) int {
	if len(args) == 0 {
		return 2
	}
	part.EndWithParent()
	// The parts are whole programs: they read their flags from here.
	os.Args = args
	switch args[0] {
	case controlplane.Etcd:
		etcdmain.Main(args)
		return 1 // it does not return
	case controlplane.APIServer:
		return cli.Run(apiserver.NewAPIServerCommand())
	case controlplane.ControllerManager:
		return cli.Run(controllermanager.NewControllerManagerCommand())
	case controlplane.Scheduler:
		return cli.Run(scheduler.NewSchedulerCommand())
	case controlplane.Kwok:
		return runKwok(stderr)
	default:
		fmt.Fprintf(stderr, "lab: no part is called %q\n", args[0])
		return 2
	}
}

// runKwok does what cmd/kwok/main.go in sigs.k8s.io/kwok does.
func runKwok(stderr io.Writer) int {
	flags := pflag.NewFlagSet("global", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.Usage = func() {}
	ctx, _ := log.InitFlags(signals.SetupSignalContext(), flags)
	ctx, err := config.InitFlags(ctx, flags)
	if err == nil {
		command := kwok.NewCommand(ctx)
		// The other parts' packages define a flag "version" of another type for the whole process.
		command.Version = ""
		command.PersistentFlags().AddFlagSet(flags)
		err = command.ExecuteContext(ctx)
	}
	if err != nil {
		fmt.Fprintln(stderr, "kwok:", err)
		return 1
	}
	return 0
}
