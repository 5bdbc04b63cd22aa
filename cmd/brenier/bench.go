package main

import "flag"

var benchCommand = command{
	name: "bench", argument: "[MODEL]", least: 0, most: 1,
	summary: "x",
	setup: func(*flag.FlagSet) func(*console, []string) error {
		return func(*console, []string) error { return nil }
	},
}
