/*
 * The control half for Node: rtnetlink and ethtool requests in the network namespace of a device, and the XDP program.
 *
 * Node-API only, no state: any thread may load the module. A namespace is represented by a "control socket", an
 * rtnetlink socket made there: requests go through it from any thread without entering the namespace again. Descriptors
 * are close-on-exec and belong to the caller, who closes them; what is opened here for the time of a call is closed
 * again on every path. Failing system calls are thrown as Error with numeric `errno` and with `syscall`, which names
 * the step.
 */
#define _GNU_SOURCE
#include "common.h"
#include "program.h"

#include <limits.h>
#include <linux/if.h>
#include <linux/if_packet.h>
#include <linux/if_link.h>
#include <linux/netlink.h>

/* ---- Namespaces and sockets ---- */

static struct outcome make_control(void *argument) {
  int *fd = argument;
  const int yes = 1;
  int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (sock < 0) {
    return failed("socket AF_NETLINK");
  }
  /* Asks for the kernel's own sentence in errors; one that cannot give it works as well. */
  (void)setsockopt(sock, SOL_NETLINK, NETLINK_EXT_ACK, &yes, sizeof yes);
  *fd = sock;
  return fine;
}

/*
 * openControl(netns: string | undefined): number
 *
 * A control socket in the namespace file `netns` (absent: the calling thread's). Steps: open netns, setns, socket
 * AF_NETLINK.
 */
static napi_value open_control_js(napi_env env, napi_callback_info info) {
  napi_value value;
  napi_valuetype type;
  char path[PATH_MAX];
  size_t length;
  int fd = -1;
  struct outcome outcome;
  if (!arguments(env, info, 1, &value) || napi_typeof(env, value, &type) != napi_ok ||
      (type != napi_string && type != napi_undefined)) {
    return throw_usage(env, "openControl takes a namespace path or undefined");
  }
  if (type == napi_undefined) {
    outcome = make_control(&fd);
  } else {
    if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok || length >= sizeof path) {
      return throw_outcome(env, (struct outcome){ENAMETOOLONG, "open netns"});
    }
    napi_get_value_string_utf8(env, value, path, sizeof path, &length);
    /* O_NONBLOCK: a path that is a FIFO must not hang us. */
    int netns = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (netns < 0) {
      return throw_outcome(env, failed("open netns"));
    }
    outcome = in_netns(netns, make_control, &fd);
    close(netns);
  }
  return outcome.error == 0 ? int_value(env, fd) : throw_outcome(env, outcome);
}

/*
 * rtnetlink(control: number, request: Uint8Array, reply: Uint8Array): number
 *
 * Sends one rtnetlink request and returns the length of the reply. The kernel handles it within send(2), so the one
 * reply is there when that returns.
 */
static napi_value rtnetlink_js(napi_env env, napi_callback_info info) {
  napi_value values[3];
  int32_t fd;
  void *request, *reply;
  size_t request_length, reply_room;
  if (!arguments(env, info, 3, values) || napi_get_value_int32(env, values[0], &fd) != napi_ok ||
      !typed_array(env, values[1], napi_uint8_array, &request, &request_length) ||
      !typed_array(env, values[2], napi_uint8_array, &reply, &reply_room)) {
    return throw_usage(env, "rtnetlink takes a file descriptor and two Uint8Arrays");
  }
  /* A reply that an earlier request left (it had no room) is not the one to this. */
  while (recv(fd, reply, reply_room, MSG_DONTWAIT) >= 0) {
  }
  if (send(fd, request, request_length, 0) < 0) {
    return throw_outcome(env, failed("send to rtnetlink"));
  }
  ssize_t n = recv(fd, reply, reply_room, MSG_DONTWAIT | MSG_TRUNC);
  if (n < 0) {
    return throw_outcome(env, failed("receive from rtnetlink"));
  }
  if ((size_t)n > reply_room) {
    return throw_outcome(env, (struct outcome){EMSGSIZE, "receive from rtnetlink"});
  }
  return int_value(env, (int32_t)n);
}

/*
 * ethtool(control: number, device: string, command: Uint8Array): void
 *
 * SIOCETHTOOL: the structure of linux/ethtool.h in `command` is sent, and overwritten by the answer. The kernel writes as
 * much as the command takes, whatever our array's size: hence a buffer between, larger than any answer asked for here.
 */
static napi_value ethtool_js(napi_env env, napi_callback_info info) {
  napi_value values[3];
  int32_t fd;
  struct ifreq request;
  void *command;
  size_t length, size;
  _Alignas(8) unsigned char buffer[8192] = {0};
  memset(&request, 0, sizeof request);
  if (!arguments(env, info, 3, values) || napi_get_value_int32(env, values[0], &fd) != napi_ok ||
      napi_get_value_string_utf8(env, values[1], NULL, 0, &length) != napi_ok ||
      !typed_array(env, values[2], napi_uint8_array, &command, &size) || size < 4 || size > sizeof buffer / 2) {
    return throw_usage(env, "ethtool takes a file descriptor, a device name and a Uint8Array");
  }
  if (length >= sizeof request.ifr_name) {
    return throw_outcome(env, (struct outcome){ENAMETOOLONG, "SIOCETHTOOL"});
  }
  napi_get_value_string_utf8(env, values[1], request.ifr_name, sizeof request.ifr_name, &length);
  memcpy(buffer, command, size);
  request.ifr_data = (char *)buffer;
  /* Some commands answer with a positive number. */
  if (ioctl(fd, SIOCETHTOOL, &request) < 0) {
    return throw_outcome(env, failed("SIOCETHTOOL"));
  }
  memcpy(command, buffer, size);
  return NULL;
}

/* ---- Promiscuous mode ---- */

struct membership {
  int ifindex;
  int fd;
};

static struct outcome join_all(void *argument) {
  struct membership *membership = argument;
  struct packet_mreq request;
  memset(&request, 0, sizeof request);
  request.mr_ifindex = membership->ifindex;
  request.mr_type = PACKET_MR_PROMISC;
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return failed("socket AF_PACKET");
  }
  if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request) != 0) {
    struct outcome outcome = failed("PACKET_ADD_MEMBERSHIP");
    close(fd);
    return outcome;
  }
  membership->fd = fd;
  return fine;
}

/*
 * joinAll(control: number, ifindex: number): number
 *
 * Makes a device promiscuous for as long as the returned socket, which receives nothing, is open. Unlike the flag that
 * people set, the kernel counts these, and takes one back when its process dies. Steps: socket AF_PACKET,
 * PACKET_ADD_MEMBERSHIP.
 */
static napi_value join_all_js(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int32_t control;
  struct membership membership = {.fd = -1};
  if (!arguments(env, info, 2, values) || napi_get_value_int32(env, values[0], &control) != napi_ok ||
      napi_get_value_int32(env, values[1], &membership.ifindex) != napi_ok) {
    return throw_usage(env, "joinAll takes a file descriptor and a number");
  }
  struct outcome outcome = in_netns_of(control, join_all, &membership);
  return outcome.error == 0 ? int_value(env, membership.fd) : throw_outcome(env, outcome);
}

/* ---- The XDP program ---- */

struct attachment {
  int ifindex;
  uint32_t flags;
  uint32_t queues;
  int map;
  int link;
  /* Whether the program puts VLAN tags back. */
  bool tags;
};

static struct outcome attach(void *argument) {
  struct attachment *attachment = argument;
  struct outcome outcome = fine;
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.map_type = BPF_MAP_TYPE_XSKMAP;
  attributes.key_size = 4;
  attributes.value_size = 4;
  attributes.max_entries = attachment->queues;
  memcpy(attributes.map_name, "etherloom_xsks", sizeof "etherloom_xsks");
  int map = bpf(BPF_MAP_CREATE, &attributes);
  if (map < 0) {
    return failed("BPF_MAP_CREATE");
  }
  struct xdp_program program = best_program(map, attachment->ifindex, (attachment->flags & XDP_FLAGS_DRV_MODE) != 0);
  if (program.fd < 0) {
    outcome = failed("BPF_PROG_LOAD");
  } else {
    /* A link, so that the program goes when its last descriptor does, also by a crash. It is bound to a namespace's
     * device, which is looked up in that of the calling thread. */
    memset(&attributes, 0, sizeof attributes);
    attributes.link_create.prog_fd = (uint32_t)program.fd;
    attributes.link_create.target_ifindex = (uint32_t)attachment->ifindex;
    attributes.link_create.attach_type = BPF_XDP;
    attributes.link_create.flags = attachment->flags;
    attachment->link = bpf(BPF_LINK_CREATE, &attributes);
    if (attachment->link < 0) {
      outcome = failed("BPF_LINK_CREATE");
    }
    close(program.fd);
  }
  if (outcome.error != 0) {
    close(map);
  } else {
    attachment->map = map;
    attachment->tags = program.tags;
  }
  return outcome;
}

/*
 * attachXdp(control: number, ifindex: number, flags: number, queues: number): { map: number, link: number, tags: number }
 *
 * Attaches the redirect program with XDP_FLAGS_* `flags`, for the first `queues` receive queues. It is there until both
 * descriptors are closed. `tags` is 1 when it puts VLAN tags back that are beside the packet, else 0. Steps: BPF_MAP_CREATE, BPF_PROG_LOAD, BPF_LINK_CREATE, and those of entering the namespace.
 */
static napi_value attach_xdp_js(napi_env env, napi_callback_info info) {
  napi_value values[4], result;
  int32_t control;
  struct attachment attachment = {.map = -1, .link = -1};
  if (!arguments(env, info, 4, values) || napi_get_value_int32(env, values[0], &control) != napi_ok ||
      napi_get_value_int32(env, values[1], &attachment.ifindex) != napi_ok ||
      napi_get_value_uint32(env, values[2], &attachment.flags) != napi_ok ||
      napi_get_value_uint32(env, values[3], &attachment.queues) != napi_ok) {
    return throw_usage(env, "attachXdp takes a file descriptor and three numbers");
  }
  struct outcome outcome = in_netns_of(control, attach, &attachment);
  if (outcome.error != 0) {
    return throw_outcome(env, outcome);
  }
  if (napi_create_object(env, &result) != napi_ok || !set_int(env, result, "map", attachment.map) ||
      !set_int(env, result, "link", attachment.link) || !set_int(env, result, "tags", attachment.tags)) {
    close(attachment.map);
    close(attachment.link);
    return NULL;
  }
  return result;
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"openControl", NULL, open_control_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"rtnetlink", NULL, rtnetlink_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"ethtool", NULL, ethtool_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"joinAll", NULL, join_all_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"attachXdp", NULL, attach_xdp_js, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  if (napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions) != napi_ok) {
    return NULL;
  }
  return exports;
}
