/* What the bindings of this package share: fetching arguments and making values. */
#ifndef ETHERLOOM_TAP_COMMON_H
#define ETHERLOOM_TAP_COMMON_H

#define NAPI_VERSION 8
#include <node_api.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline napi_value int_value(napi_env env, int32_t number) {
  napi_value value = NULL;
  napi_create_int32(env, number, &value);
  return value;
}

/* Fetches exactly `want` arguments. */
static inline bool arguments(napi_env env, napi_callback_info info, size_t want, napi_value *values) {
  size_t count = want;
  return napi_get_cb_info(env, info, &count, values, NULL, NULL) == napi_ok && count == want;
}

/* Works for memory of a SharedArrayBuffer too, which napi_get_arraybuffer_info refuses on Node 20. */
static inline bool typed_array(napi_env env, napi_value value, napi_typedarray_type type, void **data, size_t *length) {
  napi_typedarray_type found;
  return napi_get_typedarray_info(env, value, &found, length, data, NULL, NULL) == napi_ok && found == type;
}

#endif
