package azurestore_test

import (
	"context"
	"log"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"ropewalk"
	"ropewalk/backends/azurestore"
	"ropewalk/changeset"
)

// From credentials to a chain. The containers "changesets" and
// "aggregates" exist already, or Provision makes them.
func Example() {
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	azure, err := azurestore.New("https://acme.blob.core.windows.net/", credential, &azurestore.Options{Prefix: "orders/"})
	if err != nil {
		log.Fatal(err)
	}
	store := ropewalk.New(azure, azure, nil)

	h, err := store.Chain("order-4711").Create(context.Background(), changeset.Draft{Content: []byte(`{"type":"created"}`)})
	if err != nil {
		log.Fatal(err)
	}
	log.Print("created ", h.Ref)
}
