#include "core/money.h"

#include <assert.h>

#include "core/json.h"

#define MINOR_DIGITS_MAX 15          /* digits of MONEY_MINOR_MAX */
#define POWER_MAX (INT64_C(1) << 40) /* a number's own exponent counts no further: no text is that long */
#define CURRENCY_EXPONENT_MAX 18     /* far above ISO 4217's 4; keeps money_format within MONEY_TEXT_MAX */

/* A number as its significant digits and where they stand: digits, from `first` to `last` of the text and
 * passing over a decimal point, times ten to the `power`. */
struct decimal {
    bool negative;
    size_t first;  /* index of the first digit that is not 0 */
    size_t last;   /* index of the last one */
    int64_t count; /* digits from first to last; 0 if the number is zero */
    int64_t power;
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Reads the exponent that begins at `at` ("+2", "-10", "400"), cut off at POWER_MAX. */
static int64_t read_power(struct slice text, size_t at) {
    bool negative = text.data[at] == '-';
    int64_t power = 0;
    if (!is_digit(text.data[at])) {
        at++;
    }
    for (; at < text.len && power < POWER_MAX; at++) {
        power = power * 10 + (text.data[at] - '0');
    }
    return negative ? -power : power;
}

/* Takes apart a text that is a JSON number. */
static struct decimal read_decimal(struct slice text) {
    struct decimal decimal = {.negative = text.data[0] == '-'};
    int64_t trailing_zeros = 0; /* since the last digit that is not 0 */
    int64_t decimals = 0;
    bool in_fraction = false;
    size_t at = decimal.negative ? 1 : 0;
    for (; at < text.len && (is_digit(text.data[at]) || text.data[at] == '.'); at++) {
        if (text.data[at] == '.') {
            in_fraction = true;
            continue;
        }
        decimals += in_fraction ? 1 : 0;
        if (text.data[at] == '0') {
            trailing_zeros++;
            continue;
        }
        if (decimal.count == 0) {
            decimal.first = at;
        } else {
            decimal.count += trailing_zeros;
        }
        decimal.count++;
        decimal.last = at;
        trailing_zeros = 0;
    }
    decimal.power = trailing_zeros - decimals + (at < text.len ? read_power(text, at + 1) : 0);
    return decimal;
}

enum money_error money_parse(struct slice text, unsigned exponent, int64_t *amount_minor) {
    if (text.len == 0 || json_number_len(text) != text.len) {
        return MONEY_NOT_A_NUMBER;
    }
    struct decimal decimal = read_decimal(text);
    if (decimal.negative || decimal.count == 0) {
        return MONEY_NOT_POSITIVE;
    }
    int64_t zeros = decimal.power + (int64_t)exponent; /* what follows the digits, in minor units */
    if (decimal.count + zeros > MINOR_DIGITS_MAX) {
        return MONEY_TOO_LARGE;
    }
    if (zeros < 0) {
        return MONEY_TOO_MANY_DECIMALS;
    }
    int64_t minor = 0;
    for (size_t i = decimal.first; i <= decimal.last; i++) {
        if (text.data[i] != '.') {
            minor = minor * 10 + (text.data[i] - '0');
        }
    }
    for (; zeros > 0; zeros--) {
        minor *= 10;
    }
    *amount_minor = minor;
    return MONEY_OK;
}

const char *money_error_name(enum money_error error) {
    switch (error) {
    case MONEY_OK:
        return "ok";
    case MONEY_NOT_A_NUMBER:
        return "not_a_number";
    case MONEY_NOT_POSITIVE:
        return "not_positive";
    case MONEY_TOO_MANY_DECIMALS:
        return "too_many_decimals";
    case MONEY_TOO_LARGE:
        return "too_large";
    }
    return "unknown";
}

size_t money_format(int64_t amount_minor, unsigned exponent, char out[MONEY_TEXT_MAX]) {
    assert(amount_minor >= 0 && exponent <= CURRENCY_EXPONENT_MAX);
    char reversed[MONEY_TEXT_MAX];
    size_t count = 0;
    bool significant = false; /* a digit other than a trailing zero was written */
    for (unsigned place = 0; place <= exponent || amount_minor > 0; place++) {
        char digit = (char)('0' + amount_minor % 10);
        amount_minor /= 10;
        if (place == exponent && significant) {
            reversed[count++] = '.';
        }
        significant = significant || digit != '0';
        if (significant || place >= exponent) {
            reversed[count++] = digit;
        }
    }
    for (size_t i = 0; i < count; i++) {
        out[i] = reversed[count - 1 - i];
    }
    out[count] = '\0';
    return count;
}
