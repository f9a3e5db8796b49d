/* Files embedded in the binary; build/gen/assets.c is generated (scripts/generate.py assets). */
#ifndef PAYFLOW_API_ASSETS_H
#define PAYFLOW_API_ASSETS_H

#include "core/base.h"

/* Constant for the life of the process. */
struct asset {
    const char *data;
    size_t len;
    bool gzip; /* data is compressed */
};

extern const struct asset asset_docs_html, asset_start_js, asset_swagger_js, asset_swagger_css;
extern const struct asset asset_openapi; /* openapi.yaml as JSON */

#endif
