package mongo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
)

// A body becomes a BSON document of the same fields in the same order: texts,
// whole numbers of 64 bits, bools, nulls, objects and arrays. What encoding/json
// wrote is read back byte for byte.

// toBSON is a body as a BSON document.
func toBSON(body []byte) (bsoncore.Document, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	first, err := dec.Token()
	if err != nil {
		return nil, fmt.Errorf("the body is no JSON: %w", err)
	}
	if first != json.Delim('{') {
		return nil, errors.New("the body is no object")
	}
	dst, err := appendObject(make([]byte, 0, len(body)+len(body)/4+16), dec)
	if err != nil {
		return nil, fmt.Errorf("the body is not one to store: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the body goes on after its end")
	}
	return dst, nil
}

// appendObject appends what comes after a "{".
func appendObject(dst []byte, dec *json.Decoder) ([]byte, error) {
	start, dst := bsoncore.AppendDocumentStart(dst)
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		text, _ := name.(string)
		if dst, err = appendNext(dst, dec, escaped(text)); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil { // the end
		return nil, err
	}
	return bsoncore.AppendDocumentEnd(dst, start)
}

// appendArray appends what comes after a "[".
func appendArray(dst []byte, dec *json.Decoder) ([]byte, error) {
	start, dst := bsoncore.AppendDocumentStart(dst)
	for i := 0; dec.More(); i++ {
		var err error
		if dst, err = appendNext(dst, dec, strconv.Itoa(i)); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil { // the end
		return nil, err
	}
	return bsoncore.AppendDocumentEnd(dst, start)
}

// appendNext appends the next value under a key.
func appendNext(dst []byte, dec *json.Decoder, key string) ([]byte, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case nil:
		return bsoncore.AppendNullElement(dst, key), nil
	case bool:
		return bsoncore.AppendBooleanElement(dst, key, v), nil
	case string:
		return bsoncore.AppendStringElement(dst, key, v), nil
	case json.Number:
		n, err := strconv.ParseInt(v.String(), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s is no whole number of 64 bits", v)
		}
		return bsoncore.AppendInt64Element(dst, key, n), nil
	case json.Delim:
		if v == '{' {
			return appendObject(bsoncore.AppendHeader(dst, bson.TypeEmbeddedDocument, key), dec)
		}
		return appendArray(bsoncore.AppendHeader(dst, bson.TypeArray, key), dec)
	}
	return nil, fmt.Errorf("a %T is no value", token)
}

// toJSON is a BSON document as the body that it was made of.
func toJSON(doc bsoncore.Document) ([]byte, error) {
	return appendMembers(make([]byte, 0, len(doc)+16), doc)
}

func appendMembers(dst []byte, doc bsoncore.Document) ([]byte, error) {
	dst = append(dst, '{')
	first := true
	err := members(doc, func(key []byte, v bsoncore.Value) (err error) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		if bytes.IndexByte(key, '%') >= 0 {
			key = []byte(unescaped(string(key)))
		}
		if dst, err = appendText(dst, key); err != nil {
			return err
		}
		dst, err = appendValue(append(dst, ':'), v)
		return err
	})
	return append(dst, '}'), err
}

// members calls do for each field of a document, without a copy of any.
func members(doc bsoncore.Document, do func(key []byte, v bsoncore.Value) error) error {
	length, rest, ok := bsoncore.ReadLength(doc)
	if !ok || int(length) != len(doc) || len(rest) == 0 {
		return errors.New("a document that is no BSON")
	}
	for rest = rest[:len(rest)-1]; len(rest) > 0; {
		var e bsoncore.Element
		if e, rest, ok = bsoncore.ReadElement(rest); !ok {
			return errors.New("a document that is no BSON")
		}
		if err := do(e.KeyBytes(), e.Value()); err != nil {
			return fmt.Errorf("%s: %w", e.KeyBytes(), err)
		}
	}
	return nil
}

// appendValue takes also the numbers that a person leaves with the mongo shell,
// as long as they are whole.
func appendValue(dst []byte, v bsoncore.Value) ([]byte, error) {
	switch v.Type {
	case bson.TypeNull:
		return append(dst, "null"...), nil
	case bson.TypeBoolean:
		return strconv.AppendBool(dst, v.Boolean()), nil
	case bson.TypeString:
		if len(v.Data) > 4 {
			return appendText(dst, v.Data[4:len(v.Data)-1])
		}
	case bson.TypeInt64, bson.TypeInt32:
		return strconv.AppendInt(dst, v.AsInt64(), 10), nil
	case bson.TypeDouble:
		if f := v.Double(); f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return strconv.AppendInt(dst, int64(f), 10), nil
		}
	case bson.TypeEmbeddedDocument:
		return appendMembers(dst, v.Data)
	case bson.TypeArray:
		dst = append(dst, '[')
		first := true
		err := members(v.Data, func(_ []byte, one bsoncore.Value) (err error) {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst, err = appendValue(dst, one)
			return err
		})
		return append(dst, ']'), err
	}
	return dst, fmt.Errorf("%s is no value that was stored here", v)
}

// appendText writes a text as encoding/json does.
func appendText(dst, text []byte) ([]byte, error) {
	plain := true
	for _, c := range text {
		// 0xE2 begins the two line ends that are escaped too.
		if c < ' ' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c == 0xE2 {
			plain = false
			break
		}
	}
	if !plain || !utf8.Valid(text) {
		quoted, err := json.Marshal(string(text))
		return append(dst, quoted...), err
	}
	dst = append(dst, '"')
	dst = append(dst, text...)
	return append(dst, '"'), nil
}

// escaped is a field's name as MongoDB takes it: 4.0 knows no name that is
// empty, begins with a dollar or has a dot or a zero byte in it.
func escaped(name string) string {
	if name == "" {
		return "%"
	}
	if name[0] != '$' && !strings.ContainsAny(name, "%.\x00") {
		return name
	}
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c == '%', c == '.', c == 0, c == '$' && i == 0:
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func unescaped(name string) string {
	if name == "%" {
		return ""
	}
	if !strings.Contains(name, "%") {
		return name
	}
	return strings.NewReplacer("%25", "%", "%24", "$", "%2E", ".", "%00", "\x00").Replace(name)
}
