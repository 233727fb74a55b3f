/*
 * The lock on a pidfile: a POSIX record lock (fcntl(2)), which Node does not offer. It is what Open vSwitch's clients ask
 * for: a pidfile that nobody has locked is stale to them, whatever it says.
 *
 * The lock belongs to the process: it goes when the process ends, or when the process closes any descriptor of the file.
 */
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <node_api.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static napi_value throw_errno(napi_env env, int number) {
  char text[160], reason[80];
  napi_value message, error, value;
  snprintf(text, sizeof text, "fcntl: %s", strerror_r(number, reason, sizeof reason));
  if (napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &message) == napi_ok &&
      napi_create_error(env, NULL, message, &error) == napi_ok &&
      napi_create_int32(env, number, &value) == napi_ok &&
      napi_set_named_property(env, error, "errno", value) == napi_ok) {
    napi_throw(env, error);
  }
  return NULL;
}

/* lock(fd): 0 when this process has the whole file locked now, else the process id of the one that has. */
static napi_value lock_js(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument, result;
  int32_t fd;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count < 1 ||
      napi_get_value_int32(env, argument, &fd) != napi_ok) {
    napi_throw_type_error(env, NULL, "lock(fd) takes a file descriptor");
    return NULL;
  }
  for (;;) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    pid_t holder = 0;
    if (fcntl(fd, F_SETLK, &lock) == -1) {
      if (errno != EAGAIN && errno != EACCES) return throw_errno(env, errno);
      if (fcntl(fd, F_GETLK, &lock) == -1) return throw_errno(env, errno);
      /* Given back between the two calls. */
      if (lock.l_type == F_UNLCK) continue;
      holder = lock.l_pid;
    }
    return napi_create_int32(env, holder, &result) == napi_ok ? result : NULL;
  }
}

NAPI_MODULE_INIT() {
  napi_value lock;
  if (napi_create_function(env, "lock", NAPI_AUTO_LENGTH, lock_js, NULL, &lock) != napi_ok ||
      napi_set_named_property(env, exports, "lock", lock) != napi_ok) {
    return NULL;
  }
  return exports;
}
