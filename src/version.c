#include "version.h"

#include <gnu/libc-version.h>
#include <libpq-fe.h>
#include <openssl/crypto.h>

void version_write(FILE *out) {
    int libpq = PQlibVersion(); /* 150020 is 15.20 */
    fprintf(out, "payflow %s (%s)\n", version_name, version_revision);
    fprintf(out, "civetweb %s\n", version_civetweb);
    fprintf(out, "cjson %s\n", version_cjson);
    fprintf(out, "hiredis %s\n", version_hiredis);
    fprintf(out, "libpq %d.%d\n", libpq / 10000, libpq % 10000);
    fprintf(out, "openssl %s\n", OpenSSL_version(OPENSSL_VERSION_STRING));
    fprintf(out, "glibc %s\n", gnu_get_libc_version());
}
