package sqlite

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

// patience is how long a lock of another process is waited for.
const patience = 5 * time.Second

// failed is what the caller is told about an error of the database.
func failed(ctx context.Context, err error) error {
	if _, ours := errors.AsType[*platform.Error](err); ours {
		return err
	}
	code, _ := errors.AsType[sqlite3.ErrorCode](err)
	switch code {
	case sqlite3.INTERRUPT:
		return cmp.Or(ctx.Err(), err)
	case sqlite3.BUSY, sqlite3.LOCKED, sqlite3.PROTOCOL, sqlite3.FULL, sqlite3.IOERR, sqlite3.CANTOPEN, sqlite3.NOMEM, sqlite3.READONLY:
		return platform.Errorf(platform.Unavailable, "The database does not answer.").Because(err)
	}
	return err
}

func closed() error {
	return platform.Errorf(platform.Unavailable, "The database is closed.")
}

// duplicate makes a *store.DuplicateError of a broken unique index; SQLite
// names it in the text and nowhere else.
func duplicate(coll string, err error) error {
	if !errors.Is(err, sqlite3.CONSTRAINT_UNIQUE) {
		return err
	}
	index := "id"
	if _, name, ok := strings.Cut(err.Error(), "index '"+coll+"/"); ok {
		index = strings.TrimSuffix(name, "'")
	}
	return &store.DuplicateError{Coll: coll, Index: index}
}

// patiently tries again while another process holds a lock. SQLite's own way
// of waiting backs off further and further and starves who came first.
func patiently(ctx context.Context, clock platform.Clock, try func() error) error {
	began := clock.Running()
	for {
		err := try()
		if !errors.Is(err, sqlite3.BUSY) && !errors.Is(err, sqlite3.PROTOCOL) || clock.Running()-began > patience {
			return err
		}
		if err := clock.Sleep(ctx, 100*time.Microsecond+rand.N(900*time.Microsecond)); err != nil {
			return err
		}
	}
}
