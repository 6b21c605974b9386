package azurestore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
	"github.com/google/uuid"

	"ropewalk/head"
	"ropewalk/internal/finding"
)

// Finding is one result of [Store.Check].
type Finding = finding.Finding

// probeFolder is the folder, below the prefix, of the blobs that Check writes
// and removes again, in the container of the changesets: no role may delete in the
// container of the heads.
const probeFolder = "ropewalk-probe/"

// Check looks at the setup and says which parts exist, are missing or are
// dangerous. It changes nothing, except for one small blob in the container of the
// changesets: it writes the blob to try whether the service honours conditional
// writes, and removes it again. Settings that the credentials may not look at are left out if they are
// only of interest. An error means that the account could not be looked at.
func (s *Store) Check(ctx context.Context) ([]Finding, error) {
	findings := []Finding{endpoint(s.service.URL())}
	for _, c := range s.containers() {
		found, err := s.checkContainer(ctx, c)
		findings = append(findings, found...)
		if err != nil {
			return findings, err
		}
	}
	findings = append(findings, s.account(ctx)...)
	return findings, ctx.Err()
}

func (s *Store) checkContainer(ctx context.Context, c *container.Client) ([]Finding, error) {
	name := "container " + path.Base(location(c.URL()))
	found, err := s.look(ctx, c)
	broken, ok := errors.AsType[*SetupError](err)
	switch {
	case ok && hasCode(err, bloberror.ContainerNotFound):
		return []Finding{{Name: name, Detail: "missing", Hint: broken.Hint}}, nil
	case err != nil:
		return nil, err
	}
	findings := []Finding{{Name: name, OK: true, Detail: "exists"}, private(name, found)}
	if c.URL() == s.heads.URL() {
		findings = append(findings, replaceable(name, found))
	}
	if c.URL() == s.changesets.URL() {
		findings = append(findings, s.conditionalWrites(ctx, name, c))
	}
	return findings, nil
}

func private(name string, found container.GetPropertiesResponse) Finding {
	if found.BlobPublicAccess == nil {
		return Finding{Name: name, OK: true, Detail: "not public"}
	}
	return Finding{
		Name: name, Detail: fmt.Sprintf("anybody may read it: its public access level is %q", *found.BlobPublicAccess),
		Hint: "run ropewalk init, which makes it private, and disallow public access for the whole account",
	}
}

func replaceable(name string, found container.GetPropertiesResponse) Finding {
	for what, set := range map[string]*bool{"an immutability policy": found.HasImmutabilityPolicy, "a legal hold": found.HasLegalHold} {
		if set == nil {
			return Finding{Name: name, Detail: "the reply does not say whether it has " + what, Hint: "connect to Azure Blob Storage directly: something on the way drops headers"}
		}
		if *set {
			return Finding{Name: name, Detail: "has " + what + ", so that heads cannot be replaced", Hint: "remove it, or keep the heads in another container"}
		}
	}
	return Finding{Name: name, OK: true, Detail: "not immutable"}
}

// conditionalWrites tries conditional writes with a blob of its own.
func (s *Store) conditionalWrites(ctx context.Context, name string, c *container.Client) Finding {
	probe := c.NewBlockBlobClient(s.prefix + probeFolder + uuid.NewString())
	defer s.removeProbe(ctx, probe.BlobClient())
	failed, err := s.probe(ctx, probe)
	switch {
	case err != nil:
		return untried(name, err)
	case failed != "":
		return Finding{Name: name, Detail: failed, Hint: "this storage cannot keep heads: use Azure Blob Storage itself, without anything in between that changes ETags or drops headers"}
	}
	return Finding{Name: name, OK: true, Detail: "honours conditional writes"}
}

// probe creates a blob and replaces it by the ETag that it has read. Then it
// sends a create-only write and a write with the outdated ETag, which must be
// refused. It returns what went wrong, in a few words.
func (s *Store) probe(ctx context.Context, probe *blockblob.Client) (failed string, err error) {
	write := func(token string) error {
		_, err := s.write(ctx, "probe", probe, []byte(`"ropewalk probe"`), token)
		return err
	}
	if err := write(""); err != nil {
		return "", err
	}
	first, err := s.read(ctx, "probe", probe, nil)
	if err != nil {
		return "", err
	}
	if err := write(first.token); is[*head.ConflictError](err) {
		return "a write with the ETag that was just read is refused", nil
	} else if err != nil {
		return "", err
	}
	for _, outdated := range []struct{ what, token string }{{"create-only", ""}, {"If-Match", first.token}} {
		if err := write(outdated.token); err == nil {
			return outdated.what + " writes are not honoured", nil
		} else if !is[*head.ConflictError](err) {
			return "", err
		}
	}
	return "", nil
}

func untried(name string, err error) Finding {
	if refused, ok := errors.AsType[*head.NotAppliedError](err); ok {
		err = refused.Err
	}
	f := Finding{Name: name, Detail: "conditional writes could not be tried: " + err.Error(), Hint: "try again"}
	if broken, ok := errors.AsType[*SetupError](err); ok {
		f.Hint = broken.Hint
	}
	return f
}

// removeProbe does so also after the context has ended.
func (s *Store) removeProbe(ctx context.Context, probe *blob.Client) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, _ = do(ctx, s, "remove probe", probe.URL(), func(ctx context.Context) (blob.DeleteResponse, error) { return probe.Delete(ctx, nil) })
}

// endpoint finds out, without a request, whether the client speaks to the
// read-only copy of a geo-redundant account.
func endpoint(serviceURL string) Finding {
	u, err := url.Parse(serviceURL)
	if err == nil && strings.Contains(u.Hostname(), "-secondary.") {
		return Finding{Name: "endpoint", Detail: u.Hostname() + " is the secondary one, which lags behind", Hint: "use the primary endpoint: a stale head is a wrong one"}
	}
	return Finding{Name: "endpoint", OK: true, Detail: location(serviceURL)}
}

// account reports the settings of interest of the account, as far as the
// credentials may see them.
func (s *Store) account(ctx context.Context) []Finding {
	var findings []Finding
	info, err := do(ctx, s, "look at account", s.service.URL(), func(ctx context.Context) (service.GetAccountInfoResponse, error) {
		return s.service.GetAccountInfo(ctx, nil)
	})
	if err == nil && info.AccountKind != nil && info.SKUName != nil {
		findings = append(findings, Finding{Name: "account", OK: true, Detail: fmt.Sprintf("%s %s", *info.AccountKind, *info.SKUName)})
	}
	if hierarchical := info.IsHierarchicalNamespaceEnabled; err == nil && hierarchical != nil && *hierarchical {
		findings = append(findings, Finding{Name: "account", OK: true, Detail: "has a hierarchical namespace: folders stay, and are listed, when they are empty"})
	}
	properties, err := document(ctx, s, "look at service", s.service.URL(), "StorageServiceProperties", func(ctx context.Context) (service.GetPropertiesResponse, error) {
		return s.service.GetProperties(ctx, nil)
	})
	if keep := properties.DeleteRetentionPolicy; err == nil && keep != nil && keep.Enabled != nil && *keep.Enabled && keep.Days != nil {
		findings = append(findings, Finding{Name: "account", OK: true, Detail: fmt.Sprintf("keeps deleted blobs and replaced heads for %d days: erased history lasts as long", *keep.Days)})
	}
	return findings
}
