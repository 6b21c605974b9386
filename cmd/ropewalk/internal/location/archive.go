package location

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"strings"
	"time"

	"ropewalk/archive"
	"ropewalk/backends/azurestore"
	"ropewalk/backends/s3store"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/internal/storeurl"
)

// archiveContainer is the container of an archive in Azure if the URL names none.
const archiveContainer = "archive"

// OpenArchive returns the destination that an argument names: a folder, or a URL of S3
// or Azure. It sends no request. Its errors have class [cliexit.Usage], except for the
// errors of a configuration.
func OpenArchive(ctx context.Context, argument string, env map[string]string) (archive.Destination, error) {
	scheme, _, isURL := strings.Cut(argument, "://")
	switch {
	case argument == "":
		return nil, cliexit.Usagef("the archive has no name: want a folder, or a URL with s3:// or azure://")
	case !isURL:
		return archive.NewFolder(strings.TrimPrefix(argument, "file:")), nil
	case scheme == "s3":
		return openS3Archive(ctx, argument)
	case scheme == "azure":
		return openAzureArchive(argument, env)
	default:
		return nil, cliexit.Usagef("archive %q: want a folder, or a URL with s3:// or azure://", argument)
	}
}

func openS3Archive(ctx context.Context, rawURL string) (archive.Destination, error) {
	l, err := parseAWS(rawURL, storeurl.Layout{})
	if err != nil {
		return nil, err
	}
	p := l.(awsLocation)
	cfg, err := p.config(ctx)
	if err != nil {
		return nil, err
	}
	files, err := s3store.NewFiles(p.s3(cfg), p.bucket, &s3store.Options{Prefix: p.prefix})
	if err != nil {
		return nil, cliexit.Wrap(cliexit.Usage, err)
	}
	return files, nil
}

func openAzureArchive(rawURL string, env map[string]string) (archive.Destination, error) {
	u, err := parseCloudURL(rawURL, "container", "endpoint")
	if err != nil {
		return nil, err
	}
	p, err := azureAccount(rawURL, u, env)
	if err != nil {
		return nil, err
	}
	p.options.ChangesetsContainer = cmp.Or(u.Parameters["container"], archiveContainer)
	files, err := openAzure(p, azurestore.NewFiles, azurestore.NewFilesFromConnectionString)
	if err != nil {
		return nil, err
	}
	return files, nil
}

// LoggedArchive returns the destination with a log line for each request.
func LoggedArchive(log *slog.Logger, d archive.Destination) archive.Destination {
	return loggedArchive{d, requestLog{log}}
}

type loggedArchive struct {
	archive.Destination
	requestLog
}

func (l loggedArchive) Create(ctx context.Context, name string, content []byte) error {
	start := time.Now()
	err := l.Destination.Create(ctx, name, content)
	l.request(ctx, "create-file", name, start, err)
	return err
}

func (l loggedArchive) Read(ctx context.Context, name string, limit int64) ([]byte, error) {
	start := time.Now()
	content, err := l.Destination.Read(ctx, name, limit)
	l.request(ctx, "read-file", name, start, err)
	return content, err
}

func (l loggedArchive) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return listing(ctx, l.requestLog, "list-files", prefix, l.Destination.List(ctx, prefix))
}

func (l loggedArchive) Delete(ctx context.Context, name string) error {
	start := time.Now()
	err := l.Destination.Delete(ctx, name)
	l.request(ctx, "delete-file", name, start, err)
	return err
}
