package standin

import "time"

// noID is what the server shows for an id that was never set.
const noID = "p333333333333"

func settingsKind() kind {
	return kind{
		name: "SystemSettings", singleton: true, fixed: []string{"create"},
		properties: map[string]property{
			"defaultHostname":      {},
			"defaultDomainId":      {shape: reference, to: "Domain"},
			"defaultCertificateId": {shape: opaque}, "threadPoolSize": {shape: opaque}, "maxConnections": {shape: number},
			"proxyTrustedNetworks": {shape: opaque}, "mailExchangers": {shape: opaque}, "services": {shape: opaque},
			"providerInfo": {shape: opaque},
		},
	}
}

func imapKind() kind {
	return kind{
		name: "Imap", singleton: true, fixed: []string{"create"},
		properties: map[string]property{
			"allowPlainTextAuth": {shape: boolean}, "maxAuthFailures": {shape: number}, "maxConcurrent": {shape: number},
			"maxRequestRate": {shape: opaque}, "maxRequestSize": {shape: number},
			"timeoutAnonymous": {shape: number}, "timeoutAuthenticated": {shape: number}, "timeoutIdle": {shape: number},
		},
	}
}

// defaults are the objects that a server has from its first start.
func defaults() map[string]table {
	services := map[string]any{}
	for _, name := range []string{"caldav", "carddav", "imap", "jmap", "managesieve", "pop3", "smtp", "webdav"} {
		services[name] = map[string]any{"hostname": nil, "cleartext": false}
	}
	return map[string]table{
		"Account": {}, "MailingList": {}, "Domain": {}, "DkimSignature": {}, "Task": {}, "Tenant": {},
		"Role": {
			1: {"description": "User"}, 2: {"description": "Group"},
			3: {"description": "Tenant Administrator"}, 4: {"description": "System Administrator"},
		},
		"SystemSettings": {0: {
			"defaultHostname": "", "defaultDomainId": noID, "defaultCertificateId": nil, "threadPoolSize": nil,
			"maxConnections": 8192.0, "proxyTrustedNetworks": map[string]any{}, "providerInfo": map[string]any{},
			"mailExchangers": map[string]any{"0": map[string]any{"hostname": nil, "priority": 10.0}}, "services": services,
		}},
		"Imap": {0: {
			"allowPlainTextAuth": false, "maxAuthFailures": 3.0, "maxConcurrent": 16.0, "maxRequestSize": 52428800.0,
			"maxRequestRate":   map[string]any{"count": 2000.0, "period": 60000.0},
			"timeoutAnonymous": 60000.0, "timeoutAuthenticated": 1800000.0, "timeoutIdle": 1800000.0,
		}},
	}
}

// idle is how long a connection may be silent: the longer of the two limits,
// since nobody knows which of them a client is under.
func (s *Server) idle() time.Duration {
	imap := s.state.Objects["Imap"][0]
	authenticated, _ := imap["timeoutAuthenticated"].(float64)
	idle, _ := imap["timeoutIdle"].(float64)
	return time.Duration(max(authenticated, idle)) * time.Millisecond
}
