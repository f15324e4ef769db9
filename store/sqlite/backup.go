package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Backup writes a consistent copy of the database to a file, while everyone
// goes on reading and writing. The file is replaced when the copy is complete
// and on the disk, and not before.
func (e *Engine) Backup(ctx context.Context, file string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("back up the database: %w", err)
		}
	}()
	if file, err = filepath.Abs(file); err != nil {
		return err
	}
	if file == e.path {
		return errors.New("the copy is to be another file")
	}
	partial := file + ".partial"
	if err := os.Remove(partial); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	defer os.Remove(partial) //nolint:errcheck // after the renaming there is none
	if err := e.read(ctx, statement{"VACUUM INTO ?", []any{partial}}, nil); err != nil {
		return err
	}
	// SQLite does not wait for the disk here.
	if err := flush(partial); err != nil {
		return err
	}
	if err := os.Rename(partial, file); err != nil {
		return err
	}
	return flush(filepath.Dir(file))
}

func flush(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
