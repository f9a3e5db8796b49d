/* What the distribution's libpq.a calls of GSSAPI and LDAP. Only the static binary links this file: neither
 * library exists as an archive, and PayFlow uses neither. Every function reports failure, as if no ticket and
 * no directory were there; libpq then goes on to TLS and a password (see libpq's gssencmode "prefer", its
 * default).
 *
 * The types follow RFC 2744 and the LDAP API by their width: handles are pointers, statuses 32 bits. */
#include <stddef.h>
#include <stdint.h>

#define UNUSED __attribute__((unused))
#define GSS_UNAVAILABLE (16U << 16) /* RFC 2744, 3.9.1: GSS_S_UNAVAILABLE */
#define LDAP_FAILED (-1)            /* neither LDAP_SUCCESS (0) nor a message's type */

typedef uint32_t gss_status;

/* What the header's constant points to; only ever passed back to gss_import_name. */
void *GSS_C_NT_HOSTBASED_SERVICE = NULL;

static gss_status unavailable(uint32_t *minor) {
    *minor = 0;
    return GSS_UNAVAILABLE;
}

gss_status gss_acquire_cred(uint32_t *minor, UNUSED void *name, UNUSED uint32_t seconds,
                            UNUSED void *mechanisms, UNUSED int usage, UNUSED void **credential,
                            UNUSED void **actual, UNUSED uint32_t *valid_seconds) {
    return unavailable(minor);
}

gss_status gss_delete_sec_context(uint32_t *minor, UNUSED void **context, UNUSED void *token) {
    return unavailable(minor);
}

gss_status gss_display_status(uint32_t *minor, UNUSED uint32_t status, UNUSED int type,
                              UNUSED void *mechanism, UNUSED uint32_t *more, UNUSED void *text) {
    return unavailable(minor);
}

gss_status gss_import_name(uint32_t *minor, UNUSED void *text, UNUSED void *type, UNUSED void **name) {
    return unavailable(minor);
}

gss_status gss_init_sec_context(uint32_t *minor, UNUSED void *credential, UNUSED void **context,
                                UNUSED void *name, UNUSED void *mechanism, UNUSED uint32_t flags,
                                UNUSED uint32_t seconds, UNUSED void *bindings, UNUSED void *input,
                                UNUSED void **actual, UNUSED void *output, UNUSED uint32_t *granted,
                                UNUSED uint32_t *valid_seconds) {
    return unavailable(minor);
}

gss_status gss_release_buffer(uint32_t *minor, UNUSED void *buffer) {
    return unavailable(minor);
}

gss_status gss_release_cred(uint32_t *minor, UNUSED void **credential) {
    return unavailable(minor);
}

gss_status gss_release_name(uint32_t *minor, UNUSED void **name) {
    return unavailable(minor);
}

gss_status gss_unwrap(uint32_t *minor, UNUSED void *context, UNUSED void *input, UNUSED void *output,
                      UNUSED int *encrypted, UNUSED uint32_t *quality) {
    return unavailable(minor);
}

gss_status gss_wrap(uint32_t *minor, UNUSED void *context, UNUSED int encrypt, UNUSED uint32_t quality,
                    UNUSED void *input, UNUSED int *encrypted, UNUSED void *output) {
    return unavailable(minor);
}

gss_status gss_wrap_size_limit(uint32_t *minor, UNUSED void *context, UNUSED int encrypt,
                               UNUSED uint32_t quality, UNUSED uint32_t output_bytes,
                               UNUSED uint32_t *input_bytes_max) {
    return unavailable(minor);
}

void *ldap_init(UNUSED const char *host, UNUSED int port) {
    return NULL; /* libpq stops here, so nothing below is ever called */
}

int ldap_set_option(UNUSED void *ldap, UNUSED int option, UNUSED const void *value) {
    return LDAP_FAILED;
}

int ldap_simple_bind(UNUSED void *ldap, UNUSED const char *name, UNUSED const char *password) {
    return LDAP_FAILED;
}

int ldap_result(UNUSED void *ldap, UNUSED int message, UNUSED int all, UNUSED void *time_limit,
                UNUSED void **result) {
    return LDAP_FAILED;
}

int ldap_search_st(UNUSED void *ldap, UNUSED const char *base, UNUSED int scope, UNUSED const char *filter,
                   UNUSED char **attributes, UNUSED int names_only, UNUSED void *time_limit,
                   UNUSED void **result) {
    return LDAP_FAILED;
}

void *ldap_first_entry(UNUSED void *ldap, UNUSED void *result) {
    return NULL;
}

void **ldap_get_values_len(UNUSED void *ldap, UNUSED void *entry, UNUSED const char *attribute) {
    return NULL;
}

void ldap_value_free_len(UNUSED void **values) {
}

int ldap_count_entries(UNUSED void *ldap, UNUSED void *result) {
    return 0;
}

int ldap_msgfree(UNUSED void *message) {
    return 0;
}

int ldap_unbind(UNUSED void *ldap) {
    return LDAP_FAILED;
}

char *ldap_err2string(UNUSED int error) {
    static char text[] = "this binary has no LDAP";
    return text;
}
