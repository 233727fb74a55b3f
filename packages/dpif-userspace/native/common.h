/* What the bindings of this package share: how they fail. */
#ifndef ETHERLOOM_DPIF_COMMON_H
#define ETHERLOOM_DPIF_COMMON_H

#define NAPI_VERSION 8
#include <node_api.h>

#include <stdio.h>
#include <string.h>

/* Throws an Error whose `errno` is `number`; the message says which step failed and why. */
static inline napi_value throw_errno(napi_env env, int number, const char *step) {
  char text[160], reason[80];
  napi_value message, error, value;
  snprintf(text, sizeof text, "%s: %s", step, strerror_r(number, reason, sizeof reason));
  if (napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &message) == napi_ok &&
      napi_create_error(env, NULL, message, &error) == napi_ok &&
      napi_create_int32(env, number, &value) == napi_ok &&
      napi_set_named_property(env, error, "errno", value) == napi_ok) {
    napi_throw(env, error);
  }
  return NULL;
}

static inline napi_value throw_usage(napi_env env, const char *text) {
  napi_throw_type_error(env, NULL, text);
  return NULL;
}

#endif
