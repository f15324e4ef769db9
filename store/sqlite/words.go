package sqlite

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/dezky/platform/store"
)

// A words index is a table of its own, which triggers keep: in the transaction
// of the write itself, and also when an older version of this program writes,
// which does not know the index.

// wordsFunction is words(text, …) in SQL: a JSON array of the words, each once.
func wordsFunction(ctx sqlite3.Context, texts ...sqlite3.Value) {
	words := []string{}
	for _, text := range texts {
		if text.Type() == sqlite3.TEXT {
			words = append(words, store.Words(text.Text())...)
		}
	}
	slices.Sort(words)
	list, err := json.Marshal(slices.Compact(words))
	if err != nil {
		ctx.ResultError(err)
		return
	}
	ctx.ResultText(string(list))
}

// wordsObjects is what a words index consists of.
func wordsObjects(coll string, index store.Index) ([]object, error) {
	here, err := wordsOf("here.", index)
	if err != nil {
		return nil, err
	}
	was, err := wordsOf("old.", index)
	if err != nil {
		return nil, err
	}
	is, err := wordsOf("new.", index)
	if err != nil {
		return nil, err
	}
	name := side(coll, index.Name)
	remove := "DELETE FROM " + name + " WHERE scope=" + was.scope + " AND id=old.id AND word IN (SELECT value FROM json_each(" + was.words + ")); "
	add := "INSERT INTO " + name + " SELECT " + is.scope + ", value, new.id FROM json_each(" + is.words + "); "
	trigger := func(event, on, do string) object {
		name := coll + "/" + index.Name + "/" + event
		return object{name: name, sql: "CREATE TRIGGER " + quoted(name) + " AFTER " + on + " BEGIN " + do + "END"}
	}
	changed := "(" + was.all + ") IS NOT (" + is.all + ")"
	return []object{
		{
			name: coll + "/" + index.Name,
			sql:  "CREATE TABLE " + name + " (scope NOT NULL, word TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (scope, word, id)) WITHOUT ROWID",
			fill: "INSERT INTO " + name + " SELECT " + here.scope + ", value, here.id FROM " + table(coll) + " AS here, json_each(" + here.words + ")",
		},
		{
			name: coll + "/" + index.Name + "/word",
			sql:  "CREATE INDEX " + quoted(coll+"/"+index.Name+"/word") + " ON " + name + " (word, id)",
		},
		trigger("insert", "INSERT ON "+table(coll), add),
		trigger("delete", "DELETE ON "+table(coll), remove),
		trigger("update", "UPDATE ON "+table(coll)+" WHEN "+changed, remove+add),
	}, nil
}

// rowWords is what a words index takes of a row, in SQL.
type rowWords struct{ scope, words, all string }

func wordsOf(row string, index store.Index) (rowWords, error) {
	scope := "''"
	if index.Scope != "" {
		x, err := expression(row, index.Scope)
		if err != nil {
			return rowWords{}, err
		}
		scope = "ifnull(" + x + ",'')"
	}
	var texts []string
	for _, field := range index.Fields {
		x, err := expression(row, field)
		if err != nil {
			return rowWords{}, err
		}
		texts = append(texts, x)
	}
	list := strings.Join(texts, ",")
	return rowWords{scope: scope, words: "words(" + list + ")", all: scope + "," + list}, nil
}
