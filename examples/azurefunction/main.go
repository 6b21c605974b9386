// Command azurefunction is an Azure Function that feeds the changes of a store: one
// [feed.Relay.Once] for each tick of a timer. It is a custom handler: an HTTP server
// that the host of the function calls. host.json and relay/function.json describe it.
package main

import (
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"ropewalk"
	"ropewalk/backends/azurestore"
	"ropewalk/feed"
)

func main() {
	store, err := open()
	if err != nil {
		log.Fatal(err)
	}
	relay := feed.Open(store, &feed.Options{Logger: slog.Default()}).Relay(nil)
	server := http.Server{
		Addr:              "127.0.0.1:" + os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"),
		Handler:           handler{relay.Once}.mux(),
		ReadHeaderTimeout: time.Minute,
	}
	log.Fatal(server.ListenAndServe())
}

// open returns the store that the settings of the function name.
func open() (*ropewalk.Store, error) {
	options := &azurestore.Options{
		Prefix:              os.Getenv("ROPEWALK_PREFIX"),
		ChangesetsContainer: os.Getenv("ROPEWALK_CHANGESETS"),
		HeadsContainer:      os.Getenv("ROPEWALK_HEADS"),
	}
	blobs, err := openBlobs(options)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	return ropewalk.New(blobs, blobs, nil), nil
}

func openBlobs(options *azurestore.Options) (*azurestore.Store, error) {
	account := os.Getenv("ROPEWALK_ACCOUNT")
	if account == "" {
		return nil, errors.New("the setting ROPEWALK_ACCOUNT is missing")
	}
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, err
	}
	return azurestore.New("https://"+account+".blob.core.windows.net/", credential, options)
}
