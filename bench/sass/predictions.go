package main

import "bytes"

func writePredictions(text *bytes.Buffer, budgets []Budget) {}
