package standin

import "strings"

// The server writes ids in base 32 with its own digits; a is 0.
const digits = "abcdefghijklmnopqrstuvwxyz792013"

func idText(id uint64) string {
	text := ""
	for {
		text = string(digits[id%32]) + text
		if id /= 32; id == 0 {
			return text
		}
	}
}

// parseID reads an id in either case. The empty text is 0, as it is there.
func parseID(text string) (uint64, bool) {
	if len(text) > 13 {
		return 0, false
	}
	id := uint64(0)
	for _, c := range strings.ToLower(text) {
		digit := strings.IndexRune(digits, c)
		if digit < 0 {
			return 0, false
		}
		id = id*32 + uint64(digit)
	}
	return id, true
}
