package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"
)

// readAll reads a file that may be damaged.
func readAll(t require.TestingT, file []byte) (rows int, err error) {
	for row, err := range Read(bytes.NewReader(file), int64(len(file))) {
		if err != nil {
			_, damaged := errors.AsType[*DamagedError](err)
			require.True(t, damaged, "%v", err)
			require.ErrorContains(t, err, "not a sound archive file")
			return rows, err
		}
		require.NoError(t, row.check())
		rows++
	}
	return rows, nil
}

// The reader agrees with the reader of the library.
func TestTheLibraryReadsTheSame(t *testing.T) {
	rows := manyRows(3000)
	file := written(t, rows)
	f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	require.Equal(t, schema.String(), f.Schema().String())
	var all []parquet.Row
	for _, group := range f.RowGroups() {
		buffer := make([]parquet.Row, 100)
		reader := group.Rows()
		for n, err := reader.ReadRows(buffer); ; n, err = reader.ReadRows(buffer) {
			for _, row := range buffer[:n] {
				all = append(all, row.Clone())
			}
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
		}
		require.NoError(t, reader.Close())
	}
	read := roundTrip(t, rows)
	require.Len(t, all, len(read))
	for i, row := range read {
		require.True(t, values(row).Equal(all[i]), "row %d", i)
	}
}

// However a byte changes, the reader ends with an error or with rows.
func TestDamagedFiles(t *testing.T) {
	file := written(t, manyRows(3))
	sound, err := readAll(t, file)
	require.NoError(t, err)
	refused, step := 0, 1
	if testing.Short() {
		step = 7
	}
	for i := 0; i < len(file); i += step {
		for _, b := range []byte{0xff, file[i] ^ 4} {
			changed := bytes.Clone(file)
			changed[i] = b
			rows, err := readAll(t, changed)
			require.LessOrEqual(t, rows, sound)
			if err != nil {
				refused++
			}
		}
		_, err := readAll(t, file[:i])
		require.Error(t, err, "%d bytes of the file", i)
	}
	require.Greater(t, refused, len(file)/step)
}

// Files of a few kilobytes that ask for gigabytes.
func TestFilesThatAskForMemory(t *testing.T) {
	for name, file := range map[string][]byte{
		"a long footer":          ended([]byte{}, 1<<32-1),
		"a list of row groups":   ended([]byte("PAR1\x15\x02\x19\xfc\xff\xff\xff\xff\x07"), 9),
		"many row groups":        ended(append(binary.AppendUvarint([]byte("PAR1\x15\x02\x19\xfc"), maxFooter-9), make([]byte, maxFooter-8)...), maxFooter),
		"a page beyond the end":  bomb(t, nil, 8, 1<<31-1),
		"a string":               ended([]byte("PAR1\x15\x02\x18\xff\xff\xff\xff\x07"), 8),
		"deep structures":        ended(bytes.Repeat([]byte{0x1c}, 1<<20), 1<<20),
		"a page of zeros":        bomb(t, compressed(t, make([]byte, 256<<20)), 256<<20, 0),
		"a page that is larger":  bomb(t, compressed(t, make([]byte, 256<<20)), 8, 0),
		"a page without its end": bomb(t, nil, 1<<31-1, 0),
		"frames":                 bomb(t, bytes.Repeat(compressed(t, make([]byte, 1<<20)), 1000), 1<<20, 0),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := readAll(t, file)
			runtime.ReadMemStats(&after)
			require.Error(t, err)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(2*maxHeld))
			require.Less(t, int64(after.StackSys)-int64(before.StackSys), int64(16<<20))
		})
	}
}

// ended returns a file with the end of Parquet.
func ended(file []byte, footer uint32) []byte {
	return append(binary.LittleEndian.AppendUint32(bytes.Clone(file), footer), magic...)
}

func compressed(t *testing.T, content []byte) []byte {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	require.NoError(t, err)
	return e.EncodeAll(content, nil)
}

// bomb returns a file whose first page is the given page. The page says that it has so
// many bytes, and that more are compressed than there are.
func bomb(t *testing.T, page []byte, size, more int32) []byte {
	return withPage(t, page, format.PageHeader{
		Type: format.DataPage, UncompressedPageSize: size, CompressedPageSize: int32(len(page)) + more,
		DataPageHeader: thrift.New(format.DataPageHeader{NumValues: 1, Encoding: format.Plain}),
	})
}

// withPage returns a file of two rows that has the page for its aggregates.
func withPage(t *testing.T, page []byte, h format.PageHeader) []byte {
	file := written(t, manyRows(1))
	meta := footerOf(t, file)
	protocol := new(thrift.CompactProtocol)
	header, err := thrift.Marshal(protocol, &h)
	require.NoError(t, err)
	start := len(file)
	file = append(append(file, header...), page...)
	chunk := &meta.RowGroups[0].Columns[0].MetaData
	chunk.DataPageOffset, chunk.DictionaryPageOffset = int64(start), 0
	chunk.TotalCompressedSize = int64(len(header)) + int64(h.CompressedPageSize)
	footer, err := thrift.Marshal(protocol, meta)
	require.NoError(t, err)
	return ended(append(file, footer...), uint32(len(footer)))
}

// A page has as many bytes as it says, and not fewer values than none.
func TestPagesThatLie(t *testing.T) {
	values := []byte("\x01\x00\x00\x00a\x01\x00\x00\x00b")
	for _, test := range []struct {
		page  []byte
		count int32
		sound bool
	}{
		{values, 2, true},
		{append(values[:10:10], 'x'), 2, false},
		{values[:9], 2, false},
		{values, -1, false},
		{values, 1, false},
	} {
		page := compressed(t, test.page)
		rows, err := readAll(t, withPage(t, page, format.PageHeader{
			Type: format.DataPage, UncompressedPageSize: int32(len(values)), CompressedPageSize: int32(len(page)),
			DataPageHeader: thrift.New(format.DataPageHeader{NumValues: test.count, Encoding: format.Plain}),
		}))
		require.Equal(t, test.sound, err == nil)
		require.Equal(t, test.sound, rows == 2)
	}
}

func footerOf(t *testing.T, file []byte) *format.FileMetaData {
	meta, err := readFooter(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	return meta
}

// Other files are refused, however alike.
func TestOtherFormats(t *testing.T) {
	for says, change := range map[string]func(*format.FileMetaData){
		"format":     func(m *format.FileMetaData) { m.KeyValueMetadata[0].Value = "2" },
		"columns":    func(m *format.FileMetaData) { m.Schema = m.Schema[:5] },
		"the column": func(m *format.FileMetaData) { m.Schema[3].Name = "x" },
		"too long":   func(m *format.FileMetaData) { m.CreatedBy = strings.Repeat("x", maxFooter) },
		"has 14":     func(m *format.FileMetaData) { m.RowGroups[0].Columns = m.RowGroups[0].Columns[:14] },
		"decode":     func(m *format.FileMetaData) { m.RowGroups[0].Columns[2].MetaData.Codec = format.Gzip },
	} {
		file := written(t, manyRows(1))
		meta := footerOf(t, file)
		change(meta)
		footer, err := thrift.Marshal(new(thrift.CompactProtocol), meta)
		require.NoError(t, err)
		_, err = readAll(t, ended(append(file, footer...), uint32(len(footer))))
		require.ErrorContains(t, err, says)
	}
}

// A value of each kind of page: one run, packed bits, plain values after a dictionary
// that is full, and rows larger than a page.
func TestPagesOfAllKinds(t *testing.T) {
	var rows []Row
	for i := range 9000 {
		row := manyRows(1)[0]
		row.Aggregate, row.Version = fmt.Sprintf("order-%06d", i/3), uint64(i)
		row.Type = []string{"", "a", "b", "c", "d"}[i*i%5]
		if i%3000 == 7 {
			row.Type, row.Data = strings.Repeat("t", 200<<10), `"`+strings.Repeat("x", 1<<20)+`"`
		}
		rows = append(rows, row)
	}
	encodings := map[format.Encoding]bool{}
	for _, group := range footerOf(t, written(t, rows)).RowGroups {
		for _, chunk := range group.Columns {
			for _, e := range chunk.MetaData.Encoding {
				encodings[e] = true
			}
		}
	}
	require.Equal(t, map[format.Encoding]bool{format.Plain: true, format.RLE: true, format.RLEDictionary: true}, encodings)
	require.Equal(t, rows, roundTrip(t, rows))
}

func FuzzRead(f *testing.F) {
	f.Add(written(f, manyRows(2)))
	f.Add(written(f, nil))
	f.Add(ended([]byte("PAR1\x15\x02\x19\xfc\xff\xff\xff\xff\x07"), 9))
	f.Fuzz(func(t *testing.T, file []byte) { _, _ = readAll(t, file) })
}

// Numbers of a run that the page does not have.
func TestRunsThatOverflow(t *testing.T) {
	for _, r := range []runs{
		{},
		{data: []byte{0x80}},
		{data: binary.AppendUvarint(nil, 1<<61|1), width: 16}, // 16 · 2⁶⁰ is 0 in 64 bits
		{data: []byte{3, 1}, width: 16},
		{data: []byte{2}, width: 1},
	} {
		_, err := r.next()
		require.ErrorIs(t, err, errPage)
	}
}

// A row that the chains cannot have.
func TestRowsOfNoAggregate(t *testing.T) {
	row := manyRows(1)[0]
	row.Aggregate = "$feed\x00"
	_, err := readAll(t, written(t, []Row{row}))
	require.ErrorContains(t, err, "invalid aggregate ID")
}
