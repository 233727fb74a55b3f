/*
 * Readiness of file descriptors for Node's event loop: one poller thread per watcher, asleep in epoll_wait(2).
 *
 * Node-API only: libuv's own poll handles are out of its reach. A descriptor is watched one-shot; when it is readable,
 * its token goes through a thread-safe function to the callback on the loop's thread, and the descriptor is left alone
 * until it is armed again, by one epoll_ctl(2) that needs no help of the poller. So a descriptor that is busy, and
 * drained without going to sleep, costs nothing here.
 *
 * No global state. A watcher ends by close(), when its object is collected, or with its environment (a worker that
 * terminates): each joins the thread and closes both descriptors, which are close-on-exec. Descriptors that are
 * watched belong to the caller.
 */
#define _GNU_SOURCE
#include "common.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Descriptors reported per wake of the poller. */
#define EVENTS 64
/* epoll data of the eventfd that ends the poller; tokens are 31 bits. */
#define STOP UINT64_MAX

struct watcher {
  napi_threadsafe_function ready;
  pthread_t thread;
  int epoll;
  int stop;
  bool open;
};

static void *poll_descriptors(void *argument) {
  const struct watcher *watcher = argument;
  struct epoll_event events[EVENTS];
  for (;;) {
    int count = epoll_wait(watcher->epoll, events, EVENTS, -1);
    if (count < 0) {
      if (errno == EINTR) {
        continue;
      }
      return NULL;
    }
    for (int i = 0; i < count; i++) {
      if (events[i].data.u64 == STOP) {
        return NULL;
      }
      /* The event travels in the pointer itself: nothing is allocated here. Lowest bit: an error and nothing to read. */
      bool broken = (events[i].events & EPOLLIN) == 0;
      uintptr_t event = ((uintptr_t)events[i].data.u64 << 1) | (broken ? 1 : 0);
      napi_call_threadsafe_function(watcher->ready, (void *)event, napi_tsfn_nonblocking);
    }
  }
}

/* On the loop's thread; without `env` while the environment ends. */
static void deliver(napi_env env, napi_value callback, void *context, void *data) {
  (void)context;
  uintptr_t event = (uintptr_t)data;
  napi_value undefined, arguments[2], error;
  bool pending;
  if (env == NULL || napi_get_undefined(env, &undefined) != napi_ok ||
      napi_create_uint32(env, (uint32_t)(event >> 1), &arguments[0]) != napi_ok ||
      napi_get_boolean(env, (event & 1) != 0, &arguments[1]) != napi_ok) {
    return;
  }
  napi_call_function(env, undefined, callback, 2, arguments, NULL);
  /* Left pending, Node 20 would swallow an exception with a warning; this makes it an ordinary uncaught one. */
  if (napi_is_exception_pending(env, &pending) == napi_ok && pending &&
      napi_get_and_clear_last_exception(env, &error) == napi_ok) {
    napi_fatal_exception(env, error);
  }
}

static void end(struct watcher *watcher) {
  if (!watcher->open) {
    return;
  }
  watcher->open = false;
  const uint64_t one = 1;
  /* Cannot fail: the counter is far from its limit. */
  while (write(watcher->stop, &one, sizeof one) < 0 && errno == EINTR) {
  }
  pthread_join(watcher->thread, NULL);
  napi_release_threadsafe_function(watcher->ready, napi_tsfn_abort);
  close(watcher->epoll);
  close(watcher->stop);
}

static void end_with_environment(void *argument) {
  end(argument);
}

static void end_and_free(napi_env env, void *data, void *hint) {
  (void)hint;
  struct watcher *watcher = data;
  napi_remove_env_cleanup_hook(env, end_with_environment, watcher);
  end(watcher);
  free(watcher);
}

/* Descriptors and thread; on failure nothing is left, and the step is returned with errno set. */
static const char *begin(struct watcher *watcher) {
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = STOP};
  const char *step = NULL;
  sigset_t all, before;
  watcher->stop = -1;
  watcher->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (watcher->epoll < 0) {
    return "epoll_create1";
  }
  watcher->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (watcher->stop < 0) {
    step = "eventfd";
  } else if (epoll_ctl(watcher->epoll, EPOLL_CTL_ADD, watcher->stop, &event) != 0) {
    step = "epoll_ctl";
  } else {
    /* Signals are for Node's own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = pthread_create(&watcher->thread, NULL, poll_descriptors, watcher);
    step = errno == 0 ? NULL : "pthread_create";
    pthread_sigmask(SIG_SETMASK, &before, NULL);
  }
  if (step != NULL) {
    int number = errno;
    close(watcher->epoll);
    if (watcher->stop >= 0) {
      close(watcher->stop);
    }
    errno = number;
  }
  return step;
}

/*
 * create(ready: (token: number, broken: boolean) => void): watcher
 *
 * `broken`: there is an error or a hang-up on the descriptor, and nothing to read.
 */
static napi_value create_js(napi_env env, napi_callback_info info) {
  napi_value callback, name, result;
  napi_valuetype type;
  size_t count = 1;
  if (napi_get_cb_info(env, info, &count, &callback, NULL, NULL) != napi_ok ||
      napi_typeof(env, callback, &type) != napi_ok || type != napi_function) {
    return throw_usage(env, "create takes a function");
  }
  struct watcher *watcher = calloc(1, sizeof *watcher);
  if (watcher == NULL) {
    return throw_errno(env, ENOMEM, "calloc");
  }
  if (napi_create_string_utf8(env, "etherloom:fdwait", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_threadsafe_function(env, callback, NULL, name, 0, 1, NULL, NULL, NULL, deliver, &watcher->ready) !=
          napi_ok) {
    free(watcher);
    return throw_errno(env, ENOMEM, "napi_create_threadsafe_function");
  }
  const char *step = begin(watcher);
  if (step != NULL) {
    int number = errno;
    napi_release_threadsafe_function(watcher->ready, napi_tsfn_abort);
    free(watcher);
    return throw_errno(env, number, step);
  }
  watcher->open = true;
  /* Hooks run last in, first out: the poller ends before the function that it calls does. */
  if (napi_add_env_cleanup_hook(env, end_with_environment, watcher) != napi_ok ||
      napi_create_external(env, watcher, end_and_free, NULL, &result) != napi_ok) {
    end_and_free(env, watcher, NULL);
    return throw_errno(env, ENOMEM, "napi_create_external");
  }
  return result;
}

/* The watcher of the first argument and up to two integers behind it. */
static struct watcher *open_watcher(napi_env env, napi_callback_info info, size_t want, int32_t *numbers) {
  napi_value values[3];
  napi_valuetype type;
  void *data;
  size_t count = want;
  if (napi_get_cb_info(env, info, &count, values, NULL, NULL) != napi_ok || count < want ||
      napi_typeof(env, values[0], &type) != napi_ok || type != napi_external ||
      napi_get_value_external(env, values[0], &data) != napi_ok) {
    throw_usage(env, "the first argument must be a watcher, with all others behind it");
    return NULL;
  }
  for (size_t i = 1; i < want; i++) {
    if (napi_get_value_int32(env, values[i], &numbers[i - 1]) != napi_ok) {
      throw_usage(env, "file descriptors and tokens are numbers");
      return NULL;
    }
  }
  struct watcher *watcher = data;
  if (!watcher->open) {
    throw_errno(env, EBADF, "watcher is closed");
    return NULL;
  }
  return watcher;
}

/* A descriptor that its owner closed has left the set by itself. */
static bool gone(int number) {
  return number == EBADF || number == ENOENT;
}

static napi_value control(napi_env env, napi_callback_info info, int operation) {
  int32_t numbers[2];
  struct watcher *watcher = open_watcher(env, info, 3, numbers);
  if (watcher == NULL) {
    return NULL;
  }
  /* 31 bits, so that it can never be STOP and fits a pointer beside one bit more. */
  struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = (uint64_t)(numbers[1] & INT32_MAX)};
  if (epoll_ctl(watcher->epoll, operation, numbers[0], &event) != 0 && !(operation == EPOLL_CTL_MOD && gone(errno))) {
    return throw_errno(env, errno, "epoll_ctl");
  }
  return NULL;
}

/* add(watcher, fd, token): void - watches `fd` until it is readable once. */
static napi_value add_js(napi_env env, napi_callback_info info) {
  return control(env, info, EPOLL_CTL_ADD);
}

/* arm(watcher, fd, token): void - the same again, for a descriptor that was added; nothing when it was closed. */
static napi_value arm_js(napi_env env, napi_callback_info info) {
  return control(env, info, EPOLL_CTL_MOD);
}

/* remove(watcher, fd): void - likewise. */
static napi_value remove_js(napi_env env, napi_callback_info info) {
  int32_t fd;
  struct watcher *watcher = open_watcher(env, info, 2, &fd);
  if (watcher == NULL) {
    return NULL;
  }
  if (epoll_ctl(watcher->epoll, EPOLL_CTL_DEL, fd, NULL) != 0 && !gone(errno)) {
    return throw_errno(env, errno, "epoll_ctl");
  }
  return NULL;
}

/* ref(watcher) and unref(watcher): whether the watcher keeps the event loop alive; at first it does. */
static napi_value ref_js(napi_env env, napi_callback_info info) {
  struct watcher *watcher = open_watcher(env, info, 1, NULL);
  if (watcher != NULL) {
    napi_ref_threadsafe_function(env, watcher->ready);
  }
  return NULL;
}

static napi_value unref_js(napi_env env, napi_callback_info info) {
  struct watcher *watcher = open_watcher(env, info, 1, NULL);
  if (watcher != NULL) {
    napi_unref_threadsafe_function(env, watcher->ready);
  }
  return NULL;
}

/* close(watcher): void - ends the poller; what was reported but not delivered is dropped. */
static napi_value close_js(napi_env env, napi_callback_info info) {
  struct watcher *watcher = open_watcher(env, info, 1, NULL);
  if (watcher != NULL) {
    end(watcher);
  }
  return NULL;
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"create", NULL, create_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"add", NULL, add_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"arm", NULL, arm_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"remove", NULL, remove_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"ref", NULL, ref_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"unref", NULL, unref_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"close", NULL, close_js, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  if (napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions) != napi_ok) {
    return NULL;
  }
  return exports;
}
