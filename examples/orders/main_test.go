package main

import (
	"os"
	"testing"

	"ropewalk/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.Clear()
	os.Exit(m.Run())
}

func TestTestsSurviveAnyEnvironment(t *testing.T) {
	testenv.RunHostile(t, "^(TestOpen|TestRunOnAFile)$")
}
