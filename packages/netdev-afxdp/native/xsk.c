/*
 * AF_XDP sockets for Node: opening them over a packet arena, their rings as memory, and the few system calls of the data
 * half (linux/if_xdp.h).
 *
 * Node-API only; any thread may load the module. The one thing shared between threads is the list of open sockets, since
 * a UMEM (the registration of an arena with the kernel) is made once and shared by all sockets over the same memory.
 * The functions of the data half throw nothing, block nowhere and allocate nothing; they return -errno.
 */
#define _GNU_SOURCE
#include "common.h"

#include <linux/bpf.h>
#include <linux/if_xdp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif

enum { RX, TX, FILL, COMPLETION, RINGS };

struct xsk {
  struct xsk *next;
  int fd;
  bool open;
  /* The rings' memory, until the ArrayBuffer over it is collected. */
  void *region;
  size_t region_size;
  /* What makes a UMEM shareable: the memory, and how the first socket was bound. */
  const void *base;
  size_t size;
  uint32_t flags;
  uint32_t metadata;
  int ifindex;
  uint32_t queue;
  /* Keeps the arena alive while the kernel may write to it. */
  napi_ref arena;
  /* The two JavaScript objects that refer to this, each with a finalizer. */
  int owners;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct xsk *sockets;

static void unlist(struct xsk *xsk) {
  pthread_mutex_lock(&lock);
  for (struct xsk **at = &sockets; *at != NULL; at = &(*at)->next) {
    if (*at == xsk) {
      *at = xsk->next;
      break;
    }
  }
  pthread_mutex_unlock(&lock);
}

/*
 * Puts ordinary memory in place of the rings: JavaScript may still hold views of them. A ring that stays mapped would
 * keep the socket open behind its descriptor's back.
 */
static void drop_rings(struct xsk *xsk) {
  if (xsk->region != NULL) {
    mmap(xsk->region, xsk->region_size, PROT_READ | PROT_WRITE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  }
}

/* Close returns when the kernel touches the arena no more (it waits for a grace period: 5 to 30 ms). */
static void close_xsk(napi_env env, struct xsk *xsk) {
  if (!xsk->open) {
    return;
  }
  xsk->open = false;
  unlist(xsk);
  drop_rings(xsk);
  close(xsk->fd);
  xsk->fd = -1;
  if (xsk->arena != NULL) {
    napi_delete_reference(env, xsk->arena);
    xsk->arena = NULL;
  }
}

static void disown(struct xsk *xsk) {
  if (--xsk->owners == 0) {
    free(xsk);
  }
}

/* A thread that ends without closing its queues must not leave them behind. */
static void finalize_handle(napi_env env, void *data, void *hint) {
  (void)hint;
  close_xsk(env, data);
  disown(data);
}

static void finalize_rings(napi_env env, void *data, void *hint) {
  (void)env;
  (void)data;
  struct xsk *xsk = hint;
  void *region = xsk->region;
  xsk->region = NULL;
  munmap(region, xsk->region_size);
  disown(xsk);
}

static struct outcome make_socket(void *argument) {
  int *fd = argument;
  *fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  return *fd < 0 ? failed("socket AF_XDP") : fine;
}

static struct outcome set_ring(int fd, int option, uint32_t entries, const char *step) {
  return setsockopt(fd, SOL_XDP, option, &entries, sizeof entries) == 0 ? fine : failed(step);
}

static struct outcome set_rings(int fd, const uint32_t *entries) {
  struct outcome outcome = set_ring(fd, XDP_RX_RING, entries[RX], "XDP_RX_RING");
  if (outcome.error == 0) outcome = set_ring(fd, XDP_TX_RING, entries[TX], "XDP_TX_RING");
  if (outcome.error == 0) outcome = set_ring(fd, XDP_UMEM_FILL_RING, entries[FILL], "XDP_UMEM_FILL_RING");
  if (outcome.error == 0)
    outcome = set_ring(fd, XDP_UMEM_COMPLETION_RING, entries[COMPLETION], "XDP_UMEM_COMPLETION_RING");
  return outcome;
}

/* Words of `layout` per ring, all in 32-bit words from the start of the rings' memory. */
enum { PRODUCER, CONSUMER, FLAGS, ENTRIES, RING_WORDS };

/* Maps the four rings one behind the other and writes where things are to `layout`. */
static struct outcome map_rings(struct xsk *xsk, const uint32_t *entries, int32_t *layout) {
  static const off_t pages[RINGS] = {XDP_PGOFF_RX_RING, XDP_PGOFF_TX_RING, (off_t)XDP_UMEM_PGOFF_FILL_RING,
                                     (off_t)XDP_UMEM_PGOFF_COMPLETION_RING};
  struct xdp_mmap_offsets offsets;
  socklen_t length = sizeof offsets;
  memset(&offsets, 0, sizeof offsets);
  if (getsockopt(xsk->fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length) != 0) {
    return failed("XDP_MMAP_OFFSETS");
  }
  if (length != sizeof offsets) {
    /* Linux before 5.4 has no flags word. */
    return (struct outcome){EOPNOTSUPP, "XDP_MMAP_OFFSETS"};
  }
  const struct xdp_ring_offset *rings[RINGS] = {&offsets.rx, &offsets.tx, &offsets.fr, &offsets.cr};
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t sizes[RINGS], total = 0;
  for (int i = 0; i < RINGS; i++) {
    size_t entry = i == RX || i == TX ? sizeof(struct xdp_desc) : sizeof(uint64_t);
    sizes[i] = (rings[i]->desc + entries[i] * entry + page - 1) / page * page;
    total += sizes[i];
  }
  void *region = mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (region == MAP_FAILED) {
    return failed("mmap");
  }
  xsk->region = region;
  xsk->region_size = total;
  size_t at = 0;
  for (int i = 0; i < RINGS; i++) {
    if (mmap((char *)region + at, sizes[i], PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE | MAP_FIXED, xsk->fd,
             pages[i]) == MAP_FAILED) {
      return failed("mmap of a ring");
    }
    layout[i * RING_WORDS + PRODUCER] = (int32_t)((at + rings[i]->producer) / 4);
    layout[i * RING_WORDS + CONSUMER] = (int32_t)((at + rings[i]->consumer) / 4);
    layout[i * RING_WORDS + FLAGS] = (int32_t)((at + rings[i]->flags) / 4);
    layout[i * RING_WORDS + ENTRIES] = (int32_t)((at + rings[i]->desc) / 4);
    at += sizes[i];
  }
  return fine;
}

static bool same_umem(const struct xsk *one, const struct xsk *other) {
  return one->base == other->base && one->size == other->size && one->flags == other->flags;
}

/* struct xdp_umem_reg of Linux 6.8, which the headers may be older than; older kernels take a longer one than theirs, too. */
struct umem {
  uint64_t address, size;
  uint32_t chunk_size, headroom, flags, metadata;
};
/* XDP_UMEM_TX_METADATA_LEN; Linux 6.11 and stable ones before. Without the flag newer kernels ignore the length. */
#define UMEM_METADATA (1u << 2)

/* Registers the memory, with room for metadata in front of packets to send unless the kernel knows none. */
static struct outcome register_umem(struct xsk *xsk, uint32_t chunk) {
  struct umem umem = {.address = (uint64_t)(uintptr_t)xsk->base, .size = xsk->size, .chunk_size = chunk};
  if (xsk->metadata != 0) {
    umem.flags = UMEM_METADATA;
    umem.metadata = xsk->metadata;
    if (setsockopt(xsk->fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof umem) == 0) return fine;
    if (errno != EINVAL) return failed("XDP_UMEM_REG");
    umem.flags = umem.metadata = xsk->metadata = 0;
  }
  return setsockopt(xsk->fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof umem) == 0 ? fine : failed("XDP_UMEM_REG");
}

/* Binds with the UMEM of another socket; EBADF means that there is none to share (of a device that still exists). */
static int bind_shared(struct xsk *xsk, struct sockaddr_xdp *address) {
  const uint16_t flags = address->sxdp_flags;
  address->sxdp_flags = XDP_SHARED_UMEM;
  int error = EBADF;
  for (struct xsk *other = sockets; other != NULL && error == EBADF; other = other->next) {
    if (same_umem(xsk, other)) {
      address->sxdp_shared_umem_fd = (uint32_t)other->fd;
      error = bind(xsk->fd, (struct sockaddr *)address, sizeof *address) == 0 ? 0 : errno;
      /* The kernel takes a second socket on the very queue for one that shares its rings, and complains of ours. */
      if (error == EINVAL && other->ifindex == xsk->ifindex && other->queue == xsk->queue) {
        error = EBUSY;
      }
      if (error == 0) {
        xsk->metadata = other->metadata;
      }
    }
  }
  address->sxdp_flags = flags;
  address->sxdp_shared_umem_fd = 0;
  return error;
}

/*
 * Gives the socket its UMEM and binds it. The kernel wants one of two ways: a UMEM of its own, with flags that say how
 * to bind, or somebody else's, and then the mode too is that of the other. Sockets bound with other flags therefore get
 * a UMEM of their own over the same memory: frames go from one to the other all the same, since both name them by the
 * same addresses. Addresses are offsets from the start of the memory, as everywhere in the arena.
 */
static struct outcome join(struct xsk *xsk, uint32_t chunk) {
  struct sockaddr_xdp address;
  struct outcome outcome = fine;
  memset(&address, 0, sizeof address);
  address.sxdp_family = AF_XDP;
  address.sxdp_flags = (uint16_t)xsk->flags;
  address.sxdp_ifindex = (uint32_t)xsk->ifindex;
  address.sxdp_queue_id = xsk->queue;
  pthread_mutex_lock(&lock);
  int error = bind_shared(xsk, &address);
  if (error == EBADF) {
    outcome = register_umem(xsk, chunk);
    if (outcome.error == 0 && bind(xsk->fd, (struct sockaddr *)&address, sizeof address) != 0) {
      outcome = failed("bind");
    }
  } else if (error != 0) {
    outcome = (struct outcome){error, "bind"};
  }
  if (outcome.error == 0) {
    xsk->next = sockets;
    sockets = xsk;
    xsk->open = true;
  }
  pthread_mutex_unlock(&lock);
  return outcome;
}

struct request {
  int32_t control;
  uint32_t chunk;
  void *arena, *entries, *layout;
  size_t arena_size, entries_count, layout_count;
};

static struct outcome open_xsk(const struct request *request, struct xsk *xsk) {
  struct outcome outcome = in_netns_of(request->control, make_socket, &xsk->fd);
  if (outcome.error != 0) {
    return outcome;
  }
  /* How much may be on its way in the kernel before sending says EAGAIN: 200 KiB by default, some 280 small frames. */
  const int memory = 4 << 20;
  if (setsockopt(xsk->fd, SOL_SOCKET, SO_SNDBUFFORCE, &memory, sizeof memory) != 0) {
    (void)setsockopt(xsk->fd, SOL_SOCKET, SO_SNDBUF, &memory, sizeof memory);
  }
  outcome = set_rings(xsk->fd, request->entries);
  if (outcome.error == 0) outcome = map_rings(xsk, request->entries, request->layout);
  if (outcome.error == 0) outcome = join(xsk, request->chunk);
  return outcome;
}

/* Takes back what a failed open left; the JavaScript objects do not exist yet. */
static void abandon(napi_env env, struct xsk *xsk) {
  if (xsk->open) {
    close_xsk(env, xsk);
  }
  if (xsk->region != NULL) {
    munmap(xsk->region, xsk->region_size);
  }
  if (xsk->fd >= 0) {
    close(xsk->fd);
  }
  free(xsk);
}

/*
 * openXsk(control: number, ifindex: number, queue: number, flags: number, arena: Uint8Array, chunk: number,
 *         metadata: number, entries: Uint32Array, layout: Int32Array):
 *         { fd: number, handle: object, rings: ArrayBuffer, metadata: number }
 *
 * Binds a socket to a queue with XDP_* `flags`, over `arena` (page-aligned) cut into chunks of that size. With
 * `metadata`, as many bytes in front of a packet to send are for the kernel (below 256, a multiple of 8); 1 comes back as
 * `metadata` when it reads them, else no packet needs that room. `entries` gives
 * the sizes of the rings rx, tx, fill and completion, powers of two; `layout` receives for each where in `rings` the
 * words producer, consumer and flags and the entries are, in 32-bit words. `handle` is what closeXsk takes.
 * Steps: socket AF_XDP, XDP_RX_RING, XDP_TX_RING, XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_MMAP_OFFSETS, mmap,
 * mmap of a ring, XDP_UMEM_REG, bind.
 */
static napi_value open_xsk_js(napi_env env, napi_callback_info info) {
  napi_value values[9], result, handle, rings;
  struct request request;
  int32_t ifindex;
  uint32_t queue, flags, metadata;
  if (!arguments(env, info, 9, values) || napi_get_value_int32(env, values[0], &request.control) != napi_ok ||
      napi_get_value_int32(env, values[1], &ifindex) != napi_ok ||
      napi_get_value_uint32(env, values[2], &queue) != napi_ok ||
      napi_get_value_uint32(env, values[3], &flags) != napi_ok ||
      !typed_array(env, values[4], napi_uint8_array, &request.arena, &request.arena_size) ||
      napi_get_value_uint32(env, values[5], &request.chunk) != napi_ok ||
      napi_get_value_uint32(env, values[6], &metadata) != napi_ok ||
      !typed_array(env, values[7], napi_uint32_array, &request.entries, &request.entries_count) ||
      !typed_array(env, values[8], napi_int32_array, &request.layout, &request.layout_count) ||
      request.entries_count != RINGS || request.layout_count != (size_t)RINGS * RING_WORDS) {
    return throw_usage(env, "openXsk takes four numbers, the arena, two numbers, 4 sizes and room for 16 offsets");
  }
  struct xsk *xsk = calloc(1, sizeof *xsk);
  if (xsk == NULL) {
    return throw_outcome(env, (struct outcome){ENOMEM, "malloc"});
  }
  xsk->fd = -1;
  xsk->base = request.arena;
  xsk->size = request.arena_size;
  xsk->flags = flags;
  xsk->metadata = metadata;
  xsk->ifindex = ifindex;
  xsk->queue = queue;
  struct outcome outcome = open_xsk(&request, xsk);
  if (outcome.error != 0) {
    abandon(env, xsk);
    return throw_outcome(env, outcome);
  }
  if (napi_create_reference(env, values[4], 1, &xsk->arena) != napi_ok ||
      napi_create_external_arraybuffer(env, xsk->region, xsk->region_size, finalize_rings, xsk, &rings) != napi_ok) {
    abandon(env, xsk);
    return throw_usage(env, "this program's Node-API does not allow external memory");
  }
  xsk->owners = 1;
  if (napi_create_external(env, xsk, finalize_handle, NULL, &handle) != napi_ok) {
    close_xsk(env, xsk);
    return NULL;
  }
  xsk->owners = 2;
  if (napi_create_object(env, &result) != napi_ok || !set_int(env, result, "fd", xsk->fd) ||
      napi_set_named_property(env, result, "handle", handle) != napi_ok ||
      napi_set_named_property(env, result, "rings", rings) != napi_ok ||
      !set_int(env, result, "metadata", xsk->metadata != 0)) {
    return NULL;
  }
  return result;
}

/*
 * closeXsk(handle: object): void
 *
 * Afterwards the kernel neither reads nor writes the arena for this socket, and `rings` is memory without meaning.
 * Idempotent.
 */
static napi_value close_xsk_js(napi_env env, napi_callback_info info) {
  napi_value value;
  void *xsk;
  if (!arguments(env, info, 1, &value) || napi_get_value_external(env, value, &xsk) != napi_ok) {
    return throw_usage(env, "closeXsk takes the handle of openXsk");
  }
  close_xsk(env, xsk);
  return NULL;
}

/*
 * receiveFrom(map: number, queue: number, fd: number): number
 *
 * Puts a socket into its slot of the XDP program's map: from now on it receives. 0, or -errno.
 */
static napi_value receive_from_js(napi_env env, napi_callback_info info) {
  napi_value values[3];
  int32_t map;
  uint32_t queue, fd;
  union bpf_attr attributes;
  if (!arguments(env, info, 3, values) || napi_get_value_int32(env, values[0], &map) != napi_ok ||
      napi_get_value_uint32(env, values[1], &queue) != napi_ok ||
      napi_get_value_uint32(env, values[2], &fd) != napi_ok) {
    return int_value(env, -EINVAL);
  }
  memset(&attributes, 0, sizeof attributes);
  attributes.map_fd = (uint32_t)map;
  attributes.key = (uint64_t)(uintptr_t)&queue;
  attributes.value = (uint64_t)(uintptr_t)&fd;
  return int_value(env, syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attributes, sizeof attributes) == 0 ? 0 : -errno);
}

/*
 * kick(fd: number, frames: number): number
 *
 * Makes the kernel send `frames` frames of the transmit ring. In copy mode one sendto(2) takes 32 and says EAGAIN when
 * there are more; it also ends at a frame that the device refuses (EBUSY: sent it is not, but done). Returns how many were
 * refused, or -errno; with EAGAIN some stay in the ring.
 */
static napi_value kick_js(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int32_t fd, frames;
  if (!arguments(env, info, 2, values) || napi_get_value_int32(env, values[0], &fd) != napi_ok ||
      napi_get_value_int32(env, values[1], &frames) != napi_ok) {
    return int_value(env, -EINVAL);
  }
  int32_t refused = 0;
  for (int32_t calls = frames / 32 + 1; calls > 0 && refused < frames; calls--) {
    if (sendto(fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0) {
      return int_value(env, refused);
    }
    if (errno == EBUSY) {
      refused++;
      calls++;
    } else if (errno != EAGAIN && errno != EINTR) {
      break;
    }
  }
  return int_value(env, refused > 0 ? refused : -errno);
}

/* wake(fd: number): number. Makes a driver that asked for it look at the fill ring. 0, or -errno. */
static napi_value wake_js(napi_env env, napi_callback_info info) {
  napi_value value;
  int32_t fd;
  if (!arguments(env, info, 1, &value) || napi_get_value_int32(env, value, &fd) != napi_ok) {
    return int_value(env, -EINVAL);
  }
  return int_value(env, recvfrom(fd, NULL, 0, MSG_DONTWAIT, NULL, NULL) < 0 ? -errno : 0);
}

/*
 * statistics(fd: number, counts: Float64Array): number
 *
 * The six counters of struct xdp_statistics in their order: rx_dropped, rx_invalid_descs, tx_invalid_descs, rx_ring_full,
 * rx_fill_ring_empty_descs, tx_ring_empty_descs; those that an old kernel lacks are 0. 0, or -errno.
 */
static napi_value statistics_js(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int32_t fd;
  void *counts;
  size_t count;
  uint64_t found[6] = {0};
  socklen_t length = sizeof found;
  if (!arguments(env, info, 2, values) || napi_get_value_int32(env, values[0], &fd) != napi_ok ||
      !typed_array(env, values[1], napi_float64_array, &counts, &count) || count < 6) {
    return int_value(env, -EINVAL);
  }
  if (getsockopt(fd, SOL_XDP, XDP_STATISTICS, found, &length) != 0) {
    return int_value(env, -errno);
  }
  for (int i = 0; i < 6; i++) {
    ((double *)counts)[i] = (double)found[i];
  }
  return int_value(env, 0);
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"openXsk", NULL, open_xsk_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"closeXsk", NULL, close_xsk_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"receiveFrom", NULL, receive_from_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"kick", NULL, kick_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"wake", NULL, wake_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"statistics", NULL, statistics_js, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  if (napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions) != napi_ok) {
    return NULL;
  }
  return exports;
}
