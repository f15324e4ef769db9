package platform

// Money is an amount of one currency, in its minor units as ISO 4217 has them:
// Minor is 1250 for 12.50 EUR, 12 for 12 JPY and 12500 for 12.5 KWD. Currency is
// the three capital letters. Amounts of different currencies are never added
// (G-2).
type Money struct {
	Minor    int64  `json:"minor"`
	Currency string `json:"currency"`
}
