package platform

// Identity is what a valid token says about its bearer: who they are, never
// what they may do.
type Identity struct {
	Issuer   string
	Subject  string
	Audience []string
	Name     string
	// Username is what the bearer signs in with (the claim preferred_username), or "".
	Username string
	Email    string
	// EmailVerified is true only where the provider vouches for the address.
	EmailVerified bool
	// Groups are the names of the bearer's groups at the identity provider.
	Groups []string
	// Methods are how the bearer signed in (the claim amr), such as "mfa".
	Methods []string
	// IssuedAt and SignedInAt (the claim auth_time) are zero where the token
	// does not say.
	IssuedAt   Time
	SignedInAt Time
	// Expires is the token's own exp; the allowed skew comes on top.
	Expires Time
}
