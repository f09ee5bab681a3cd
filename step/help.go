package step

import (
	"cmp"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

func unknownStage(stage, jobStage string) error {
	var names []string
	for _, s := range Stages {
		names = append(names, s.Name)
	}
	next := "The stages are: " + strings.Join(names, ", ")
	switch {
	case stage == "":
		return hint.Errorf(next, "no stage is given: say rollstep STAGE or set ROLLSTEP_STAGE")
	case stage == jobStage:
		return hint.Errorf(next+". Say rollstep STAGE, or set ROLLSTEP_STAGE", "there is no stage %q (from CI_JOB_STAGE)", stage)
	}
	return hint.Errorf(next, "there is no stage %q", stage)
}

type variable struct{ Name, Default, Help string }

// variablesOf lists the variables of a configuration struct that users set.
func variablesOf(t reflect.Type) []variable {
	var list []variable
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		if tag.Get("help") != "" {
			list = append(list, variable{tag.Get("env"), cmp.Or(tag.Get("envDefault"), tag.Get("default")), tag.Get("help")})
		}
	}
	return list
}

// Help writes what `rollstep help` prints.
func Help(w io.Writer) error {
	var text strings.Builder
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "rollstep STAGE: one step of a Kubernetes canary rollout, in a GitLab job\n\nStages (the argument, else ROLLSTEP_STAGE, else CI_JOB_STAGE):")
	for _, s := range Stages {
		fmt.Fprintf(tw, "  %s\t%s\n", strings.TrimSpace(s.Name+" "+s.Argument), s.Does)
	}
	fmt.Fprintln(tw, "  help\tprints this")
	fmt.Fprintln(tw, "  version\tprints the version")
	fmt.Fprintln(tw, "\nVariables (empty counts as unset):")
	for _, v := range variablesOf(reflect.TypeFor[Config]()) {
		help := v.Help
		if v.Default != "" {
			help += " [" + v.Default + "]"
		}
		fmt.Fprintf(tw, "  %s\t%s\n", v.Name, help)
	}
	fmt.Fprintln(tw, "\nExit codes:")
	for _, e := range exitCodes {
		fmt.Fprintf(tw, "  %d\t%s\n", e.code, e.meaning)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, text.String())
	return err
}
