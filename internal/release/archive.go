package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// file is one file of an archive: its name there, its path here, and its mode there.
type file struct {
	name, path string
	mode       fs.FileMode
}

// archive writes the files, in their order and below a folder of the archive's name, to a
// ZIP file or to a compressed tar file.
func (r release) archive(name string, zipped bool, files []file) (err error) {
	path, write := filepath.Join(r.out, name+".tar.gz"), writeTar
	if zipped {
		path, write = filepath.Join(r.out, name+".zip"), writeZip
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	return write(out, name, r.time, files)
}

func writeTar(out io.Writer, folder string, at time.Time, files []file) error {
	compressed := gzip.NewWriter(out)
	w := tar.NewWriter(compressed)
	for _, f := range files {
		content, err := os.ReadFile(f.path)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: folder + "/" + f.name, Mode: int64(f.mode), Size: int64(len(content)), ModTime: at, Format: tar.FormatPAX}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), compressed.Close())
}

func writeZip(out io.Writer, folder string, at time.Time, files []file) error {
	w := zip.NewWriter(out)
	for _, f := range files {
		content, err := os.ReadFile(f.path)
		if err != nil {
			return err
		}
		header := &zip.FileHeader{Name: folder + "/" + f.name, Method: zip.Deflate, Modified: at}
		header.SetMode(f.mode)
		entry, err := w.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := entry.Write(content); err != nil {
			return err
		}
	}
	return w.Close()
}
