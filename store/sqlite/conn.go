package sqlite

import (
	"encoding/json"
	"fmt"

	"github.com/ncruces/go-sqlite3"
)

// cached is how many statements a connection keeps prepared.
const cached = 256

// conn is a connection with its prepared statements. One goroutine at a time
// uses it.
type conn struct {
	db    *sqlite3.Conn
	stmts map[string]*sqlite3.Stmt
}

// statement is SQL with the values of its question marks.
type statement struct {
	sql  string
	args []any
}

func dial(path, synchronous string) (*conn, error) {
	db, err := sqlite3.Open(path)
	if err != nil {
		return nil, err
	}
	c := &conn{db: db, stmts: map[string]*sqlite3.Stmt{}}
	if err := c.prepare(synchronous); err != nil {
		c.close() //nolint:errcheck // the first error is the one to tell
		return nil, err
	}
	return c, nil
}

func (c *conn) prepare(synchronous string) error {
	if err := c.db.BusyTimeout(0); err != nil {
		return err
	}
	// A plan follows from the statement alone. Otherwise many a statement would be
	// planned anew whenever its values are others.
	if _, err := c.db.Config(sqlite3.DBCONFIG_ENABLE_QPSG, true); err != nil {
		return err
	}
	if err := c.db.CreateFunction("words", -1, sqlite3.DETERMINISTIC|sqlite3.INNOCUOUS, wordsFunction); err != nil {
		return err
	}
	mode := ""
	err := c.run(statement{sql: "PRAGMA journal_mode=WAL"}, func(row *sqlite3.Stmt) { mode = row.ColumnText(0) })
	if err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("the file system does not carry a write-ahead log: the journal's mode is %s", mode)
	}
	return c.db.Exec("PRAGMA temp_store=MEMORY; PRAGMA synchronous=" + synchronous)
}

// run carries out one statement to its end.
func (c *conn) run(st statement, row func(*sqlite3.Stmt)) error {
	stmt, err := c.stmt(st.sql)
	if err != nil {
		return err
	}
	for i, arg := range st.args {
		if err := bind(stmt, i+1, arg); err != nil {
			return err
		}
	}
	for stmt.Step() {
		if row != nil {
			row(stmt)
		}
	}
	err = stmt.Err()
	stmt.Reset() //nolint:errcheck // says again what Err has said
	return err
}

func (c *conn) exec(sql string) error { return c.run(statement{sql: sql}, nil) }

// stmt is the prepared form of sql. When there are too many it forgets them
// all: what is in use is soon back.
func (c *conn) stmt(sql string) (*sqlite3.Stmt, error) {
	if stmt := c.stmts[sql]; stmt != nil {
		return stmt, nil
	}
	if len(c.stmts) >= cached {
		for _, stmt := range c.stmts {
			stmt.Close() //nolint:errcheck // says again how its last run ended
		}
		clear(c.stmts)
	}
	stmt, _, err := c.db.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT)
	if err != nil {
		return nil, err
	}
	c.stmts[sql] = stmt
	return stmt, nil
}

func (c *conn) close() error {
	for _, stmt := range c.stmts {
		stmt.Close() //nolint:errcheck // says again how its last run ended
	}
	clear(c.stmts)
	return c.db.Close()
}

func bind(stmt *sqlite3.Stmt, i int, arg any) error {
	switch arg := arg.(type) {
	case nil:
		return stmt.BindNull(i)
	case string:
		return stmt.BindText(i, arg)
	case json.RawMessage:
		return stmt.BindRawText(i, arg)
	case int64:
		return stmt.BindInt64(i, arg)
	case bool:
		return stmt.BindBool(i, arg)
	}
	return fmt.Errorf("a %T is no value of a document", arg)
}
