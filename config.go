package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dezky/platform/platform"
)

// Config is all that can be said from outside. It runs with nothing set.
type Config struct {
	// Production refuses stand-ins and the development sign-in
	// (ENVIRONMENT: development or production; default development).
	Production bool
	// Port is where HTTP is served (PORT; default 3001; 0 is any free one).
	Port int
	// MetricsPort is where GET /metrics is served for Prometheus, without a sign-in
	// (METRICS_PORT; default 0: nowhere).
	MetricsPort int
	// StopDelay is how long a server that was told to stop serves on after it said
	// that it is not ready, for a load balancer to notice (STOP_DELAY; 0s to 3s;
	// default 0s in development, 2s in production).
	StopDelay time.Duration
	// Database is the path of the SQLite file, or MongoDB the address of a replica
	// set, with its password (DATABASE_URL: sqlite://… or mongodb://…; default
	// sqlite://./data/dezky.db).
	Database string
	MongoDB  platform.Secret

	// Authentik is the identity provider (AUTHENTIK_URL, AUTHENTIK_TOKEN).
	Authentik Outside
	// Issuers sign the tokens that are accepted, one an application
	// (AUTHENTIK_ISSUERS, separated by commas; the stand-in's own by default).
	Issuers []string
	// Audience is whom tokens must be meant for (AUTHENTIK_AUDIENCE, separated by
	// commas; default dezky-portal,dezky-operator).
	Audience []string

	// Stalwart is the mail server (STALWART_URL, STALWART_TOKEN: an API key, or
	// user:password). STALWART_PROVISIONING_ENABLED=false leaves it alone; it has
	// to be set to true in production.
	Stalwart Outside
	// MailDomain is the domain under which every tenant has one of its own
	// (PLATFORM_MAIL_DOMAIN; default dezky.test in development, none in production).
	MailDomain string

	// OCIS keeps files (OCIS_URL, OCIS_USERNAME, OCIS_TOKEN: an app token). Instead
	// of the last two, it can be called with tokens that the identity provider gives
	// for our own credentials (OCIS_TOKEN_URL, OCIS_CLIENT_ID, OCIS_CLIENT_SECRET).
	OCIS             Outside
	OCISUsername     string
	OCISTokenURL     string
	OCISClientID     string
	OCISClientSecret platform.Secret

	// SealKey keys what is kept sealed or hashed (SEAL_KEY; 32 characters or more;
	// has a default in development alone).
	SealKey platform.Secret
	// Playground serves GraphiQL at /playground (PLAYGROUND: on or off; default on
	// in development, off in production).
	Playground bool
	// Proxies is how many proxies of ours stand before the server and add to
	// X-Forwarded-For (TRUSTED_PROXIES; default 0: the header counts for nothing).
	Proxies int
	// Origins are the web origins whose pages may call (ALLOWED_ORIGINS, separated
	// by commas; default none but our own host's).
	Origins []string
	// ExtraCAs is a file of PEM certificates that are trusted beside the machine's
	// (EXTRA_CA_CERTS).
	ExtraCAs string
}

// Outside says where an outside system is: at an address, in the stand-in that
// this process hosts (no address), or not used here (off).
type Outside struct {
	URL   string
	Token platform.Secret
	Off   bool
}

// StandIn says whether this process plays the system itself.
func (o Outside) StandIn() bool { return o.URL == "" && !o.Off }

// developmentKey keys what is kept where nothing is worth keeping.
const developmentKey = "a key for development, and nothing else"

// FromEnv reads the configuration. All mistakes are in its one error, each with
// the name of its variable and never its value.
func FromEnv(lookup func(string) (string, bool)) (Config, error) {
	e := env{lookup: lookup}
	c := Config{
		Production:  e.oneOf("ENVIRONMENT", "development", "production") == "production",
		Port:        e.number("PORT", 3001, 65535),
		MetricsPort: e.number("METRICS_PORT", 0, 65535),
		Issuers:     e.list("AUTHENTIK_ISSUERS", ""),
		Audience:    e.list("AUTHENTIK_AUDIENCE", "dezky-portal,dezky-operator"),
		ExtraCAs:    e.file("EXTRA_CA_CERTS"),
		Proxies:     e.number("TRUSTED_PROXIES", 0, 10),
		Origins:     e.list("ALLOWED_ORIGINS", ""),
	}
	c.Database, c.MongoDB = e.database("DATABASE_URL", "sqlite://./data/dezky.db")
	c.Authentik = e.outside("AUTHENTIK", c.Production)
	c.Stalwart = e.outside("STALWART", c.Production)
	c.OCISTokenURL, c.OCISClientID = e.text("OCIS_TOKEN_URL", ""), e.text("OCIS_CLIENT_ID", "")
	c.OCISClientSecret = platform.NewSecret(e.text("OCIS_CLIENT_SECRET", ""))
	c.OCISUsername = e.text("OCIS_USERNAME", "")
	if c.OCISTokenURL == "" {
		c.OCIS = e.outside("OCIS", c.Production)
	} else {
		c.OCIS = e.outsideWith("OCIS", c.Production, c.OCISClientSecret, "OCIS_CLIENT_SECRET")
	}
	switch {
	case c.OCIS.URL == "":
	case c.OCISTokenURL == "" && c.OCISUsername == "":
		e.wrong("OCIS_USERNAME", "must be set together with OCIS_URL")
	case c.OCISTokenURL != "" && (!isAddress(c.OCISTokenURL) || c.OCISClientID == ""):
		e.wrong("OCIS_TOKEN_URL", "must be an address, and set together with OCIS_CLIENT_ID")
	}
	if !e.flag("STALWART_PROVISIONING_ENABLED", !c.Production) {
		c.Stalwart = Outside{Off: true}
	}
	mail, key, playground, delay := "dezky.test", developmentKey, true, time.Duration(0)
	if c.Production {
		mail, key, playground, delay = "", "", false, 2*time.Second
	}
	c.StopDelay = e.delay("STOP_DELAY", delay)
	c.MailDomain = e.domain("PLATFORM_MAIL_DOMAIN", mail)
	c.Playground = e.flag("PLAYGROUND", playground)
	c.SealKey = platform.NewSecret(e.text("SEAL_KEY", key))
	if len(c.SealKey.Reveal()) < 32 {
		e.wrong("SEAL_KEY", "must have 32 characters or more")
	}
	if len(c.Issuers) == 0 && (c.Production || !c.Authentik.StandIn()) {
		e.wrong("AUTHENTIK_ISSUERS", "must name who signs tokens")
	}
	for _, origin := range c.Origins {
		if u, err := url.Parse(origin); err != nil || !isAddress(origin) || origin != u.Scheme+"://"+u.Host {
			e.wrong("ALLOWED_ORIGINS", "must be origins such as https://portal.example.com, separated by commas")
			break
		}
	}
	for _, issuer := range c.Issuers {
		if !isAddress(issuer) {
			e.wrong("AUTHENTIK_ISSUERS", "must be addresses, separated by commas")
			break
		}
	}
	return c, errors.Join(e.mistakes...)
}

// env reads variables and remembers what is wrong with them.
type env struct {
	lookup   func(string) (string, bool)
	mistakes []error
}

func (e *env) wrong(name, what string) {
	e.mistakes = append(e.mistakes, fmt.Errorf("%s %s", name, what))
}

// text is a variable's value; one that is empty is not set.
func (e *env) text(name, otherwise string) string {
	if value, ok := e.lookup(name); ok && strings.TrimSpace(value) != "" {
		return strings.TrimSpace(value)
	}
	return otherwise
}

func (e *env) oneOf(name string, values ...string) string {
	value := e.text(name, values[0])
	if !slices.Contains(values, value) {
		e.wrong(name, "must be "+strings.Join(values, " or "))
	}
	return value
}

func (e *env) flag(name string, otherwise bool) bool {
	switch e.text(name, "") {
	case "":
		return otherwise
	case "on", "true", "1", "yes":
		return true
	case "off", "false", "0", "no":
		return false
	}
	e.wrong(name, "must be on or off")
	return otherwise
}

func (e *env) number(name string, otherwise, most int) int {
	number, err := strconv.Atoi(e.text(name, strconv.Itoa(otherwise)))
	if err != nil || number < 0 || number > most {
		e.wrong(name, fmt.Sprintf("must be a number from 0 to %d", most))
	}
	return number
}

// longestDelay leaves of the ten seconds of a stop what an attempt may need.
const longestDelay = 3 * time.Second

func (e *env) delay(name string, otherwise time.Duration) time.Duration {
	delay, err := time.ParseDuration(e.text(name, otherwise.String()))
	if err != nil || delay < 0 || delay > longestDelay {
		e.wrong(name, "must be a time from 0s to "+longestDelay.String())
	}
	return delay
}

func (e *env) list(name, otherwise string) []string {
	var out []string
	for entry := range strings.SplitSeq(e.text(name, otherwise), ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			out = append(out, entry)
		}
	}
	return out
}

func (e *env) database(name, otherwise string) (file string, mongodb platform.Secret) {
	address := e.text(name, otherwise)
	if strings.HasPrefix(address, "mongodb://") || strings.HasPrefix(address, "mongodb+srv://") {
		return "", platform.NewSecret(address)
	}
	file, ok := strings.CutPrefix(address, "sqlite://")
	if !ok || file == "" {
		e.wrong(name, "must begin with sqlite:// and name a file, or with mongodb:// and name a replica set")
	}
	return file, platform.Secret{}
}

// domain is a name in the letters that DNS has; others are to be written in
// their ASCII form, as every system outside knows them.
func (e *env) domain(name, otherwise string) string {
	domain := strings.ToLower(e.text(name, otherwise))
	if domain != "" && !domainForm.MatchString(domain) {
		e.wrong(name, "must be a domain name in ASCII, such as dezky.example")
	}
	return domain
}

var domainForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (e *env) file(name string) string {
	path := e.text(name, "")
	if path == "" {
		return ""
	}
	if _, err := os.Stat(path); err != nil {
		e.wrong(name, "must name a file that can be read")
	}
	return path
}

func (e *env) outside(system string, production bool) Outside {
	return e.outsideWith(system, production, platform.NewSecret(e.text(system+"_TOKEN", "")), system+"_TOKEN")
}

// outsideWith is a system whose credential stands in a variable of another name.
func (e *env) outsideWith(system string, production bool, token platform.Secret, variable string) Outside {
	address := e.text(system+"_URL", "")
	switch {
	case address == "off":
		return Outside{Off: true}
	case address == "" && production:
		e.wrong(system+"_URL", "must be set in production: an address, or off")
	case address == "":
		return Outside{}
	case !isAddress(address):
		e.wrong(system+"_URL", "must be an address such as https://host, or off")
	case token.IsZero():
		e.wrong(variable, "must be set together with "+system+"_URL")
	}
	return Outside{URL: strings.TrimRight(address, "/"), Token: token}
}

func isAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
}
