/* What the bindings of I/O drivers share: arguments, values, errors, and work in another network namespace. */
#ifndef ETHERLOOM_NETDEV_COMMON_H
#define ETHERLOOM_NETDEV_COMMON_H

#define NAPI_VERSION 8
#include <node_api.h>

#include <errno.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

/* Result of a step: errno (0 = fine) and the step's name. */
struct outcome {
  int error;
  const char *step;
};

static const struct outcome fine UNUSED = {0, NULL};

static inline struct outcome failed(const char *step) {
  return (struct outcome){errno, step};
}

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

static inline bool set_int(napi_env env, napi_value object, const char *name, int32_t number) {
  napi_value value;
  return napi_create_int32(env, number, &value) == napi_ok &&
         napi_set_named_property(env, object, name, value) == napi_ok;
}

/* Throws an Error with `errno`, and with `syscall`, which names the step. */
static UNUSED napi_value throw_outcome(napi_env env, struct outcome outcome) {
  char text[160], reason[80];
  napi_value message, error, step;
  snprintf(text, sizeof text, "%s: %s", outcome.step, strerror_r(outcome.error, reason, sizeof reason));
  if (napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &message) == napi_ok &&
      napi_create_error(env, NULL, message, &error) == napi_ok && set_int(env, error, "errno", outcome.error) &&
      napi_create_string_utf8(env, outcome.step, NAPI_AUTO_LENGTH, &step) == napi_ok &&
      napi_set_named_property(env, error, "syscall", step) == napi_ok) {
    napi_throw(env, error);
  }
  return NULL;
}

static UNUSED napi_value throw_usage(napi_env env, const char *text) {
  napi_throw_type_error(env, NULL, text);
  return NULL;
}

/* ---- Network namespaces ---- */

typedef struct outcome (*netns_work)(void *);

struct netns_visit {
  int netns;
  netns_work work;
  void *argument;
  struct outcome outcome;
};

static UNUSED void *netns_thread(void *argument) {
  struct netns_visit *visit = argument;
  if (setns(visit->netns, CLONE_NEWNET) != 0) {
    visit->outcome = failed("setns");
  } else {
    visit->outcome = visit->work(visit->argument);
  }
  return NULL;
}

/*
 * Runs `work` inside a network namespace. A namespace is a property of the thread, so a short-lived thread goes there
 * (0.3 ms on a loaded 2-core VM) and no thread of Node ever leaves its own, whatever fails. It blocks all signals: they
 * are Node's.
 */
static UNUSED struct outcome in_netns(int netns, netns_work work, void *argument) {
  struct netns_visit visit = {netns, work, argument, {0, NULL}};
  sigset_t all, before;
  pthread_t thread;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  errno = pthread_create(&thread, NULL, netns_thread, &visit);
  struct outcome started = errno == 0 ? fine : failed("pthread_create");
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (started.error != 0) {
    return started;
  }
  pthread_join(thread, NULL);
  return visit.outcome;
}

/* Runs `work` in the namespace of descriptor `netns`: right here when that is this thread's own, which takes no privilege. */
static UNUSED struct outcome in_netns_file(int netns, netns_work work, void *argument) {
  struct stat theirs, own;
  if (fstat(netns, &theirs) != 0) {
    return failed("fstat");
  }
  if (stat("/proc/thread-self/ns/net", &own) == 0 && own.st_ino == theirs.st_ino && own.st_dev == theirs.st_dev) {
    return work(argument);
  }
  return in_netns(netns, work, argument);
}

/* Runs `work` in the namespace that socket `control` belongs to. */
static UNUSED struct outcome in_netns_of(int control, netns_work work, void *argument) {
  int netns = ioctl(control, SIOCGSKNS);
  if (netns < 0) {
    return failed("SIOCGSKNS");
  }
  struct outcome outcome = in_netns_file(netns, work, argument);
  close(netns);
  return outcome;
}

#endif
