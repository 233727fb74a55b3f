/*
 * The control half of Linux TAP for Node: opening devices, and rtnetlink in the network namespace of a device.
 *
 * Node-API only, no state at all: a device is its file descriptor, and any thread may load the module. Descriptors are
 * close-on-exec and belong to the caller, who closes them; whatever is opened here for the time of a call is closed
 * again on every path. Failing system calls are thrown as Error with numeric `errno` and with `syscall`, which names
 * the step.
 */
#define _GNU_SOURCE
#include "common.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>

#ifndef TUNGETDEVNETNS
#define TUNGETDEVNETNS _IO('T', 227)
#endif

/* ---- Opening ---- */

struct opening {
  char name[IFNAMSIZ];
  short flags;
  int fd;
};

static struct outcome open_tap(void *argument) {
  struct opening *opening = argument;
  struct ifreq request;
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    return failed("open /dev/net/tun");
  }
  memset(&request, 0, sizeof request);
  memcpy(request.ifr_name, opening->name, sizeof request.ifr_name);
  request.ifr_flags = opening->flags;
  if (ioctl(fd, TUNSETIFF, &request) != 0) {
    struct outcome outcome = failed("TUNSETIFF");
    close(fd);
    return outcome;
  }
  /* A persistent device keeps the header's form, and the offloads, of whoever had it last. */
  const int header = 10, little_endian = 1;
  const char *step = NULL;
  if (ioctl(fd, TUNSETVNETHDRSZ, &header) != 0) {
    step = "TUNSETVNETHDRSZ";
  } else if (ioctl(fd, TUNSETVNETLE, &little_endian) != 0) {
    step = "TUNSETVNETLE";
  } else if (ioctl(fd, TUNSETOFFLOAD, 0) != 0) {
    step = "TUNSETOFFLOAD";
  }
  if (step != NULL) {
    struct outcome outcome = failed(step);
    close(fd);
    return outcome;
  }
  opening->fd = fd;
  return fine;
}

/*
 * openTap(name: string, netns: string | undefined, multiQueue: boolean): number
 *
 * Creates TAP device `name`, or attaches to an existing one that has no user, in the namespace file `netns` (absent:
 * the caller's), without offloads, and returns a non-blocking descriptor, whose frames have a virtio-net header of 10
 * bytes in front, little-endian. Steps: open netns, setns, open /dev/net/tun, TUNSETIFF, TUNSETVNETHDRSZ, TUNSETVNETLE,
 * TUNSETOFFLOAD.
 */
static napi_value open_tap_js(napi_env env, napi_callback_info info) {
  napi_value values[3];
  napi_valuetype netns_type;
  struct opening opening = {.flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, .fd = -1};
  char netns_path[PATH_MAX];
  size_t length;
  bool multi_queue;
  struct outcome outcome;
  if (!arguments(env, info, 3, values) ||
      napi_get_value_string_utf8(env, values[0], NULL, 0, &length) != napi_ok ||
      napi_typeof(env, values[1], &netns_type) != napi_ok ||
      (netns_type != napi_string && netns_type != napi_undefined) ||
      napi_get_value_bool(env, values[2], &multi_queue) != napi_ok) {
    return throw_usage(env, "openTap takes a name, a namespace path or undefined, and a boolean");
  }
  if (length >= sizeof opening.name) {
    return throw_outcome(env, (struct outcome){ENAMETOOLONG, "TUNSETIFF"});
  }
  napi_get_value_string_utf8(env, values[0], opening.name, sizeof opening.name, &length);
  if (multi_queue) {
    opening.flags |= IFF_MULTI_QUEUE;
  }
  if (netns_type == napi_undefined) {
    outcome = open_tap(&opening);
  } else {
    if (napi_get_value_string_utf8(env, values[1], NULL, 0, &length) != napi_ok || length >= sizeof netns_path) {
      return throw_outcome(env, (struct outcome){ENAMETOOLONG, "open netns"});
    }
    napi_get_value_string_utf8(env, values[1], netns_path, sizeof netns_path, &length);
    /* O_NONBLOCK: a path that is a FIFO must not hang us. */
    int netns = open(netns_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (netns < 0) {
      return throw_outcome(env, failed("open netns"));
    }
    outcome = in_netns(netns, open_tap, &opening);
    close(netns);
  }
  return outcome.error == 0 ? int_value(env, opening.fd) : throw_outcome(env, outcome);
}

/*
 * tapInfo(fd: number): { name: string, persistent: boolean }
 *
 * The device's name now (it may have been renamed) and whether it outlives its descriptors. EBADFD when somebody
 * deleted the device.
 */
static napi_value tap_info_js(napi_env env, napi_callback_info info) {
  napi_value value, result, name, persistent;
  int32_t fd;
  struct ifreq request;
  if (!arguments(env, info, 1, &value) || napi_get_value_int32(env, value, &fd) != napi_ok) {
    return throw_usage(env, "tapInfo takes a file descriptor");
  }
  memset(&request, 0, sizeof request);
  if (ioctl(fd, TUNGETIFF, &request) != 0) {
    return throw_outcome(env, failed("TUNGETIFF"));
  }
  if (napi_create_object(env, &result) != napi_ok ||
      napi_create_string_utf8(env, request.ifr_name, strnlen(request.ifr_name, IFNAMSIZ), &name) != napi_ok ||
      napi_set_named_property(env, result, "name", name) != napi_ok ||
      napi_get_boolean(env, (request.ifr_flags & IFF_PERSIST) != 0, &persistent) != napi_ok ||
      napi_set_named_property(env, result, "persistent", persistent) != napi_ok) {
    return NULL;
  }
  return result;
}

/* setPersistent(fd: number, persistent: boolean): void */
static napi_value set_persistent_js(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int32_t fd;
  bool persistent;
  if (!arguments(env, info, 2, values) || napi_get_value_int32(env, values[0], &fd) != napi_ok ||
      napi_get_value_bool(env, values[1], &persistent) != napi_ok) {
    return throw_usage(env, "setPersistent takes a file descriptor and a boolean");
  }
  if (ioctl(fd, TUNSETPERSIST, persistent ? 1UL : 0UL) != 0) {
    return throw_outcome(env, failed("TUNSETPERSIST"));
  }
  return NULL;
}

/* setOffload(fd: number, flags: number): void - TUN_F_* flags: what the kernel may leave undone on frames to us. */
static napi_value set_offload_js(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int32_t fd;
  uint32_t flags;
  if (!arguments(env, info, 2, values) || napi_get_value_int32(env, values[0], &fd) != napi_ok ||
      napi_get_value_uint32(env, values[1], &flags) != napi_ok) {
    return throw_usage(env, "setOffload takes a file descriptor and flags");
  }
  if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)flags) != 0) {
    return throw_outcome(env, failed("TUNSETOFFLOAD"));
  }
  return NULL;
}

/* ---- rtnetlink ---- */

struct exchange {
  const void *request;
  size_t request_length;
  void *reply;
  size_t reply_room;
  size_t reply_length;
};

/* The kernel handles a routing request within send(2), so its one reply is there when that returns. */
static struct outcome exchange(void *argument) {
  struct exchange *exchange = argument;
  struct outcome outcome = fine;
  const int yes = 1;
  int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (sock < 0) {
    return failed("socket AF_NETLINK");
  }
  /* Asks for the kernel's own sentence in errors; one that cannot give it works as well. */
  (void)setsockopt(sock, SOL_NETLINK, NETLINK_EXT_ACK, &yes, sizeof yes);
  if (send(sock, exchange->request, exchange->request_length, 0) < 0) {
    outcome = failed("send to rtnetlink");
  } else {
    ssize_t n = recv(sock, exchange->reply, exchange->reply_room, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0) {
      outcome = failed("receive from rtnetlink");
    } else if ((size_t)n > exchange->reply_room) {
      outcome = (struct outcome){EMSGSIZE, "receive from rtnetlink"};
    } else {
      exchange->reply_length = (size_t)n;
    }
  }
  close(sock);
  return outcome;
}

/*
 * rtnetlink(fd: number, request: Uint8Array, reply: Uint8Array): number
 *
 * Sends one rtnetlink request in the namespace where the device of `fd` is now, and returns the length of the reply.
 *
 * Asking the descriptor each time (TUNGETDEVNETNS, Linux 5.2) lets a port be moved into a container after it was made,
 * which is how people use internal ports; a socket kept open would go stale then, and would keep a dead container's
 * namespace alive. Within the own namespace no setns is needed, so CAP_NET_ADMIN suffices there.
 */
static napi_value rtnetlink_js(napi_env env, napi_callback_info info) {
  napi_value values[3];
  int32_t fd;
  void *request, *reply;
  struct exchange details = {0};
  struct outcome outcome;
  if (!arguments(env, info, 3, values) || napi_get_value_int32(env, values[0], &fd) != napi_ok ||
      !typed_array(env, values[1], napi_uint8_array, &request, &details.request_length) ||
      !typed_array(env, values[2], napi_uint8_array, &reply, &details.reply_room)) {
    return throw_usage(env, "rtnetlink takes a file descriptor and two Uint8Arrays");
  }
  details.request = request;
  details.reply = reply;
  int netns = ioctl(fd, TUNGETDEVNETNS, 0);
  if (netns < 0) {
    return throw_outcome(env, failed("TUNGETDEVNETNS"));
  }
  outcome = in_netns_file(netns, exchange, &details);
  close(netns);
  return outcome.error == 0 ? int_value(env, (int32_t)details.reply_length) : throw_outcome(env, outcome);
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"openTap", NULL, open_tap_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"tapInfo", NULL, tap_info_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"setPersistent", NULL, set_persistent_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"setOffload", NULL, set_offload_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"rtnetlink", NULL, rtnetlink_js, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  if (napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions) != napi_ok) {
    return NULL;
  }
  return exports;
}
