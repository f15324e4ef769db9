package stripe

import (
	"fmt"
	"strings"

	"github.com/dezky/platform/platform"
)

// Stripe's amounts are in minor units, with exceptions (docs.stripe.com/currencies,
// "Special cases"): the króna of Iceland and the shilling of Uganda have no minor
// unit and are written as if they had two digits of it, and the ariary, which has
// one in ISO 4217, is written without.

// amountOf is what Stripe calls an amount of ours.
func amountOf(m platform.Money) (amount int64, currency string, err error) {
	if len(m.Currency) != 3 || strings.ToUpper(m.Currency) != m.Currency {
		return 0, "", platform.Errorf(platform.Invalid, "A currency is three capital letters.").Never()
	}
	switch m.Currency {
	case "ISK", "UGX":
		m.Minor *= 100
	case "MGA":
		if m.Minor%100 != 0 {
			return 0, "", platform.Errorf(platform.Invalid, "The payment service takes whole ariary alone.").Never()
		}
		m.Minor /= 100
	case "BHD", "JOD", "KWD", "OMR", "TND":
		if m.Minor%10 != 0 {
			return 0, "", platform.Errorf(platform.Invalid, "The payment service takes no thousandth of that currency.").
				Because(fmt.Errorf("%d %s", m.Minor, m.Currency)).Never()
		}
	}
	return m.Minor, strings.ToLower(m.Currency), nil
}

// moneyOf is what we call an amount of Stripe's.
func moneyOf[C ~string](amount int64, currency C) platform.Money {
	m := platform.Money{Minor: amount, Currency: strings.ToUpper(string(currency))}
	switch m.Currency {
	case "ISK", "UGX":
		m.Minor /= 100
	case "MGA":
		m.Minor *= 100
	}
	return m
}
