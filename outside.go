package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/dezky/platform/integrations/authentik"
	"github.com/dezky/platform/integrations/ocis"
	"github.com/dezky/platform/integrations/stalwart"
	"github.com/dezky/platform/platform"
)

// systems are those outside that are used here, by what each is good for. What is
// not used is nil, or not in via.
type systems struct {
	via       map[platform.Integration]platform.Provisioner
	signIns   platform.SignIns
	mailboxes platform.Mailboxes
	files     platform.Files
}

// connect makes the clients. Around goes around each one's calls, which are
// counted by the name of its system.
func connect(c Config, around func(system string) http.RoundTripper, clock platform.Clock) systems {
	o := systems{via: map[platform.Integration]platform.Provisioner{}}
	if !c.Authentik.Off {
		client := authentik.New(c.Authentik.URL, c.Authentik.Token, around("authentik"), clock)
		o.via[platform.IntegrationAuthentik], o.signIns = client, client
	}
	if !c.Stalwart.Off {
		client := stalwart.New(c.Stalwart.URL, c.Stalwart.Token, around("stalwart"), clock)
		o.via[platform.IntegrationStalwart], o.mailboxes = client, client
	}
	if !c.OCIS.Off {
		client := files(c, around("ocis"), clock)
		o.via[platform.IntegrationOCIS], o.files = client, client
	}
	return o
}

// files speaks to the file server with an app token, or with a token that the
// identity provider gives for our own credentials.
func files(c Config, via http.RoundTripper, clock platform.Clock) *ocis.Client {
	if c.OCISTokenURL != "" {
		own := ocis.Credentials{TokenURL: c.OCISTokenURL, ID: c.OCISClientID, Secret: c.OCISClientSecret}
		return ocis.NewWithCredentials(c.OCIS.URL, own, via, clock)
	}
	return ocis.New(c.OCIS.URL, c.OCISUsername, c.OCIS.Token, via, clock)
}

// transport calls outside. It trusts the machine's certificates and, where
// there is a file, those in it.
func transport(extraCAs string) (http.RoundTripper, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the machine's certificates: %w", err)
	}
	if extraCAs != "" {
		pem, err := os.ReadFile(extraCAs)
		if err != nil {
			return nil, fmt.Errorf("read EXTRA_CA_CERTS: %w", err)
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, errors.New("EXTRA_CA_CERTS has no certificate")
		}
	}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     time.Minute,
		ForceAttemptHTTP2:   true,
	}, nil
}
