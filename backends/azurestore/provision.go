package azurestore

import (
	"context"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

// Provision makes sure that the containers exist and that neither is open to
// the public; stored access policies of an existing container stay. It may be
// repeated, and called by many at the same time. It does not make the account.
func (s *Store) Provision(ctx context.Context) error {
	for _, c := range s.containers() {
		if err := s.provision(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// containers returns the containers, once where they are one.
func (s *Store) containers() []*container.Client {
	if s.changesets.URL() == s.heads.URL() {
		return []*container.Client{s.changesets}
	}
	return []*container.Client{s.changesets, s.heads}
}

func (s *Store) provision(ctx context.Context, c *container.Client) error {
	_, err := do(ctx, s, "create container", c.URL(), func(ctx context.Context) (container.CreateResponse, error) {
		return c.Create(ctx, nil)
	})
	if !hasCode(err, bloberror.ContainerAlreadyExists) {
		return err
	}
	found, err := s.look(ctx, c)
	if err != nil || found.BlobPublicAccess == nil {
		return err
	}
	return s.closeToPublic(ctx, c)
}

func (s *Store) look(ctx context.Context, c *container.Client) (container.GetPropertiesResponse, error) {
	return do(ctx, s, "look at container", c.URL(), func(ctx context.Context) (container.GetPropertiesResponse, error) {
		return c.GetProperties(ctx, nil)
	})
}

// closeToPublic ends the public access to a container. The service takes that
// together with the stored access policies, and replaces both.
func (s *Store) closeToPublic(ctx context.Context, c *container.Client) error {
	policies, err := document(ctx, s, "read access policy of container", c.URL(), "SignedIdentifiers", func(ctx context.Context) (container.GetAccessPolicyResponse, error) {
		policies, err := c.GetAccessPolicy(ctx, nil)
		if err == nil && slices.ContainsFunc(policies.SignedIdentifiers, incomplete) {
			err = &foreignError{reason: "an access policy of the container is not whole"}
		}
		return policies, err
	})
	if err != nil {
		return err
	}
	options := &container.SetAccessPolicyOptions{ContainerACL: policies.SignedIdentifiers}
	_, err = do(ctx, s, "end public access to container", c.URL(), func(ctx context.Context) (container.SetAccessPolicyResponse, error) {
		return c.SetAccessPolicy(ctx, options)
	})
	return err
}

// incomplete reports whether a policy would lose grants if it were sent back.
func incomplete(p *container.SignedIdentifier) bool {
	return p == nil || p.ID == nil || p.AccessPolicy == nil
}
