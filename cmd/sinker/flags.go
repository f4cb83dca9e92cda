package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"sinker/internal/app"
	"sinker/internal/config"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A flag either takes effect or is refused with exit code 64; none is ignored (TestFlags walks all of them).

// pipelineFlags are how a command is told of a pipeline: a file, or flags that make one.
type pipelineFlags struct {
	cmd  *cobra.Command
	file string
	own  []string // those of its flags that make a pipeline without a file
}

// add declares the flags of a whole pipeline on a command.
func (f *pipelineFlags) add(cmd *cobra.Command) {
	f.addDatabase(cmd)
	var names []string
	for _, d := range config.PipelineFlags() {
		if d.Name != "create" && !slices.Contains(f.own, d.Name) {
			names = append(names, d.Name)
		}
	}
	f.declare(names...)
}

// addCreate declares --create, for the commands that make tables or look at what making them would do.
func (f *pipelineFlags) addCreate() { f.declare("create") }

// addBrokers declares --brokers.
func (f *pipelineFlags) addBrokers() { f.declare("brokers") }

// addDatabase declares the flags of a command that needs the database and the pipeline's name only.
func (f *pipelineFlags) addDatabase(cmd *cobra.Command) {
	f.cmd = cmd
	cmd.Flags().StringVarP(&f.file, "config", "c", "",
		"configuration file (default sinker.yaml, when no flag describes the pipeline)")
	f.declare("to", "name")
}

// declare declares flags of the configuration's keys.
func (f *pipelineFlags) declare(names ...string) {
	fs := f.cmd.Flags()
	for _, d := range config.PipelineFlags() {
		switch {
		case !slices.Contains(names, d.Name):
			continue
		case d.Switch:
			fs.Bool(d.Name, false, d.Usage)
		case d.List:
			fs.StringSlice(d.Name, nil, d.Usage)
		default:
			fs.String(d.Name, "", d.Usage)
		}
		f.own = append(f.own, d.Name)
	}
}

// values are what the flags that make a pipeline were given.
func (f *pipelineFlags) values() config.Flags {
	values := config.Flags{}
	for _, name := range f.own {
		given := f.cmd.Flags().Lookup(name)
		if list, ok := given.Value.(pflag.SliceValue); ok && given.Changed {
			values[name] = list.GetSlice()
		} else if given.Changed {
			values[name] = []string{given.Value.String()}
		}
	}
	return values
}

// given are the flags on the command line that make a pipeline without a file.
func (f *pipelineFlags) given() (names []string) {
	for _, name := range f.own {
		if f.cmd.Flags().Changed(name) {
			names = append(names, "--"+name)
		}
	}
	return names
}

// fromFile says whether the pipeline comes from a file, and refuses a mixture: the flags would not take effect.
func (f *pipelineFlags) fromFile() (bool, error) {
	given := f.given()
	switch {
	case f.file != "" && len(given) > 0:
		return false, usage("%s cannot be combined with --config %s, which describes the whole pipeline: "+
			"change the file, or leave one of them out", strings.Join(given, ", "), f.file)
	case f.file != "":
		return true, nil
	case len(given) > 0:
		return false, nil
	}
	if _, err := os.Stat("sinker.yaml"); err == nil {
		f.file = "sinker.yaml"
		return true, nil
	}
	return false, nil
}

// loadFile reads a configuration. It gives up when ctx ends: the file may be a pipe that nobody writes into.
func loadFile(ctx context.Context, path string) (*config.Pipeline, error) {
	type answer struct {
		p   *config.Pipeline
		err error
	}
	read := make(chan answer, 1)
	go func() {
		p, err := config.Load(path, os.LookupEnv)
		read <- answer{p, err}
	}()
	select {
	case a := <-read:
		return a.p, a.err
	case <-ctx.Done():
		return nil, app.As(app.Failed, fmt.Errorf("stopped while reading %s; nothing was done", path))
	}
}

// load returns the checked pipeline.
func (f *pipelineFlags) load() (*config.Pipeline, error) {
	file, err := f.fromFile()
	if err != nil {
		return nil, err
	}
	if file {
		return loadFile(f.cmd.Context(), f.file)
	}
	if len(f.given()) == 0 {
		return nil, usage("there is no sinker.yaml here: give --config FILE, or --brokers, --topic and --to")
	}
	p, err := config.FromFlags(f.values(), os.LookupEnv)
	return p, app.As(app.Usage, err)
}

// loadDatabase is load for a command that needs no topics and no brokers: a database and a name are enough.
func (f *pipelineFlags) loadDatabase() (*config.Pipeline, error) {
	file, err := f.fromFile()
	if err != nil {
		return nil, err
	}
	if file {
		return loadFile(f.cmd.Context(), f.file)
	}
	p, err := config.DatabaseOnly(f.values(), os.LookupEnv)
	if err != nil && len(f.given()) == 0 && os.Getenv("DATABASE_URL") == "" {
		return nil, usage("there is no sinker.yaml here: give --config FILE, or set DATABASE_URL, or give --to")
	}
	return p, app.As(app.Usage, err)
}

// usageOf is the usage of the flag of a configuration's key.
func usageOf(name string) string {
	flags := config.PipelineFlags()
	return flags[slices.IndexFunc(flags, func(d config.Flag) bool { return d.Name == name })].Usage
}

// databaseFlags name a database without a pipeline.
type databaseFlags struct {
	cmd      *cobra.Command
	file, to string
}

func (f *databaseFlags) add(cmd *cobra.Command) {
	f.addFile(cmd)
	cmd.Flags().StringVar(&f.to, "to", "", usageOf("to"))
}

// addFile declares --config only.
func (f *databaseFlags) addFile(cmd *cobra.Command) {
	f.cmd = cmd
	cmd.Flags().StringVarP(&f.file, "config", "c", "", "configuration file (default sinker.yaml, else the value of "+
		"DATABASE_URL)")
}

// url prefers the direct connection: migrations take a session's lock.
func (f *databaseFlags) url() (string, error) {
	if f.file != "" && f.to != "" {
		return "", usage("--to cannot be combined with --config %s: leave one of them out", f.file)
	}
	file := f.file
	if file == "" && f.to == "" {
		if _, err := os.Stat("sinker.yaml"); err == nil {
			file = "sinker.yaml"
		}
	}
	if file == "" {
		url, err := config.DatabaseFlag(f.to, os.LookupEnv)
		if err != nil {
			return "", usage("%w", err)
		}
		return url.Reveal(), nil
	}
	p, err := loadFile(f.cmd.Context(), file)
	if err != nil {
		return "", err
	}
	return app.DirectURL(p), nil
}

// needs refuses flags that mean nothing without another one.
func needs(cmd *cobra.Command, other string, flags ...string) error {
	for _, name := range flags {
		if cmd.Flags().Changed(name) && !cmd.Flags().Changed(other) {
			return usage("--%s has no effect without --%s", name, other)
		}
	}
	return nil
}

// excludes refuses flags that mean nothing together with another one.
func excludes(cmd *cobra.Command, other string, flags ...string) error {
	for _, name := range flags {
		if cmd.Flags().Changed(name) && cmd.Flags().Changed(other) {
			return usage("--%s cannot be combined with --%s: leave one of them out", name, other)
		}
	}
	return nil
}

// noEmpty refuses a flag with an empty value: a variable that the shell did not find, mostly. Its default would be
// taken without a word.
func noEmpty(cmd *cobra.Command) error {
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		list, ok := f.Value.(pflag.SliceValue)
		if empty := f.Value.String() == ""; !(empty && !ok || ok && len(list.GetSlice()) == 0) || err != nil {
			return
		}
		err = usage("--%s is empty: give it a value, or leave it out", f.Name)
	})
	return err
}

// flagError is the client library's error of a flag, without the value: it may be a connection URL in the wrong place.
func flagError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	see := fmt.Sprintf("\nSee `%s --help`", cmd.CommandPath())
	switch {
	case errors.As(err, &invalid):
		return usage("--%s takes %s%s", invalid.GetFlag().Name, takes(invalid.GetFlag().Value.Type()), see)
	case errors.As(err, &missing) && missing.GetSpecifiedShortnames() != "":
		return usage("-%s needs a value%s", missing.GetSpecifiedName(), see)
	case errors.As(err, &missing):
		return usage("--%s needs a value%s", missing.GetSpecifiedName(), see)
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return usage("unknown flag -%s: a flag with a longer name begins with two dashes%s", unknown.GetSpecifiedName(), see)
	case errors.As(err, &unknown) && plainWord(unknown.GetSpecifiedName()):
		return usage("unknown flag --%s%s", unknown.GetSpecifiedName(), see)
	}
	return usage("a flag cannot be read%s", see)
}

// takes says what a flag of the kind takes.
func takes(kind string) string {
	switch {
	case kind == "duration":
		return "a duration: 500ms, 30s, 2m"
	case kind == "bool":
		return "true or false"
	case strings.HasPrefix(kind, "uint"):
		return "a whole number, not below 0"
	case strings.HasPrefix(kind, "int"):
		return "a whole number"
	case kind == "format":
		return "text, json or auto"
	case kind == "": // a flag of the standard library's: --log-level
		return "debug, info, warn or error"
	}
	return kind
}

// positive refuses a duration that leaves no time.
func positive(cmd *cobra.Command, flag string, d time.Duration) error {
	if d <= 0 {
		return usage("--%s must be longer than 0: 500ms, 30s, 2m\nSee `%s --help`", flag, cmd.CommandPath())
	}
	return nil
}

// argumentError is cobra's error of an argument, without the argument unless it is a plain word.
func argumentError(cmd *cobra.Command, args []string) error {
	word := ""
	if len(args) > 0 && plainWord(args[0]) {
		word = " " + args[0]
	}
	kind := "argument"
	if cmd.HasSubCommands() {
		kind = "command"
	}
	return usage("unknown %s%s for %s\nSee `%s --help`", kind, word, cmd.CommandPath(), cmd.CommandPath())
}

// plainWord says whether a word on the command line is surely no secret: short, and lower-case letters with dashes.
func plainWord(s string) bool {
	return len(s) <= 24 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-") == ""
}
