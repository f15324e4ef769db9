package standin

// operationFor is the operation of a method and a path with stars for ids, or
// nil.
func operationFor(name string) operation {
	switch name {
	case "POST customers":
		return createCustomer
	case "GET customers":
		return listCustomers
	case "GET customers/*":
		return getCustomer
	case "POST customers/*":
		return updateCustomer
	case "DELETE customers/*":
		return deleteCustomer
	case "POST customers/*/tax_ids":
		return createTaxID
	case "GET customers/*/tax_ids":
		return listTaxIDs
	case "DELETE customers/*/tax_ids/*":
		return deleteTaxID
	case "GET customers/*/payment_methods":
		return listCustomersCards
	case "GET payment_methods":
		return listCards
	case "GET payment_methods/*":
		return one("payment_method", "PaymentMethod")
	case "POST payment_methods/*/attach":
		return attachCard
	case "POST payment_methods/*/detach":
		return detachCard
	case "POST setup_intents":
		return createSetup
	case "GET setup_intents/*":
		return one("setup_intent", "setupintent")
	case "POST setup_intents/*/confirm":
		return confirmSetup
	case "POST setup_intents/*/cancel":
		return cancelSetup
	}
	return moneyOperationFor(name)
}

func moneyOperationFor(name string) operation {
	switch name {
	case "POST products":
		return createProduct
	case "GET products/*":
		return one("product", "product")
	case "POST prices":
		return createPrice
	case "GET prices":
		return listPrices
	case "GET prices/*":
		return one("price", "price")
	case "POST subscriptions":
		return createSubscription
	case "GET subscriptions":
		return listSubscriptions
	case "GET subscriptions/*":
		return one("subscription", "subscription")
	case "POST subscriptions/*":
		return updateSubscription
	case "DELETE subscriptions/*":
		return cancelSubscription
	case "GET invoices":
		return listInvoices
	case "GET invoices/upcoming":
		return upcoming
	case "GET invoices/upcoming/lines":
		return upcomingLines
	case "GET invoices/*":
		return one("invoice", "invoice")
	case "GET invoices/*/lines":
		return listLines
	case "POST invoices/*/finalize":
		return finalizeInvoice
	case "POST invoices/*/pay":
		return payInvoice
	case "POST invoices/*/void":
		return voidInvoice
	case "POST invoices/*/mark_uncollectible":
		return markUncollectible
	case "GET payment_intents/*":
		return one("payment_intent", "payment_intent")
	case "POST payment_intents/*/confirm":
		return confirmPayment
	case "GET charges/*":
		return one("charge", "charge")
	case "POST refunds":
		return createRefund
	case "GET refunds":
		return listRefunds
	case "GET refunds/*":
		return one("refund", "refund")
	case "GET balance":
		return balance
	case "GET accounts/*":
		return one("account", "account")
	case "POST transfers":
		return createTransfer
	case "GET transfers":
		return listTransfers
	case "GET transfers/*":
		return one("transfer", "transfer")
	case "POST transfers/*/reversals":
		return reverseTransfer
	case "GET transfers/*/reversals":
		return listReversals
	case "GET events":
		return listEvents
	case "GET events/*":
		return one("event", "event")
	}
	return nil
}
