/* The life of a payment as a specification: every state, every step. */
#include <check.h>

#include "core/money.h"
#include "core/payment.h"

#define AMOUNT 1000
#define CAPTURED 600
#define REFUNDED 250

static struct payment payment_in(enum payment_status status) {
    struct payment payment = {.amount_minor = AMOUNT, .status = status};
    bool captured =
        status == PAYMENT_CAPTURED || status == PAYMENT_PARTIALLY_REFUNDED || status == PAYMENT_REFUNDED;
    payment.captured_minor = captured ? CAPTURED : 0;
    payment.refunded_minor = status == PAYMENT_REFUNDED             ? CAPTURED
                             : status == PAYMENT_PARTIALLY_REFUNDED ? REFUNDED
                                                                    : 0;
    return payment;
}

/* Applies a step that must be refused and checks that it left no trace. */
static void refused(struct payment payment, enum payment_step step, int64_t amount_minor,
                    enum step_error error) {
    struct payment before = payment;
    enum step_error got = payment_apply(&payment, step, amount_minor);
    ck_assert_msg(got == error, "%s in %s: %d", payment_event_name(step), payment_status_name(before.status),
                  got);
    ck_assert_int_eq(payment.status, before.status);
    ck_assert_int_eq(payment.amount_minor, before.amount_minor);
    ck_assert_int_eq(payment.captured_minor, before.captured_minor);
    ck_assert_int_eq(payment.refunded_minor, before.refunded_minor);
}

static void applied(struct payment payment, enum payment_step step, int64_t amount_minor,
                    enum payment_status status, int64_t captured_minor, int64_t refunded_minor) {
    ck_assert_int_eq(payment_apply(&payment, step, amount_minor), STEP_OK);
    ck_assert_str_eq(payment_status_name(payment.status), payment_status_name(status));
    ck_assert_int_eq(payment.amount_minor, AMOUNT);
    ck_assert_int_eq(payment.captured_minor, captured_minor);
    ck_assert_int_eq(payment.refunded_minor, refunded_minor);
}

START_TEST(each_state_allows_these_steps_and_no_others) {
    static const struct {
        enum payment_status from;
        enum payment_status after[6]; /* by step, with all that is left; 0: illegal */
    } table[] = {
        {PAYMENT_PENDING,
         {[STEP_CAPTURE] = PAYMENT_CAPTURED, [STEP_CANCEL] = PAYMENT_CANCELED, [STEP_FAIL] = PAYMENT_FAILED}},
        {PAYMENT_CAPTURED, {[STEP_REFUND] = PAYMENT_REFUNDED}},
        {PAYMENT_PARTIALLY_REFUNDED, {[STEP_REFUND] = PAYMENT_REFUNDED}},
        {PAYMENT_REFUNDED, {0}},
        {PAYMENT_CANCELED, {0}},
        {PAYMENT_FAILED, {0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        for (enum payment_step step = STEP_CREATE; step <= STEP_FAIL; step++) {
            struct payment payment = payment_in(table[i].from);
            if (table[i].after[step] == 0) {
                refused(payment, step, 0, STEP_ILLEGAL_STATE);
                refused(payment, step, 1, STEP_ILLEGAL_STATE);
                refused(payment, step, AMOUNT + 1, STEP_ILLEGAL_STATE);
            } else {
                ck_assert_int_eq(payment_apply(&payment, step, 0), STEP_OK);
                ck_assert_int_eq(payment.status, table[i].after[step]);
            }
        }
    }
}
END_TEST

START_TEST(a_capture_takes_all_or_a_part_once) {
    struct payment pending = payment_in(PAYMENT_PENDING);
    applied(pending, STEP_CAPTURE, 0, PAYMENT_CAPTURED, AMOUNT, 0);
    applied(pending, STEP_CAPTURE, 1, PAYMENT_CAPTURED, 1, 0);
    applied(pending, STEP_CAPTURE, AMOUNT, PAYMENT_CAPTURED, AMOUNT, 0);
    refused(pending, STEP_CAPTURE, AMOUNT + 1, STEP_AMOUNT_TOO_HIGH);
    refused(pending, STEP_CAPTURE, INT64_MAX, STEP_AMOUNT_TOO_HIGH);
    refused(payment_in(PAYMENT_CAPTURED), STEP_CAPTURE, 1, STEP_ILLEGAL_STATE);
}
END_TEST

START_TEST(refunds_never_exceed_the_capture) {
    struct payment captured = payment_in(PAYMENT_CAPTURED);
    struct payment partially = payment_in(PAYMENT_PARTIALLY_REFUNDED);
    applied(captured, STEP_REFUND, 1, PAYMENT_PARTIALLY_REFUNDED, CAPTURED, 1);
    applied(captured, STEP_REFUND, CAPTURED, PAYMENT_REFUNDED, CAPTURED, CAPTURED);
    applied(captured, STEP_REFUND, 0, PAYMENT_REFUNDED, CAPTURED, CAPTURED);
    refused(captured, STEP_REFUND, CAPTURED + 1, STEP_AMOUNT_TOO_HIGH);
    refused(captured, STEP_REFUND, AMOUNT, STEP_AMOUNT_TOO_HIGH);
    applied(partially, STEP_REFUND, 1, PAYMENT_PARTIALLY_REFUNDED, CAPTURED, REFUNDED + 1);
    applied(partially, STEP_REFUND, CAPTURED - REFUNDED, PAYMENT_REFUNDED, CAPTURED, CAPTURED);
    applied(partially, STEP_REFUND, 0, PAYMENT_REFUNDED, CAPTURED, CAPTURED);
    refused(partially, STEP_REFUND, CAPTURED - REFUNDED + 1, STEP_AMOUNT_TOO_HIGH);
    refused(partially, STEP_REFUND, INT64_MAX, STEP_AMOUNT_TOO_HIGH);
}
END_TEST

START_TEST(cancel_and_fail_move_nothing_whatever_amount_they_bring) {
    struct payment pending = payment_in(PAYMENT_PENDING);
    applied(pending, STEP_CANCEL, 5, PAYMENT_CANCELED, 0, 0);
    applied(pending, STEP_FAIL, AMOUNT + 1, PAYMENT_FAILED, 0, 0);
}
END_TEST

START_TEST(the_largest_payment_lives_without_overflow) {
    struct payment payment = {.amount_minor = MONEY_MINOR_MAX, .status = PAYMENT_PENDING};
    ck_assert_int_eq(payment_apply(&payment, STEP_CAPTURE, MONEY_MINOR_MAX), STEP_OK);
    ck_assert_int_eq(payment_apply(&payment, STEP_REFUND, MONEY_MINOR_MAX - 1), STEP_OK);
    ck_assert_int_eq(payment_apply(&payment, STEP_REFUND, 2), STEP_AMOUNT_TOO_HIGH);
    ck_assert_int_eq(payment_apply(&payment, STEP_REFUND, 1), STEP_OK);
    ck_assert_int_eq(payment.status, PAYMENT_REFUNDED);
}
END_TEST

START_TEST(states_have_these_names_and_are_read_back) {
    static const char *const names[] = {"pending",  "captured", "partially_refunded",
                                        "refunded", "canceled", "failed"};
    static const char *const unknown[] = {"", "Pending", "pendin", "pending ", "unknown", "cancelled"};
    enum payment_status status = PAYMENT_FAILED;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        ck_assert_str_eq(payment_status_name((enum payment_status)(i + 1)), names[i]);
        ck_assert(payment_status_parse(slice_of(names[i]), &status));
        ck_assert_uint_eq(status, i + 1);
    }
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        ck_assert(!payment_status_parse(slice_of(unknown[i]), &status));
    }
    ck_assert(!payment_status_parse((struct slice){NULL, 0}, &status));
    ck_assert_str_eq(payment_status_name((enum payment_status)0), "unknown");
    ck_assert_str_eq(payment_status_name((enum payment_status)7), "unknown");
}
END_TEST

START_TEST(steps_have_these_names) {
    static const char *const names[] = {"payment.created", "payment.captured", "payment.canceled",
                                        "payment.refunded", "payment.failed"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        ck_assert_str_eq(payment_event_name((enum payment_step)(i + 1)), names[i]);
    }
    ck_assert_str_eq(payment_event_name((enum payment_step)6), "unknown");
}
END_TEST

Suite *payment_suite(void);
Suite *payment_suite(void) {
    Suite *suite = suite_create("payment");
    TCase *cases = tcase_create("payment");
    tcase_add_test(cases, each_state_allows_these_steps_and_no_others);
    tcase_add_test(cases, a_capture_takes_all_or_a_part_once);
    tcase_add_test(cases, refunds_never_exceed_the_capture);
    tcase_add_test(cases, cancel_and_fail_move_nothing_whatever_amount_they_bring);
    tcase_add_test(cases, the_largest_payment_lives_without_overflow);
    tcase_add_test(cases, states_have_these_names_and_are_read_back);
    tcase_add_test(cases, steps_have_these_names);
    suite_add_tcase(suite, cases);
    return suite;
}
