/*
 * AF_PACKET sockets for Node: opening them, and bursts of frames between one and the packet arena (packet(7)).
 *
 * Node-API only, no state: a queue is its descriptor, which belongs to the caller. The functions of the data half throw
 * nothing, block nowhere and allocate nothing; they return counts, or -errno. All offsets and lengths are checked against
 * the memory given, so that a wrong number in a batch cannot reach beyond it: one comparison a frame.
 */
#define _GNU_SOURCE
#include "common.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <sys/uio.h>

/* One byte more than the longest super-packet of the datapath (MAX_SUPER_PACKET of packet/arena.ts): what is longer shows. */
#define READ_LIMIT 65664
/* struct virtio_net_hdr, which is in front of every frame (VNET_HEADER of packet/virtio-net.hot.ts). */
#define VNET_HEADER ((int)sizeof(struct virtio_net_hdr))
/* A burst of super-packets ends here: what was received is to be in the second-level cache still when it is sent on. */
#define BURST_BYTES (128 << 10)
/* Most frames that one call sends. */
#define BURST 64
#define ADDRESSES 12
#define TAG 4

/* Whether `length` elements from `offset` on lie inside an array of `size`. */
static bool inside(int64_t offset, int64_t length, size_t size) {
  return offset >= 0 && length >= 0 && (uint64_t)offset + (uint64_t)length <= size;
}

struct opening {
  int ifindex;
  int fd;
};

static struct outcome set_up(int fd, int ifindex) {
  const int on = 1, memory = 4 << 20;
  /* Some 270 small frames fit by default; without the privilege the system's limit has to do. */
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &memory, sizeof memory) != 0) {
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &memory, sizeof memory);
  }
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &memory, sizeof memory) != 0) {
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &memory, sizeof memory);
  }
  if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0) {
    return failed("PACKET_VNET_HDR");
  }
  if (setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) != 0) {
    return failed("PACKET_AUXDATA");
  }
  if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) != 0) {
    return failed("PACKET_IGNORE_OUTGOING");
  }
  struct sockaddr_ll address;
  memset(&address, 0, sizeof address);
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = ifindex;
  return bind(fd, (struct sockaddr *)&address, sizeof address) == 0 ? fine : failed("bind");
}

static struct outcome open_packet(void *argument) {
  struct opening *opening = argument;
  /* No protocol: nothing of other devices comes in before bind. */
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return failed("socket AF_PACKET");
  }
  struct outcome outcome = set_up(fd, opening->ifindex);
  if (outcome.error != 0) {
    close(fd);
  } else {
    opening->fd = fd;
  }
  return outcome;
}

/*
 * openPacket(control: number, ifindex: number): number
 *
 * A non-blocking packet socket on a device. Steps: socket AF_PACKET, PACKET_VNET_HDR, PACKET_AUXDATA,
 * PACKET_IGNORE_OUTGOING, bind, and those of entering the namespace.
 */
static napi_value open_packet_js(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int32_t control;
  struct opening opening = {.fd = -1};
  if (!arguments(env, info, 2, values) || napi_get_value_int32(env, values[0], &control) != napi_ok ||
      napi_get_value_int32(env, values[1], &opening.ifindex) != napi_ok) {
    return throw_usage(env, "openPacket takes a file descriptor and a number");
  }
  struct outcome outcome = in_netns_of(control, open_packet, &opening);
  return outcome.error == 0 ? int_value(env, opening.fd) : throw_outcome(env, outcome);
}

/* ---- Receiving ---- */

/* The outer VLAN tag, which the kernel takes out of the frame; whether there is one. */
static bool find_tag(struct msghdr *message, uint16_t *tag) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
    struct tpacket_auxdata aux;
    if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) {
      continue;
    }
    memcpy(&aux, CMSG_DATA(c), sizeof aux);
    if ((aux.tp_status & TP_STATUS_VLAN_VALID) == 0) {
      return false;
    }
    tag[0] = htons(aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : ETH_P_8021Q);
    tag[1] = htons(aux.tp_vlan_tci);
    return true;
  }
  return false;
}

/*
 * Puts a VLAN tag behind the addresses of the frame at `frame`, which then begins 4 bytes earlier, its virtio-net header
 * before that.
 */
static void insert_tag(uint8_t *frame, const uint16_t *tag) {
  struct virtio_net_hdr header;
  memcpy(&header, frame - VNET_HEADER, sizeof header);
  if (header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
    header.csum_start += TAG;
  }
  memmove(frame - TAG, frame, ADDRESSES);
  memcpy(frame - TAG + ADDRESSES, tag, TAG);
  memcpy(frame - TAG - VNET_HEADER, &header, sizeof header);
}

/*
 * rxBurst(fd, arena: Uint8Array, frames: Int32Array, lengths: Int32Array, count, room, larges: Int32Array, largeCount):
 *         number
 *
 * Receives up to `count` frames: frame i goes to `frames[i]` or 4 bytes behind that, whichever `frames[i]` then says, and
 * its length to `lengths[i]`; the virtio-net header goes in front of it. There are `room` bytes for it. Returns the number
 * of frames; -errno when it is none and the reason is not that nothing waits.
 *
 * The 4 bytes are for a VLAN tag that the kernel keeps beside the frame: it is put back behind the addresses.
 *
 * A frame that needs more than `room` goes to the next one of `larges` (READ_LIMIT bytes and 4 each), which then changes
 * places with `frames[i]`. READ_LIMIT as length means that the frame was longer than that. The burst ends when all of
 * `larges` are used up, or after BURST_BYTES; with no `larges` at all a frame that is too long is consumed, with a length
 * above `room`. Every frame is received where the longest has room, and copied to its small frame when it fits: 5 ns for 64
 * bytes, 30 for 1,514.
 */
static napi_value rx_burst_js(napi_env env, napi_callback_info info) {
  napi_value values[8];
  int32_t fd, count, room, large_count;
  void *arena_data, *frames_data, *lengths_data, *larges_data;
  size_t arena_size, frames_count, lengths_count, larges_count;
  if (!arguments(env, info, 8, values) || napi_get_value_int32(env, values[0], &fd) != napi_ok ||
      !typed_array(env, values[1], napi_uint8_array, &arena_data, &arena_size) ||
      !typed_array(env, values[2], napi_int32_array, &frames_data, &frames_count) ||
      !typed_array(env, values[3], napi_int32_array, &lengths_data, &lengths_count) ||
      napi_get_value_int32(env, values[4], &count) != napi_ok ||
      napi_get_value_int32(env, values[5], &room) != napi_ok ||
      !typed_array(env, values[6], napi_int32_array, &larges_data, &larges_count) ||
      napi_get_value_int32(env, values[7], &large_count) != napi_ok || !inside(0, count, frames_count) ||
      !inside(0, count, lengths_count) || !inside(0, large_count, larges_count) || room <= TAG || room >= READ_LIMIT) {
    return int_value(env, -EINVAL);
  }
  uint8_t *arena = arena_data;
  int32_t *frames = frames_data, *lengths = lengths_data, *larges = larges_data;
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
  uint8_t overflow[TAG + 1];
  int32_t got = 0, used = 0, bytes = 0;
  int error = 0;
  while (got < count && bytes < BURST_BYTES && (used < large_count || large_count == 0)) {
    const int32_t first = large_count > 0 ? larges[used] : frames[got];
    const int32_t space = large_count > 0 ? READ_LIMIT : room - TAG;
    if (!inside((int64_t)frames[got] - VNET_HEADER, VNET_HEADER + room, arena_size) ||
        !inside((int64_t)first - VNET_HEADER, VNET_HEADER + TAG + space, arena_size)) {
      error = EFAULT;
      break;
    }
    uint8_t *frame = arena + first + TAG;
    struct iovec parts[2] = {{frame - VNET_HEADER, (size_t)(VNET_HEADER + space)}, {overflow, sizeof overflow}};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = parts;
    message.msg_iovlen = large_count > 0 ? 1 : 2;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t n = recvmsg(fd, &message, 0);
    if (n < 0) {
      if (errno == EINTR) {
        continue;
      }
      error = errno != EAGAIN ? errno : 0;
      break;
    }
    int32_t length = n < VNET_HEADER ? 0 : (int32_t)n - VNET_HEADER, at = TAG;
    uint16_t tag[2];
    if (length >= ADDRESSES && length <= space && find_tag(&message, tag)) {
      insert_tag(frame, tag);
      length += TAG;
      at = 0;
    }
    int32_t small = frames[got];
    frames[got] = first + at;
    if (large_count > 0) {
      if (at + length > room) {
        larges[used++] = small;
      } else {
        memcpy(arena + small + at - VNET_HEADER, arena + first + at - VNET_HEADER, (size_t)(VNET_HEADER + length));
        frames[got] = small + at;
      }
    } else if (at + length > room) {
      length = room + 1;
    }
    lengths[got++] = length;
    bytes += length;
  }
  return int_value(env, got > 0 ? got : -error);
}

/*
 * rxDiscard(fd, count): number
 *
 * Takes up to `count` frames out of the socket and throws them away; returns how many there were.
 */
static napi_value rx_discard_js(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int32_t fd, count;
  if (!arguments(env, info, 2, values) || napi_get_value_int32(env, values[0], &fd) != napi_ok ||
      napi_get_value_int32(env, values[1], &count) != napi_ok) {
    return int_value(env, -EINVAL);
  }
  struct virtio_net_hdr header;
  int32_t got = 0;
  while (got < count) {
    if (recv(fd, &header, sizeof header, 0) >= 0) {
      got++;
    } else if (errno != EINTR) {
      break;
    }
  }
  return int_value(env, got);
}

/*
 * statistics(fd, counts: Float64Array): number
 *
 * Packets that came and packets that found the socket's memory full, since the last call. 0, or -errno.
 */
static napi_value statistics_js(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int32_t fd;
  void *counts;
  size_t count;
  struct tpacket_stats stats;
  socklen_t length = sizeof stats;
  if (!arguments(env, info, 2, values) || napi_get_value_int32(env, values[0], &fd) != napi_ok ||
      !typed_array(env, values[1], napi_float64_array, &counts, &count) || count < 2) {
    return int_value(env, -EINVAL);
  }
  if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &length) != 0) {
    return int_value(env, -errno);
  }
  ((double *)counts)[0] = stats.tp_packets;
  ((double *)counts)[1] = stats.tp_drops;
  return int_value(env, 0);
}

/* ---- Sending ---- */

/*
 * txBurst(fd, arena: Uint8Array, frames: Int32Array, lengths: Int32Array, start, count, errors: Int32Array): number
 *
 * Sends `count` frames (at most 64) from `frames[start]` on, with the virtio-net header that is in front of each, and
 * returns how many the device took. `errors[i]` is 0 or the errno of frame `start + i`; a refused one does not hold up the
 * others, unless the device is full (ENOBUFS, EAGAIN): then that is the reason for the rest too.
 */
static napi_value tx_burst_js(napi_env env, napi_callback_info info) {
  napi_value values[7];
  int32_t fd, start, count;
  void *arena_data, *frames_data, *lengths_data, *errors_data;
  size_t arena_size, frames_count, lengths_count, errors_count;
  if (!arguments(env, info, 7, values) || napi_get_value_int32(env, values[0], &fd) != napi_ok ||
      !typed_array(env, values[1], napi_uint8_array, &arena_data, &arena_size) ||
      !typed_array(env, values[2], napi_int32_array, &frames_data, &frames_count) ||
      !typed_array(env, values[3], napi_int32_array, &lengths_data, &lengths_count) ||
      napi_get_value_int32(env, values[4], &start) != napi_ok ||
      napi_get_value_int32(env, values[5], &count) != napi_ok ||
      !typed_array(env, values[6], napi_int32_array, &errors_data, &errors_count) || count > BURST ||
      !inside(start, count, frames_count) || !inside(start, count, lengths_count) || !inside(0, count, errors_count)) {
    return int_value(env, -EINVAL);
  }
  uint8_t *arena = arena_data;
  const int32_t *frames = (const int32_t *)frames_data + start;
  const int32_t *lengths = (const int32_t *)lengths_data + start;
  int32_t *errors = errors_data;
  struct mmsghdr messages[BURST];
  struct iovec parts[BURST];
  int32_t order[BURST], ready = 0, sent = 0;
  memset(messages, 0, sizeof messages[0] * (size_t)count);
  for (int32_t i = 0; i < count; i++) {
    if (lengths[i] < 0 || !inside((int64_t)frames[i] - VNET_HEADER, (int64_t)lengths[i] + VNET_HEADER, arena_size)) {
      errors[i] = EFAULT;
      continue;
    }
    errors[i] = 0;
    parts[ready] = (struct iovec){arena + frames[i] - VNET_HEADER, (size_t)(lengths[i] + VNET_HEADER)};
    messages[ready].msg_hdr.msg_iov = &parts[ready];
    messages[ready].msg_hdr.msg_iovlen = 1;
    order[ready++] = i;
  }
  bool again = true;
  for (int32_t at = 0; at < ready;) {
    int n = sendmmsg(fd, messages + at, (unsigned)(ready - at), MSG_DONTWAIT);
    if (n > 0) {
      at += n;
      sent += n;
    } else if (errno == ENETDOWN && again) {
      /* The socket remembers that the device was down, once; whether it is still shows the second time. */
      again = false;
    } else if (errno == EAGAIN || errno == ENOBUFS) {
      for (; at < ready; at++) errors[order[at]] = ENOBUFS;
    } else if (errno != EINTR) {
      errors[order[at++]] = errno;
    }
  }
  return int_value(env, sent);
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"openPacket", NULL, open_packet_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"rxBurst", NULL, rx_burst_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"rxDiscard", NULL, rx_discard_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"statistics", NULL, statistics_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"txBurst", NULL, tx_burst_js, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  if (napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions) != napi_ok) {
    return NULL;
  }
  return exports;
}
