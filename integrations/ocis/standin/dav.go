package standin

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// serveFiles is as much of WebDAV as shows who may enter a space: a PUT of a
// file, and a PROPFIND of the space itself. Path is the space's id and what
// follows it. Who has no grant is told that the space is not there, the
// administrator too.
func (s *Server) serveFiles(c *call, path string) {
	id, file, _ := strings.Cut(path, "/")
	d := s.find(id)
	switch {
	case d == nil || !d.isOpenTo(c.user):
		c.w.WriteHeader(http.StatusNotFound)
	case c.r.Method == "PROPFIND" && file == "" && c.r.Header.Get("Depth") == "0":
		s.showQuota(c, d)
	case c.r.Method == http.MethodPut && file != "":
		s.put(c, d, file)
	default:
		s.refuse(c)
	}
}

// showQuota says what is available as the real one does, which is the whole and
// not what is left of it.
func (s *Server) showQuota(c *call, d *drive) {
	c.w.Header().Set("Content-Type", "application/xml; charset=utf-8")
	c.w.WriteHeader(http.StatusMultiStatus)
	fmt.Fprintf(c.w, `<d:multistatus xmlns:s="http://sabredav.org/ns" xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:response><d:href>/dav/spaces/%s/</d:href>`+ //nolint:errcheck // a client that went away has nothing to be told
		`<d:propstat><d:prop><d:quota-used-bytes>%d</d:quota-used-bytes><d:quota-available-bytes>%d</d:quota-available-bytes></d:prop>`+
		`<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>`, s.id(d), d.Used, d.Total)
}

// put keeps a file's size. A viewer may not.
func (s *Server) put(c *call, d *drive, file string) {
	size, err := io.Copy(io.Discard, c.r.Body)
	g := d.grant(c.user.ID)
	switch {
	case err != nil:
		c.w.WriteHeader(http.StatusBadRequest)
		return
	case g != nil && g.Role == viewer:
		c.w.WriteHeader(http.StatusForbidden)
		return
	case d.Total > 0 && d.Used-d.Files[file]+size > d.Total:
		c.w.WriteHeader(http.StatusInsufficientStorage)
		return
	}
	status := http.StatusCreated
	if _, there := d.Files[file]; there {
		status = http.StatusNoContent
	}
	if d.Files == nil {
		d.Files = map[string]int64{}
	}
	d.Used += size - d.Files[file]
	d.Files[file] = size
	d.Changed = s.options.Clock.Now()
	s.done(c, status, nil)
}
