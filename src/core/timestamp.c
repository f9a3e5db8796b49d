#include "core/timestamp.h"

#define MS_PER_DAY INT64_C(86400000)
#define MS_PER_MINUTE INT64_C(60000)
#define TIME_MS_MAX INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

/* Days of a year before each month, in years that are no leap years. */
static const int days_before_month[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};

static bool is_leap(int year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 0000-01-01 to the first of January of year (0 or later; year 0 is a leap year). */
static int64_t days_before_year(int year) {
    int64_t past = year - 1;
    return year == 0 ? 0 : INT64_C(365) * year + 1 + past / 4 - past / 100 + past / 400;
}

/* Days of `year` before its month, which counts from 0 (12: all). */
static int days_before(int year, int month) {
    return days_before_month[month] + (month >= 2 && is_leap(year) ? 1 : 0);
}

static void put_digits(char *out, int value, int count) {
    for (int i = count - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

void timestamp_format(int64_t time_ms, char out[TIMESTAMP_SIZE]) {
    time_ms = time_ms < 0 ? 0 : time_ms > TIME_MS_MAX ? TIME_MS_MAX : time_ms;
    int64_t day = time_ms / MS_PER_DAY + days_before_year(1970);
    int in_day_ms = (int)(time_ms % MS_PER_DAY);
    int year =
        (int)(day * 400 / 146097) - 1; /* by the days in 400 years: it may be one off, so begin below */
    while (days_before_year(year + 1) <= day) {
        year++;
    }
    int in_year = (int)(day - days_before_year(year));
    int month = 0;
    while (days_before(year, month + 1) <= in_year) {
        month++;
    }
    memcpy(out, "0000-00-00T00:00:00.000Z", TIMESTAMP_SIZE);
    put_digits(out, year, 4);
    put_digits(out + 5, month + 1, 2);
    put_digits(out + 8, in_year - days_before(year, month) + 1, 2);
    put_digits(out + 11, in_day_ms / 3600000, 2);
    put_digits(out + 14, in_day_ms / 60000 % 60, 2);
    put_digits(out + 17, in_day_ms / 1000 % 60, 2);
    put_digits(out + 20, in_day_ms % 1000, 3);
}

/* Takes `count` digits that make a number of at most `max` off *rest. */
static bool take_number(struct slice *rest, size_t count, int max, int *value) {
    if (rest->len < count) {
        return false;
    }
    *value = 0;
    for (size_t i = 0; i < count; i++) {
        char c = rest->data[i];
        if (c < '0' || c > '9') {
            return false;
        }
        *value = *value * 10 + (c - '0');
    }
    rest->data += count;
    rest->len -= count;
    return *value <= max;
}

/* Takes one of two characters off *rest. */
static bool take_char(struct slice *rest, char one, char other) {
    if (rest->len == 0 || (rest->data[0] != one && rest->data[0] != other)) {
        return false;
    }
    rest->data++;
    rest->len--;
    return true;
}

/* Takes a date; *time_ms is its midnight. */
static bool take_date(struct slice *rest, int64_t *time_ms) {
    int year, month, day;
    if (!take_number(rest, 4, 9999, &year) || !take_char(rest, '-', '-') ||
        !take_number(rest, 2, 12, &month) || !take_char(rest, '-', '-') || !take_number(rest, 2, 31, &day)) {
        return false;
    }
    if (month < 1 || day < 1 || day > days_before(year, month) - days_before(year, month - 1)) {
        return false;
    }
    *time_ms = (days_before_year(year) - days_before_year(1970) + days_before(year, month - 1) + day - 1) *
               MS_PER_DAY;
    return true;
}

/* Takes 1 to 9 digits of a fraction of a second, cut to ms. */
static bool take_fraction(struct slice *rest, int *ms) {
    size_t count = 0;
    *ms = 0;
    for (int digit; count < 9 && take_number(rest, 1, 9, &digit); count++) {
        *ms = count < 3 ? *ms * 10 + digit : *ms;
    }
    for (size_t i = count; i < 3; i++) {
        *ms *= 10;
    }
    return count > 0;
}

/* Takes "Z" or "+hh:mm": what to take away from local time for UTC. */
static bool take_offset(struct slice *rest, int64_t *offset_ms) {
    int hours, minutes;
    *offset_ms = 0;
    if (take_char(rest, 'Z', 'z')) {
        return true;
    }
    bool behind = rest->len > 0 && rest->data[0] == '-';
    if (!take_char(rest, '+', '-') || !take_number(rest, 2, 23, &hours) || !take_char(rest, ':', ':') ||
        !take_number(rest, 2, 59, &minutes)) {
        return false;
    }
    *offset_ms = (behind ? -MS_PER_MINUTE : MS_PER_MINUTE) * (hours * 60 + minutes);
    return true;
}

bool timestamp_parse(struct slice text, int64_t *time_ms) {
    int64_t midnight_ms, offset_ms;
    int hour, minute, second, fraction_ms = 0;
    if (!take_date(&text, &midnight_ms)) {
        return false;
    }
    if (text.len == 0) {
        *time_ms = midnight_ms;
        return true;
    }
    if (!take_char(&text, 'T', 't') || !take_number(&text, 2, 23, &hour) || !take_char(&text, ':', ':') ||
        !take_number(&text, 2, 59, &minute) || !take_char(&text, ':', ':') ||
        !take_number(&text, 2, 60, &second)) {
        return false;
    }
    if (take_char(&text, '.', '.') && !take_fraction(&text, &fraction_ms)) {
        return false;
    }
    if (!take_offset(&text, &offset_ms) || text.len > 0) {
        return false;
    }
    int64_t whole_ms =
        midnight_ms + MS_PER_MINUTE * (hour * 60 + minute) + INT64_C(1000) * second - offset_ms;
    if (second == 60 && whole_ms % MS_PER_DAY != 0) {
        return false; /* leap seconds are inserted at the end of a day of UTC only */
    }
    *time_ms = whole_ms + fraction_ms;
    return true;
}
