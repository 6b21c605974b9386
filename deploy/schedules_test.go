package deploy_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"
)

// loadSchedules reads the module of the schedules of a cloud.
func loadSchedules(t *testing.T, cloud string, schedules values) module {
	t.Helper()
	variables := values{"name": "acme", "store_url": "the store", "image": "ropewalk:1", "schedules": schedules}
	if cloud == "aws" {
		maps.Copy(variables, values{"relay_policy_arn": "arn of relay", "maintainer_policy_arn": "arn of maintainer", "subnets": []any{"subnet-1"}})
		role := values{"arn": "arn of a role", "name": "a role"}
		return load(t, "aws/schedules", variables, values{
			"aws_ecs_cluster":          values{"jobs": values{"arn": "arn of the cluster"}},
			"aws_cloudwatch_log_group": values{"jobs": values{"name": "logs"}},
			"aws_iam_role":             values{"execution": role, "scheduler": role, "task": values{"relay": values{"arn": "relay"}, "maintainer": values{"arn": "maintainer"}}},
			"data":                     values{"aws_region": values{"current": values{"name": "eu-west-1"}}},
		})
	}
	maps.Copy(variables, values{"resource_group": "acme", "location": "westeurope"})
	return load(t, "azure/schedules", variables, values{
		"azurerm_user_assigned_identity": values{"jobs": values{"client_id": "a client"}},
	})
}

func (m module) local(name string) any { return fromCty(m.known.Variables["local"].GetAttr(name)) }

func keys(all any) []string { return slices.Sorted(maps.Keys(all.(values))) }

// Both clouds run the same commands, and the pages have each of them.
func TestSchedulesRunCommands(t *testing.T) {
	reference, err := os.ReadFile("../docs/reference.md")
	require.NoError(t, err)
	operations, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	commands := map[string]any{}
	for _, cloud := range []string{"aws", "azure"} {
		for name, job := range loadSchedules(t, cloud, values{}).local("jobs").(values) {
			command := job.(values)["command"].([]any)
			if other, ok := commands[name]; ok {
				require.Equal(t, other, command, name)
			}
			commands[name] = command
			line := "ropewalk"
			for _, word := range command {
				line += " " + word.(string)
				if flag := word.(string); strings.HasPrefix(flag, "--") {
					require.Contains(t, string(reference), flag)
				}
			}
			require.Contains(t, string(operations), "`"+line+"`")
		}
	}
	require.Len(t, commands, 5)
}

// A relay runs all the time, everything else by the clock, and what is off does not run.
func TestSchedulesByDefault(t *testing.T) {
	for _, cloud := range []string{"aws", "azure"} {
		m := loadSchedules(t, cloud, values{})
		require.Equal(t, []any{"relay"}, m.local("always"))
		require.Equal(t, []string{"gc", "verify", "verify-feed", "verify-headers"}, keys(m.local("scheduled")))

		hourly := map[string]string{"aws": "rate(1 hour)", "azure": "0 * * * *"}[cloud]
		m = loadSchedules(t, cloud, values{"gc": "off", "verify": "off", "relay": hourly})
		require.Empty(t, m.local("always"))
		require.Equal(t, []string{"relay", "verify-feed", "verify-headers"}, keys(m.local("scheduled")))
		require.Equal(t, hourly, m.local("scheduled").(values)["relay"])
	}
}

func TestSchedulesAreValidated(t *testing.T) {
	for cloud, when := range map[string]string{"aws": "cron(0 3 * * ? *)", "azure": "0 3 * * 0"} {
		load := func(t *testing.T, more values) module { return loadSchedules(t, cloud, more["schedules"].(values)) }
		requireValidation(t, load, "schedules",
			[]any{values{}, values{"gc": "off", "relay": "always"}, values{"gc": when, "verify": when, "verify-headers": when, "verify-feed": when, "relay": when}},
			[]any{values{"gc": "always"}, values{"collect": when}, values{"gc": "daily"}, values{"gc": ""}, values{"relay": "never"}})
	}
}

// Each job on AWS runs under the role of its kind, in the store, with nothing to write to.
func TestAWSSchedulesRunAsTheirRole(t *testing.T) {
	m := loadSchedules(t, "aws", values{})
	b := m.block("resource", "aws_ecs_task_definition", "job")
	for name, job := range m.local("jobs").(values) {
		role := job.(values)["role"].(string)
		require.Equal(t, name == "relay", role == "relay")
		require.Equal(t, role, m.value(b, "task_role_arn", cty.StringVal(name), toCty(job)).AsString())
		var containers []map[string]any
		require.NoError(t, json.Unmarshal([]byte(m.value(b, "container_definitions", cty.StringVal(name), toCty(job)).AsString()), &containers))
		require.Len(t, containers, 1)
		require.Equal(t, job.(values)["command"], containers[0]["command"])
		require.Equal(t, true, containers[0]["readonlyRootFilesystem"])
		require.Equal(t, []any{map[string]any{"name": "ROPEWALK_STORE", "value": "the store"}}, containers[0]["environment"])
	}
	require.Equal(t, values{"relay": "arn of relay", "maintainer": "arn of maintainer"}, fromCty(m.value(m.block("resource", "aws_iam_role_policy_attachment", "task"), "for_each")))
}

// A run that fails raises the alarm: with any exit code except 0, and if it could not start.
func TestAWSSchedulesAlarm(t *testing.T) {
	m := loadSchedules(t, "aws", values{})
	rule := m.block("resource", "aws_cloudwatch_event_rule", "failed")
	require.JSONEq(t, `{"source": ["aws.ecs"], "detail-type": ["ECS Task State Change"], "detail": {
		"clusterArn": ["arn of the cluster"], "lastStatus": ["STOPPED"],
		"$or": [{"containers": {"exitCode": [{"anything-but": 0}]}}, {"stopCode": ["TaskFailedToStart"]}]}}`, m.value(rule, "event_pattern").AsString())
}
