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

/* One byte more than the longest packet of the datapath (MAX_PACKET in packet/arena.ts): what is longer shows. */
#define READ_LIMIT 65536
/* Most frames that one call sends. */
#define BURST 64
#define ADDRESSES 12
#define TAG 4

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

/* OFFLOAD_* of packet/batch.hot.ts. */
enum { CSUM_PARTIAL = 1, CSUM_VALID = 2, GSO_TCP4 = 4, GSO_TCP6 = 8, GSO_UDP = 16, GSO_ECN = 32 };
#define GSO (GSO_TCP4 | GSO_TCP6 | GSO_UDP)
/* Metadata of a frame, as 32-bit words. UNKNOWN in the first: a kind of super-packet that the datapath does not have. */
enum { OFFLOAD, CSUM_START, CSUM_OFFSET, GSO_SIZE, GSO_HEADER, META_WORDS };
#define UNKNOWN (-1)

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

/* What the virtio-net header says, for a frame whose first byte is `frame`. */
static void describe(const struct virtio_net_hdr *header, const uint8_t *frame, int32_t length, int32_t tag, int32_t *meta) {
  memset(meta, 0, META_WORDS * sizeof *meta);
  if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
    meta[OFFLOAD] = CSUM_PARTIAL;
    meta[CSUM_START] = header->csum_start + tag;
    meta[CSUM_OFFSET] = header->csum_offset;
  } else if (header->flags & VIRTIO_NET_HDR_F_DATA_VALID) {
    meta[OFFLOAD] = CSUM_VALID;
  }
  if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
    return;
  }
  int32_t header_end = meta[CSUM_START];
  switch (header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_TCPV4:
      meta[OFFLOAD] |= GSO_TCP4;
      break;
    case VIRTIO_NET_HDR_GSO_TCPV6:
      meta[OFFLOAD] |= GSO_TCP6;
      break;
    case VIRTIO_NET_HDR_GSO_UDP_L4:
      meta[OFFLOAD] |= GSO_UDP;
      break;
    default:
      meta[OFFLOAD] = UNKNOWN;
      return;
  }
  /* The kernel's own header length is a hint that may say more than the headers, so we look. */
  if ((meta[OFFLOAD] & CSUM_PARTIAL) == 0 || header_end + 20 > length) {
    meta[OFFLOAD] = UNKNOWN;
    return;
  }
  header_end += meta[OFFLOAD] & GSO_UDP ? 8 : (frame[header_end + 12] >> 4) * 4;
  if (header->gso_type & VIRTIO_NET_HDR_GSO_ECN) {
    meta[OFFLOAD] |= GSO_ECN;
  }
  meta[GSO_SIZE] = header->gso_size;
  meta[GSO_HEADER] = header_end;
}

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
 * rxBurst(fd, arena: Uint8Array, frames: Int32Array, lengths: Int32Array, meta: Int32Array, count, room, spill): number
 *
 * Receives up to `count` frames: frame i goes to `frames[i]`, which has `room` bytes and 4 more in front, its length to
 * `lengths[i]`, its five words of metadata to `meta[5 * i]`. Returns the number of frames; -errno when it is none and the
 * reason is not that nothing waits.
 *
 * A VLAN tag that the kernel keeps beside the frame is put back in front of the type: the frame then begins 4 bytes
 * earlier, and `frames[i]` says so.
 *
 * What does not fit `room` goes on in the rest of a large frame, `spill` (READ_LIMIT bytes): its bytes from `room` on. The
 * head (1.8 KB, 50 ns) is copied in front of it, and the burst ends there, since the large frame is in use now: `lengths[i]`
 * is the negative of its length, and `frames[i]` where in the large frame it begins. With `spill` -1 the frame is lost,
 * which the negative length says as well.
 */
static napi_value rx_burst_js(napi_env env, napi_callback_info info) {
  napi_value values[8];
  int32_t fd, count, room, spill;
  void *arena_data, *frames_data, *lengths_data, *meta_data;
  size_t arena_size, frames_count, lengths_count, meta_count;
  if (!arguments(env, info, 8, values) || napi_get_value_int32(env, values[0], &fd) != napi_ok ||
      !typed_array(env, values[1], napi_uint8_array, &arena_data, &arena_size) ||
      !typed_array(env, values[2], napi_int32_array, &frames_data, &frames_count) ||
      !typed_array(env, values[3], napi_int32_array, &lengths_data, &lengths_count) ||
      !typed_array(env, values[4], napi_int32_array, &meta_data, &meta_count) ||
      napi_get_value_int32(env, values[5], &count) != napi_ok ||
      napi_get_value_int32(env, values[6], &room) != napi_ok ||
      napi_get_value_int32(env, values[7], &spill) != napi_ok || !inside(0, count, frames_count) ||
      !inside(0, count, lengths_count) || !inside(0, (int64_t)count * META_WORDS, meta_count) || room < 1 ||
      room >= READ_LIMIT || (spill >= 0 && (spill < TAG || !inside(spill, READ_LIMIT, arena_size)))) {
    return int_value(env, -EINVAL);
  }
  uint8_t *arena = arena_data;
  int32_t *frames = frames_data, *lengths = lengths_data, *meta = meta_data;
  uint8_t overflow;
  struct virtio_net_hdr header;
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
  struct iovec parts[3] = {{&header, sizeof header}, {NULL, (size_t)room}, {&overflow, 1}};
  if (spill >= 0) {
    parts[2].iov_base = arena + spill + room;
    parts[2].iov_len = (size_t)(READ_LIMIT - room);
  }
  int32_t got = 0;
  int error = 0;
  while (got < count) {
    if (frames[got] < TAG || !inside(frames[got], room, arena_size)) {
      error = EFAULT;
      break;
    }
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = parts;
    message.msg_iovlen = 3;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    parts[1].iov_base = arena + frames[got];
    ssize_t n = recvmsg(fd, &message, 0);
    if (n < 0) {
      if (errno == EINTR) {
        continue;
      }
      error = errno != EAGAIN ? errno : 0;
      break;
    }
    int32_t length = (int32_t)n - (int32_t)sizeof header;
    if (length < 0) {
      continue;
    }
    bool spilled = length > room;
    if (spilled && spill >= 0) {
      memcpy(arena + spill, arena + frames[got], (size_t)room);
      frames[got] = spill;
    }
    uint16_t tag[2];
    int32_t added = 0;
    if (length >= ADDRESSES && (!spilled || spill >= 0) && find_tag(&message, tag)) {
      uint8_t *frame = arena + frames[got] - TAG;
      memmove(frame, frame + TAG, ADDRESSES);
      memcpy(frame + ADDRESSES, tag, TAG);
      frames[got] -= TAG;
      added = TAG;
    }
    lengths[got] = spilled ? -(length + added) : length + added;
    describe(&header, arena + frames[got], spilled && spill < 0 ? 0 : length + added, added, meta + got * META_WORDS);
    got++;
    if (spilled) {
      break;
    }
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

/* The virtio-net header for a frame; false when the numbers make no sense. */
static bool prepare(const int32_t *meta, int32_t length, struct virtio_net_hdr *header) {
  memset(header, 0, sizeof *header);
  int32_t offload = meta[OFFLOAD];
  if (offload & CSUM_PARTIAL) {
    if (!inside(meta[CSUM_START], 0, (size_t)length) ||
        !inside((int64_t)meta[CSUM_START] + meta[CSUM_OFFSET], 2, (size_t)length) || meta[CSUM_OFFSET] < 0) {
      return false;
    }
    header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    header->csum_start = (uint16_t)meta[CSUM_START];
    header->csum_offset = (uint16_t)meta[CSUM_OFFSET];
  }
  if (offload & GSO) {
    if (meta[GSO_SIZE] < 1 || meta[GSO_SIZE] > 65535 || !inside(0, meta[GSO_HEADER], (size_t)length)) {
      return false;
    }
    header->gso_type = offload & GSO_TCP4   ? VIRTIO_NET_HDR_GSO_TCPV4
                       : offload & GSO_TCP6 ? VIRTIO_NET_HDR_GSO_TCPV6
                                            : VIRTIO_NET_HDR_GSO_UDP_L4;
    if (offload & GSO_ECN) {
      header->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
    }
    header->gso_size = (uint16_t)meta[GSO_SIZE];
    header->hdr_len = (uint16_t)meta[GSO_HEADER];
  }
  return true;
}

/*
 * txBurst(fd, arena: Uint8Array, frames: Int32Array, lengths: Int32Array, meta: Int32Array, count, errors: Int32Array):
 *   number
 *
 * Sends `count` frames (at most 64) with their metadata and returns how many the device took. `errors[i]` is 0 or the errno
 * of frame i; a refused one does not hold up the others, unless the device is full (ENOBUFS, EAGAIN): then it is the
 * reason for the rest too.
 */
static napi_value tx_burst_js(napi_env env, napi_callback_info info) {
  napi_value values[7];
  int32_t fd, count;
  void *arena_data, *frames_data, *lengths_data, *meta_data, *errors_data;
  size_t arena_size, frames_count, lengths_count, meta_count, errors_count;
  if (!arguments(env, info, 7, values) || napi_get_value_int32(env, values[0], &fd) != napi_ok ||
      !typed_array(env, values[1], napi_uint8_array, &arena_data, &arena_size) ||
      !typed_array(env, values[2], napi_int32_array, &frames_data, &frames_count) ||
      !typed_array(env, values[3], napi_int32_array, &lengths_data, &lengths_count) ||
      !typed_array(env, values[4], napi_int32_array, &meta_data, &meta_count) ||
      napi_get_value_int32(env, values[5], &count) != napi_ok ||
      !typed_array(env, values[6], napi_int32_array, &errors_data, &errors_count) || count > BURST ||
      !inside(0, count, frames_count) || !inside(0, count, lengths_count) || !inside(0, count, errors_count) ||
      !inside(0, (int64_t)count * META_WORDS, meta_count)) {
    return int_value(env, -EINVAL);
  }
  uint8_t *arena = arena_data;
  const int32_t *frames = frames_data, *lengths = lengths_data, *meta = meta_data;
  int32_t *errors = errors_data;
  struct mmsghdr messages[BURST];
  struct iovec parts[BURST][2];
  struct virtio_net_hdr headers[BURST];
  int32_t order[BURST], ready = 0, sent = 0;
  memset(messages, 0, sizeof messages[0] * (size_t)count);
  for (int32_t i = 0; i < count; i++) {
    errors[i] = 0;
    if (!inside(frames[i], lengths[i], arena_size)) {
      errors[i] = EFAULT;
    } else if (!prepare(meta + i * META_WORDS, lengths[i], &headers[ready])) {
      errors[i] = EINVAL;
    } else {
      parts[ready][0] = (struct iovec){&headers[ready], sizeof headers[ready]};
      parts[ready][1] = (struct iovec){arena + frames[i], (size_t)lengths[i]};
      messages[ready].msg_hdr.msg_iov = parts[ready];
      messages[ready].msg_hdr.msg_iovlen = 2;
      order[ready++] = i;
    }
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
