package mongo

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

// The fields of a stored document. The version is beside the body and not in
// it, so that no field of a body can be in its way.
const (
	versionField = "version"
	bodyField    = "doc"
	wordsField   = "words"
)

// toStored is a document as it is stored, with its words.
func toStored(c store.Collection, d store.Doc, version int64) (bson.Raw, error) {
	body, err := toBSON(d.Body)
	if err != nil {
		return nil, fmt.Errorf("write the document %s: %w", d.ID, err)
	}
	start, dst := bsoncore.AppendDocumentStart(make([]byte, 0, len(body)+128))
	dst = bsoncore.AppendStringElement(dst, "_id", string(d.ID))
	dst = bsoncore.AppendInt64Element(dst, versionField, version)
	dst = bsoncore.AppendDocumentElement(dst, bodyField, body)
	if searchable(c) {
		within, inner := bsoncore.AppendDocumentElementStart(dst, wordsField)
		for _, index := range c.Indexes {
			if index.Words {
				inner = bsoncore.AppendArrayElement(inner, index.Name, textArray(wordsOf(body, index)))
			}
		}
		if dst, err = bsoncore.AppendDocumentEnd(inner, within); err != nil {
			return nil, err
		}
	}
	dst, err = bsoncore.AppendDocumentEnd(dst, start)
	return bson.Raw(dst), err
}

func searchable(c store.Collection) bool {
	return slices.ContainsFunc(c.Indexes, func(x store.Index) bool { return x.Words })
}

// wordsOf are the words of an index in a body, each once.
func wordsOf(body bsoncore.Document, index store.Index) []string {
	words := []string{}
	for _, field := range index.Fields {
		v, err := body.LookupErr(strings.Split(field, ".")...)
		if text, ok := v.StringValueOK(); err == nil && ok {
			for _, word := range store.Words(text) {
				words = append(words, short(word))
			}
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// longestWord is how many bytes of a word are looked at: 4.0 refuses a document
// with more than 1,024 bytes in one entry of an index.
const longestWord = 512

// short is the beginning of a word that is indexed, and asked for.
func short(word string) string {
	return strings.ToValidUTF8(word[:min(len(word), longestWord)], "")
}

func textArray(texts []string) bsoncore.Document {
	b := bsoncore.NewArrayBuilder()
	for _, text := range texts {
		b.AppendString(text)
	}
	return bsoncore.Document(b.Build())
}

// fromStored is a document as it was before it was stored.
func fromStored(raw bson.Raw) (store.Doc, error) {
	var d store.Doc
	err := members(bsoncore.Document(raw), func(key []byte, v bsoncore.Value) (err error) {
		switch string(key) {
		case "_id":
			id, _ := v.StringValueOK()
			d.ID = platform.ID(id)
		case versionField:
			d.Version, _ = whole(v)
		case bodyField:
			if v.Type == bson.TypeEmbeddedDocument {
				d.Body, err = toJSON(v.Data)
			}
		}
		return err
	})
	if err == nil && (d.ID == "" || d.Version == 0 || d.Body == nil) {
		err = errors.New("its _id is no text, or its version or its body is missing")
	}
	if err != nil {
		return store.Doc{}, fmt.Errorf("read the document %s: %w", d.ID, err)
	}
	return d, nil
}

// whole is a number of any of the three kinds that sums and the mongo shell
// make.
func whole(v bsoncore.Value) (int64, bool) {
	switch v.Type {
	case bson.TypeInt32, bson.TypeInt64:
		return v.AsInt64(), true
	case bson.TypeDouble:
		return int64(v.Double()), v.Double() == float64(int64(v.Double()))
	}
	return 0, false
}

// raised is the update that raises a beat.
func raised(at platform.Time) bson.D {
	return bson.D{
		{Key: "$set", Value: bson.D{{Key: bodyField + ".beatAt", Value: at.String()}}},
		{Key: "$inc", Value: bson.D{{Key: versionField, Value: int64(1)}}},
	}
}

// byID is the filter for one document, at any version.
func byID(id platform.ID) bson.D { return bson.D{{Key: "_id", Value: string(id)}} }

// atVersion is the filter for one document at a version.
func atVersion(id platform.ID, version int64) bson.D {
	return append(byID(id), bson.E{Key: versionField, Value: version})
}
