/*
 * What a poll-mode thread asks of the kernel: to sleep until a descriptor is readable, to be woken by another thread, to
 * run on one CPU, and the time.
 *
 * Each function is one system call made by the thread that calls it. No state: the caller owns every descriptor.
 */
#define _GNU_SOURCE
#include "common.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* Descriptors of one sleep that need no allocation. */
#define FEW 64

static bool integer(napi_env env, napi_value value, int32_t *number) {
  napi_valuetype type;
  return napi_typeof(env, value, &type) == napi_ok && type == napi_number &&
         napi_get_value_int32(env, value, number) == napi_ok;
}

/* Fetches exactly `want` arguments. */
static bool arguments(napi_env env, napi_callback_info info, size_t want, napi_value *values) {
  size_t count = want;
  return napi_get_cb_info(env, info, &count, values, NULL, NULL) == napi_ok && count == want;
}

static bool typed_array(napi_env env, napi_value value, napi_typedarray_type type, void **data, size_t *length) {
  napi_typedarray_type found;
  return napi_get_typedarray_info(env, value, &found, length, data, NULL, NULL) == napi_ok && found == type;
}

/* doorbell(): number - a new eventfd, close-on-exec, not blocking. */
static napi_value doorbell_js(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value result = NULL;
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) {
    return throw_errno(env, errno, "eventfd");
  }
  napi_create_int32(env, fd, &result);
  return result;
}

/* ring(fd): void - makes an eventfd readable. */
static napi_value ring_js(napi_env env, napi_callback_info info) {
  napi_value argument;
  int32_t fd;
  const uint64_t one = 1;
  if (!arguments(env, info, 1, &argument) || !integer(env, argument, &fd)) {
    return throw_usage(env, "ring takes the descriptor of a doorbell");
  }
  while (write(fd, &one, sizeof one) < 0) {
    /* Full: it has been readable for a long time. */
    if (errno == EAGAIN) {
      break;
    }
    if (errno != EINTR) {
      return throw_errno(env, errno, "write");
    }
  }
  return NULL;
}

/* close(fd): void - closes a doorbell; Node's own close would warn in a worker of a descriptor that it did not open. */
static napi_value close_js(napi_env env, napi_callback_info info) {
  napi_value argument;
  int32_t fd;
  if (!arguments(env, info, 1, &argument) || !integer(env, argument, &fd)) {
    return throw_usage(env, "close takes the descriptor of a doorbell");
  }
  return close(fd) == 0 ? NULL : throw_errno(env, errno, "close");
}

/*
 * sleep(fds: Int32Array, count, milliseconds): number - sleeps until one of the first `count` descriptors is readable, or
 * until the time is over; returns how many are. The first one is the thread's doorbell, which is reset. A descriptor that
 * has an error and nothing to read would end every sleep at once: it is complemented in the array, and so left out
 * from the next sleep on.
 */
static napi_value sleep_js(napi_env env, napi_callback_info info) {
  napi_value values[3], result = NULL;
  void *data;
  size_t length;
  int32_t count, milliseconds, readable = 0;
  if (!arguments(env, info, 3, values) || !typed_array(env, values[0], napi_int32_array, &data, &length) ||
      !integer(env, values[1], &count) || !integer(env, values[2], &milliseconds) || count < 1 ||
      (size_t)count > length || milliseconds < 0) {
    return throw_usage(env, "sleep takes an Int32Array, how many of it, and milliseconds");
  }
  int32_t *fds = data;
  struct pollfd few[FEW], *set = few;
  if (count > FEW) {
    set = malloc((size_t)count * sizeof *set);
    if (set == NULL) {
      return throw_errno(env, ENOMEM, "malloc");
    }
  }
  for (int32_t i = 0; i < count; i++) {
    /* The kernel skips negative descriptors. */
    set[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
  }
  const struct timespec limit = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L};
  int ready = ppoll(set, (nfds_t)count, &limit, NULL);
  int number = ready < 0 && errno != EINTR ? errno : 0;
  for (int32_t i = 0; ready > 0 && i < count; i++) {
    if (set[i].revents & POLLIN) {
      readable++;
    } else if (set[i].revents != 0) {
      fds[i] = ~fds[i];
    }
  }
  if (ready > 0 && (set[0].revents & POLLIN)) {
    uint64_t rings;
    while (read(fds[0], &rings, sizeof rings) < 0 && errno == EINTR) {
    }
  }
  if (set != few) {
    free(set);
  }
  if (number != 0) {
    return throw_errno(env, number, "ppoll");
  }
  napi_create_int32(env, readable, &result);
  return result;
}

/* pin(cpu): void - lets the calling thread run on one CPU only. */
static napi_value pin_js(napi_env env, napi_callback_info info) {
  napi_value argument;
  int32_t cpu;
  cpu_set_t set;
  if (!arguments(env, info, 1, &argument) || !integer(env, argument, &cpu) || cpu < 0 || cpu >= CPU_SETSIZE) {
    return throw_usage(env, "pin takes the number of a CPU");
  }
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  /* 0 is the calling thread, not the process. */
  if (sched_setaffinity(0, sizeof set, &set) != 0) {
    return throw_errno(env, errno, "sched_setaffinity");
  }
  return NULL;
}

/* name(text): void - names the calling thread for top(1) and gdb; what is longer than 15 bytes is cut off. */
static napi_value name_js(napi_env env, napi_callback_info info) {
  napi_value argument;
  char text[16];
  if (!arguments(env, info, 1, &argument) ||
      napi_get_value_string_utf8(env, argument, text, sizeof text, NULL) != napi_ok) {
    return throw_usage(env, "name takes a text");
  }
  int number = pthread_setname_np(pthread_self(), text);
  return number == 0 ? NULL : throw_errno(env, number, "pthread_setname_np");
}

/* clock(into: Float64Array): void - CLOCK_MONOTONIC in milliseconds, without a number object that had to be collected. */
static napi_value clock_js(napi_env env, napi_callback_info info) {
  napi_value argument;
  void *data;
  size_t length;
  struct timespec now;
  if (!arguments(env, info, 1, &argument) || !typed_array(env, argument, napi_float64_array, &data, &length) ||
      length < 1) {
    return throw_usage(env, "clock takes a Float64Array");
  }
  clock_gettime(CLOCK_MONOTONIC, &now);
  *(double *)data = (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
  return NULL;
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"doorbell", NULL, doorbell_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"ring", NULL, ring_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"close", NULL, close_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"sleep", NULL, sleep_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"pin", NULL, pin_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"name", NULL, name_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"clock", NULL, clock_js, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  if (napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions) != napi_ok) {
    return NULL;
  }
  return exports;
}
