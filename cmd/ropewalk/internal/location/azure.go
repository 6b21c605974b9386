package location

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"ropewalk/backends/azurestore"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/internal/finding"
	"ropewalk/internal/storeurl"
)

// connectionVariable is the variable of the service's own tools that holds the
// account, the endpoint and the credentials.
const connectionVariable = "AZURE_STORAGE_CONNECTION_STRING"

// azurePlace is a store in Azure Blob Storage.
type azureLocation struct {
	account, endpoint string
	connection        string // empty: the identity of the environment counts
	options           azurestore.Options
}

func parseAzure(rawURL string, env map[string]string) (Location, error) {
	u, err := parseCloudURL(rawURL, append([]string{"changesets", "heads", "endpoint"}, storeurl.LayoutParameters...)...)
	if err != nil {
		return nil, err
	}
	p, err := azureAccount(rawURL, u, env)
	if err != nil {
		return nil, err
	}
	p.options.ChangesetsContainer, p.options.HeadsContainer = u.Parameters["changesets"], u.Parameters["heads"]
	return p, nil
}

// azureAccount returns the account that a URL names, without the containers.
func azureAccount(rawURL string, u storeurl.URL, env map[string]string) (p azureLocation, err error) {
	p = azureLocation{account: u.Host, connection: env[connectionVariable], options: azurestore.Options{Prefix: u.Prefix}}
	if p.endpoint, err = u.Endpoint(); err != nil {
		return p, usage(err)
	}
	switch named := connectionAccount(p.connection); {
	case p.account == "" && p.connection == "":
		return p, cliexit.WithHint(cliexit.Usagef("store %q names no account", rawURL), "write azure://ACCOUNT/, or set %s", connectionVariable)
	case strings.HasPrefix(p.endpoint, "http:"):
		return p, cliexit.WithHint(cliexit.Usagef("endpoint %s: tokens are sent over https alone", p.endpoint), "for an emulator set %s", connectionVariable)
	case p.connection != "" && p.endpoint != "":
		return p, cliexit.Usagef("store %q has an endpoint, and so has %s", rawURL, connectionVariable)
	case p.connection != "" && p.account != "" && named != p.account:
		return p, cliexit.Usagef("store %q names account %q, and %s names %q", rawURL, p.account, connectionVariable, named)
	}
	return p, nil
}

// connectionAccount returns the account of a connection string, or nothing.
func connectionAccount(connection string) string {
	for part := range strings.SplitSeq(connection, ";") {
		if name, value, _ := strings.Cut(part, "="); strings.EqualFold(strings.TrimSpace(name), "AccountName") {
			return value
		}
	}
	return ""
}

// store returns the store. It sends no request.
func (p azureLocation) store() (*azurestore.Store, error) {
	return openAzure(p, azurestore.New, azurestore.NewFromConnectionString)
}

// openAzure opens what is in the account by one of two constructors.
func openAzure[T any](p azureLocation,
	byCredential func(string, azcore.TokenCredential, *azurestore.Options) (T, error), byConnection func(string, *azurestore.Options) (T, error),
) (opened T, err error) {
	options := p.options
	options.Client = limitedAzure()
	if p.connection != "" {
		opened, err = byConnection(p.connection, &options)
		return opened, azureProblem(err)
	}
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return opened, &finding.SetupError{What: "the Azure configuration cannot be used", Hint: "check the credentials of the environment, or set " + connectionVariable, Err: err}
	}
	endpoint := cmp.Or(p.endpoint, "https://"+p.account+".blob.core.windows.net/")
	opened, err = byCredential(endpoint, explainedCredential{credential}, &options)
	return opened, azureProblem(err)
}

// azureProblem returns the error of a store that cannot be made: the URL is wrong,
// or the environment is.
func azureProblem(err error) error {
	if _, isSetup := errors.AsType[*finding.SetupError](err); err == nil || isSetup {
		return err
	}
	return cliexit.Wrap(cliexit.Usage, err)
}

// limitedAzure returns the options of a client that fails within seconds.
func limitedAzure() service.ClientOptions {
	var dialer net.Dialer
	limitDial(&dialer)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = dialer.DialContext
	limitTransport(transport)
	return service.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: &http.Client{Transport: transport},
		Retry:     policy.RetryOptions{MaxRetries: maxAttempts - 1, RetryDelay: maxPause / 4, MaxRetryDelay: maxPause},
	}}
}

// explainedCredential adds a hint if no token can be had.
type explainedCredential struct{ azcore.TokenCredential }

func (c explainedCredential) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := c.TokenCredential.GetToken(ctx, options)
	if err != nil && ctx.Err() == nil {
		err = &finding.SetupError{What: "Azure gives no token", Hint: "log in with az login, or set the variables of an Azure identity or " + connectionVariable, Err: err}
	}
	return token, err
}

func (p azureLocation) Open(context.Context, bool) (*Opened, error) {
	s, err := p.store()
	if err != nil {
		return nil, err
	}
	return &Opened{Objects: s, Heads: s}, nil
}

func (p azureLocation) Provision(ctx context.Context) error {
	s, err := p.store()
	if err != nil {
		return err
	}
	return s.Provision(ctx)
}

func (p azureLocation) Check(ctx context.Context) ([]finding.Finding, error) {
	s, err := p.store()
	if err != nil {
		return nil, err
	}
	findings, err := s.Check(ctx)
	if err == nil {
		findings = append(findings, notTogether("Azure"))
	}
	return findings, err
}
