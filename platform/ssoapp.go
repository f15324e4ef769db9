package platform

import "context"

// SSOApps makes and removes applications that sign their people in through the
// platform's identity provider (J-3). It is asked at once and not by steps: a
// client secret exists in the answer alone.
type SSOApps interface {
	// CreateApp makes an application that only the tenant's members can sign in to,
	// from its first moment on, or nothing: what was begun is undone before it
	// answers with an error, also where ctx has ended. What an earlier try of the
	// same ID left behind, half or whole, is removed first, so that repeating makes
	// one application with a new secret. A slug that somebody else has is Conflict;
	// one that cannot be used, no name and no redirect URI are Invalid.
	CreateApp(ctx context.Context, want SSOAppWant) (SSOAppSecret, error)
	// DeleteApp removes an application and all that belongs to it. What is not
	// there is removed already, and what is somebody else's by now stays. It may be
	// repeated, and goes on where an earlier try was cut off.
	DeleteApp(ctx context.Context, app SSOAppRef) error
	// FindApp is the application of that slug, or NotFound. It changes nothing.
	FindApp(ctx context.Context, slug string) (SSOAppFound, error)
}

// SSOAppWant is an application to be made.
type SSOAppWant struct {
	// ID is the platform's own, and marks the application as ours.
	ID ID
	// Tenant is whose members, and nobody else, can sign in.
	Tenant TenantWant
	// Name is what people see.
	Name string
	// Slug is unique at the identity provider. It is in the issuer, so it never
	// changes. It is made of letters, digits, "-" and "_".
	Slug string
	// RedirectURIs are where people may be sent after they signed in, each compared
	// as a whole. There is at least one.
	RedirectURIs []string
	// LaunchURL is where people open the application, or "".
	LaunchURL string
}

// SSOAppRef names an application to be removed.
type SSOAppRef struct {
	ID   ID
	Slug string
	// Handles are as CreateApp answered, or empty where that answer was lost.
	Handles SSOAppHandles
}

// SSOAppHandles are the identity provider's own IDs of what an application is
// made of. "" is not known.
type SSOAppHandles struct {
	Application string
	Binding     string
	Provider    string
}

// SSOAppSecret is what an application needs to sign people in. It is shown once
// and kept nowhere.
type SSOAppSecret struct {
	ClientID     string
	ClientSecret Secret
	// Issuer is in every token, with the slash at its end; Discovery is the address
	// of its OpenID configuration.
	Issuer    string
	Discovery string
	Handles   SSOAppHandles
}

// SSOAppFound is an application as the identity provider has it.
type SSOAppFound struct {
	// ID is the platform's, or what else the application is marked with: "" is not
	// ours.
	ID      ID
	Slug    string
	Name    string
	Handles SSOAppHandles
	// Whole says that it has its provider, and so that CreateApp came to its end.
	Whole bool
}
